"""Steps in real containers: `make test-containers`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, DAGS, HOME, PROJECT
from podman import Podman
from test_dags import ended, pulled

from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Outcome, Run

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    podman = Podman(PROJECT / ".turnout" / "containers")
    podman.make_image("turnout-test:1", PROJECT, COMPONENTS / "uv", [PROJECT / "tests" / "examples"])
    podman.start()
    yield podman
    podman.stop()


@pytest.fixture
def bag(podman: Podman, monkeypatch: pytest.MonkeyPatch) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    source = "tests/examples/contained.py:contained"
    subprocess.run([COMPONENTS / "turnout", "compile", source, "--out", DAGS], cwd=PROJECT, check=True)
    monkeypatch.setenv("DOCKER_HOST", podman.host)
    monkeypatch.setenv("AIRFLOW__TURNOUT__RUNTIME", "docker")
    return DagBag(str(DAGS / "contained.py"), bundle_name="dags-folder")


def outcome_of(run: Any, step: str) -> Outcome:
    found = ArtifactStore(str(HOME / "root")).outcome(Run("contained", run.run_id, ""), step)
    assert found is not None
    return found


def test_steps_run_in_containers_of_their_images(bag: Any, podman: Podman) -> None:
    state, tasks, run = ended(bag, "contained", {"text": "one 'two' $(three)"})
    assert (state, tasks) == ("success", {"write": "success", "read": "success"})
    assert pulled(run, "write", "Output") == 3
    assert pulled(run, "read", "Output") == ["one", "'two'", "$(three)"]
    assert outcome_of(run, "write").artifacts["words"].metadata == {"user": 1000}
    assert "written" in Path(outcome_of(run, "write").log).read_text()
    assert podman.containers() == []


def test_a_component_in_a_container_says_why_it_failed(bag: Any, podman: Podman) -> None:
    state, _, run = ended(bag, "contained", {"password": "other"})
    assert state == "failed"
    assert outcome_of(run, "read").error == "the password is wrong @ password"
    assert podman.containers() == []


def test_a_container_that_takes_too_long_is_ended(bag: Any, podman: Podman) -> None:
    state, _, run = ended(bag, "contained", {"seconds": 60})
    assert state == "failed"
    assert outcome_of(run, "read").error == "the step took longer than its time-out of 20 s, and was ended"
    assert podman.containers() == []


def test_the_local_track_runs_steps_in_containers_too(podman: Podman, tmp_path: Path) -> None:
    source = "tests/examples/contained.py:contained"
    (tmp_path / "secrets.yaml").write_text("secrets: {warehouse: {password: hush}}\n")
    command = [COMPONENTS / "turnout", "run", source, "--runtime", "docker", "--setting", f"docker_host={podman.host}"]
    options = ["--root", tmp_path / "root", "--secrets", tmp_path / "secrets.yaml", "-p", "text=one 'two'", "--json"]
    done = subprocess.run([*command, *options], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert steps["write"]["outputs"]["words"]["metadata"] == {"user": 1000}
    assert steps["read"]["outputs"]["Output"] == ["one", "'two'"]
    assert podman.containers() == []
