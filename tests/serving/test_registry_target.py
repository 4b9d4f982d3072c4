"""The registry as a target: the champion's alias is what is in service, and a rollback is noted where it happened."""

from __future__ import annotations

import datetime

import pytest

from turnout.errors import ComponentError
from turnout.models.promotion import champion
from turnout.serving.targets.registry import RegistryTarget
from turnout.serving.targets.target import FACTS


@pytest.fixture
def model(tracking: str) -> str:
    import mlflow

    client = mlflow.MlflowClient()
    client.create_registered_model("flights")
    for _ in range(3):
        client.create_model_version("flights", "/nowhere")
    return "flights"


def test_a_version_is_put_into_service_and_rolled_back_with_who_and_why(model: str) -> None:
    import mlflow

    target = RegistryTarget()
    assert target.status(model).problems == ("no version of flights has the alias champion",)
    target.deploy(model, "1", who="ada", why="the first")
    target.deploy(model, "2", who="ada", why="better")
    status = target.status(model)
    assert (status.versions[0].version, status.previous, status.ready) == ("2", "1", True)
    assert target.roll_back(model, who="bob", why="too slow") == "1"
    assert champion(model).version == "1"  # type: ignore[union-attr]
    tags = mlflow.MlflowClient().get_model_version(model, "2").tags
    assert (tags["turnout.rolled_back_by"], tags["turnout.rolled_back_because"]) == ("bob", "too slow")
    assert datetime.datetime.fromisoformat(tags["turnout.rolled_back_at"]).tzinfo
    with pytest.raises(ComponentError, match="no version before to go back to"):
        target.roll_back(model)


def test_what_an_alias_cannot_do_is_refused_with_the_way_out(model: str) -> None:
    target = RegistryTarget()
    assert set(target.support) == set(FACTS)
    for wrong in (
        lambda: target.deploy(model, "1", 10),
        lambda: target.deploy(model, "1", shadow=True),
        lambda: target.split(model, {"1": 50, "2": 50}),
        lambda: target.observed(model, datetime.datetime.now(datetime.UTC)),
    ):
        with pytest.raises(ComponentError, match=r"the target registry does not (.|\n)*hint: "):
            wrong()
    assert champion(model) is None


def test_the_champion_is_not_removed(model: str) -> None:
    target = RegistryTarget()
    target.deploy(model, "1")
    target.deploy(model, "2")
    with pytest.raises(ComponentError, match="version 2 is the champion"):
        target.remove(model, "2")
    with pytest.raises(ComponentError, match="version 3 has no alias"):
        target.remove(model, "3")
    target.remove(model, "1")
    assert target.status(model).previous == ""
