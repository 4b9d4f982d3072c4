"""A release as KFP runs it: each step is a pod with a disk of its own; the server's directory alone is mounted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Commands
from kfp_pods import KfpRun
from paths import PROJECT
from release_server import MODEL, ReleaseServer
from users import Users

from turnout.serving.state import State

pytestmark = pytest.mark.slow

RELEASE = PROJECT / "dags" / "flight_delay_release.yaml"


class Cluster(ReleaseServer):
    """The server's directory is mounted into the pods of a KFP."""

    def __init__(self, directory: Path, commands: Commands):
        super().__init__(directory)
        self.commands, self.pods = commands, directory / "pods"
        self.pods.mkdir()

    def release(
        self, version: str, before: Callable[[str], None] = lambda name: None, **parameters: Any
    ) -> tuple[KfpRun, bool]:
        """Run the compiled pipeline for a version."""
        image = {**self.environment, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
        run = KfpRun(RELEASE, self.pods, image, self.commands, before)
        return run, run.run(**{**self.parameters(version), **parameters})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path, commands: Commands) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("release"), commands).started(empty_mlflow) as made:
        yield made


def test_a_target_on_the_pods_own_disk_ends_the_release_before_anything_is_done(cluster: Cluster) -> None:
    run, succeeded = cluster.release("4", target="local")
    assert not succeeded
    assert "local:DIRECTORY" in run.logs["smoke-test"]
    assert "kubernetes:FILE" in run.logs["smoke-test"]
    assert cluster.versions == {"1": 100.0}


def test_a_wrong_version_comes_back_and_people_are_told(cluster: Cluster) -> None:
    with Users(cluster.port) as users:
        run, succeeded = cluster.release("4")
    assert not succeeded
    assert cluster.versions == {"1": 100.0}, json.dumps(run.logs, indent=1)
    assert run.pods[-3:] == ["judge-canary", "roll-back", "end-release"]
    assert f"{MODEL} version 4 was taken out" in cluster.told
    assert "predictions: worse" in cluster.told
    assert set(users.statuses) == {200}


# The three by night take minutes. In `make test` their ends are those of `test_release_steps.py`, by KFP's states, and
# their ways those of `test_release.py`.
@pytest.mark.nightly
def test_a_version_whose_step_dies_is_taken_out_though_kfp_does_not_say_that_it_failed(cluster: Cluster) -> None:
    def kill(name: str) -> None:
        if name == "judge-canary-2":
            raise InterruptedError("the pod was evicted")

    with Users(cluster.port):
        run, succeeded = cluster.release("2", kill)
    assert not succeeded
    assert run.pods[-2:] == ["judge-canary-2", "end-release"]
    assert cluster.versions == {"1": 100.0}, json.dumps(run.logs, indent=1)
    assert f"{MODEL} version 2 was taken out" in cluster.told


@pytest.mark.nightly
def test_a_good_version_goes_to_all_requests_step_by_step(cluster: Cluster) -> None:
    import mlflow

    before = len(State(cluster.serving.path).history())
    with Users(cluster.port) as users:
        run, succeeded = cluster.release("2")
    assert succeeded, json.dumps(run.logs, indent=1)
    assert cluster.versions == {"2": 100.0}
    steps = [item.percent_of("2") for _, item in State(cluster.serving.path).history()[before:]]
    assert steps == [0.0, 5.0, 25.0, 100.0]
    client = mlflow.MlflowClient()
    assert str(client.get_model_version_by_alias(MODEL, "champion").version) == "2"
    assert run.outputs["end-release"].parameters == {"outcome": "released"}
    assert f"{MODEL} version 2 answers all requests" in cluster.told
    assert set(users.statuses) == {200}


@pytest.mark.nightly
def test_a_version_of_which_nothing_is_known_keeps_its_part(cluster: Cluster) -> None:
    """No other test has tried this version out."""
    run, succeeded = cluster.release("3", wait_minutes=0)
    assert succeeded, json.dumps(run.logs, indent=1)
    assert run.outputs["end-release"].parameters == {"outcome": "held"}
    assert f"{MODEL} version 3: not yet known" in cluster.told
    assert cluster.versions["3"] == 100.0
