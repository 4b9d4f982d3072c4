"""A release end to end on this machine: the pipeline, real Envoy and workers, and users who send requests meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Ran
from grpc_users import GrpcUsers
from paths import PROJECT
from release_server import MODEL, ReleaseServer
from users import Users

from turnout.reports.report import Report
from turnout.serving.state import State

pytestmark = pytest.mark.slow


class Place(ReleaseServer):
    def release(self, version: str) -> Ran:
        """Run the pipeline for a version."""
        given = [
            word
            for name, value in self.parameters(version).items()
            for word in ("-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
        ]
        command = [str(Path(sys.executable).parent / "turnout"), "run", "pipelines/release.py", "--json", *given]
        environment = {**self.environment, "TURNOUT_ROOT": str(self.directory / "runs"), "COLUMNS": "200"}
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Place]:
    with Place(tmp_path_factory.mktemp("release")).started(empty_mlflow) as made:
        yield made


@pytest.mark.parametrize(
    ("version", "why", "kind"),
    [
        ("3", "median latency: worse", GrpcUsers),
        # In `make test`, `test_a_shadow_that_says_the_opposite_is_worse_although_the_totals_are_alike` and the tests of
        # judgement have one by each metric.
        pytest.param("4", "predictions: worse", Users, marks=pytest.mark.nightly),
        pytest.param("5", "requests get another class", Users, marks=pytest.mark.nightly),
    ],
)
def test_a_worse_version_comes_back_and_people_are_told(
    place: Place, version: str, why: str, kind: type[Users]
) -> None:
    with kind(place.port, MODEL) as users:
        ran = place.release(version)
    assert ran.status != 0
    assert place.versions == {"1": 100.0}, ran.out[-3000:]
    history = State(place.serving.path).history()
    assert [action for action, _ in history[-2:]] == ["shadow", "rollback"]
    assert why in history[-1][1].reason
    assert f"{MODEL} version {version} was taken out" in place.told
    assert why in place.told
    assert set(users.statuses) == {200}  # a shadow, and a rollback, are not seen by any user


def test_a_good_version_goes_to_all_requests_step_by_step_when_users_ask_by_grpc(place: Place) -> None:
    """By HTTP it does so on Airflow, in its own tests."""
    import mlflow

    before = len(State(place.serving.path).history())
    with GrpcUsers(place.port, MODEL) as users:
        ran = place.release("2")
    assert ran.status == 0, ran.err[-2000:] + ran.out[-3000:]
    assert place.versions == {"2": 100.0}
    steps = [item.percent_of("2") for _, item in State(place.serving.path).history()[before:]]
    assert steps[:4] == [0.0, 5.0, 25.0, 100.0]
    client = mlflow.MlflowClient()
    aliases = {
        name: str(client.get_model_version_by_alias(MODEL, name).version) for name in ("champion", "previous_champion")
    }
    assert aliases == {"champion": "2", "previous_champion": "1"}
    assert f"{MODEL} version 2 answers all requests" in place.told
    assert set(users.statuses) == {200}, users.errors[:3]
    reports = [Path(step["outputs"]["report"]["uri"]) for step in ran.json["steps"] if "judge" in step["name"]]
    assert len(reports) == 3
    for path in reports:
        report = Report.from_html(path.read_text())
        assert report is not None
        assert report.good, report.reasons
