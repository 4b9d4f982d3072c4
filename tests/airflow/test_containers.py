"""Images of `docker/` and of a team, and steps in real containers: `make test-containers`."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, DAGS, HOME, PROJECT
from podman import Podman
from test_dags import ended, pulled

from turnout.execution.store import ArtifactStore
from turnout.images.build import build
from turnout.images.builders import Builder
from turnout.images.image import Image
from turnout.spec.step_contract import Outcome, Run

pytestmark = pytest.mark.containers


DOCKER = PROJECT / "docker"
COMPONENTS_IMAGE = "localhost/turnout-python-components:test"
AIRFLOW_IMAGE = "localhost/turnout-airflow:test"


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    podman = Podman(PROJECT / ".turnout" / "containers")
    podman.make_base()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in podman.variables.items():
            patch.setenv(name, value)
        podman.start()
        yield podman
        podman.stop()


@pytest.fixture(scope="module")
def components(podman: Podman) -> str:
    """The components image, with what trains."""
    size = podman.build(DOCKER / "components.Dockerfile", COMPONENTS_IMAGE, "EXTRAS=train s3", "PACKAGES=libgomp1")
    print(f"{COMPONENTS_IMAGE}: {size / 1e6:,.0f} MB")
    return COMPONENTS_IMAGE


@pytest.fixture(scope="module", autouse=True)
def examples_image(podman: Podman, components: str) -> None:
    """The image of `tests/examples/contained.py`."""
    files = {path.name: path for path in (PROJECT / "tests" / "examples").glob("*.py")}
    build([Image("localhost/turnout-test:1", components, files, roots=(".",))], Builder("podman"))


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


TRAINING = """
from turnout import Dataset, Output, component, pipeline
from turnout.components.split import split
from turnout.components.train import train


@component
def tumours(table: Output[Dataset]) -> int:
    \"\"\"Write a table of tumours.

    Args:
        table: the table, as Parquet.
    \"\"\"
    import os

    from sklearn.datasets import load_breast_cancer

    rows = load_breast_cancer(as_frame=True).frame
    rows.to_parquet(table.path)
    return os.getuid()


@pipeline
def training() -> int:
    \"\"\"Train on tumours.\"\"\"
    table = tumours()
    parts = split(data=table.outputs["table"])
    train(data=parts.outputs["train"], target="target")
    return table.outputs["Output"]
"""


@pytest.fixture
def project(podman: Podman, components: str, tmp_path: Path) -> Path:
    """A team's project, whose image its registry shall have."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "training.py").write_text(TRAINING)
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "tumours"\n[tool.turnout]\nbase = "{components}"\n'
        f'image = "{podman.registry}/team/tumours:1"\n'
    )
    return tmp_path


def turnout(project: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [COMPONENTS / "turnout", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_team_builds_and_pushes_its_image_and_trains_in_it(podman: Podman, project: Path) -> None:
    assert turnout(project, "compile").returncode == 0
    before = {path.name: path.read_bytes() for path in (project / "dags").iterdir()}
    built = turnout(project, "build", "--builder", "podman", "--push", "--json")
    assert built.returncode == 0, built.stderr
    (image,) = json.loads(built.stdout)
    digests = json.loads((project / "dags" / "images.json").read_text())
    assert digests == {f"{podman.registry}/team/tumours:1": image["digest"]}
    address = f"http://{podman.registry}/v2/team/tumours/manifests/{image['digest']}"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address) as answer:
        assert answer.status == 200

    assert turnout(project, "compile", "--check").returncode == 0
    assert {name: (project / "dags" / name).read_bytes() for name in before} == before
    assert turnout(project, "compile", "--pin", "--out", "pinned").returncode == 0
    pinned = (project / "pinned" / "training.yaml").read_text()
    assert f"image: {podman.registry}/team/tumours@{image['digest']}\n" in pinned

    # As a server has it that never saw the tag: by its digest, from the registry.
    podman.podman("rmi", "--force", f"{podman.registry}/team/tumours:1")
    ran = turnout(project, "run", "pinned/training.yaml", "--runtime", "docker", "--setting",
                  f"docker_host={podman.host}", "--root", project / "runs", "--json")  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    steps = {step["name"]: step for step in json.loads(ran.stdout)["steps"]}
    assert steps["tumours"]["outputs"]["Output"] == 10001
    assert steps["train"]["outputs"]["metrics"]["metadata"]["training_roc_auc"] > 0.9
    assert podman.containers() == []


def test_what_cannot_be_imported_in_the_image_is_found_when_it_is_built(podman: Podman, project: Path) -> None:
    (project / "elsewhere.py").write_text("NUMBER = 1\n")
    for command in (["init", "--quiet"], ["add", "pipelines", "pyproject.toml"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    path = project / "pipelines" / "training.py"
    path.write_text(f"import elsewhere\n{path.read_text()}")
    built = turnout(project, "build", "--builder", "podman")
    assert built.returncode == 1
    assert "not in the image, since git does not know them: elsewhere.py" in built.stderr
    assert "No module named 'elsewhere'" in built.stderr.partition("error: ")[2]
    assert not (project / "dags" / "images.json").exists()


def test_a_registry_that_is_not_there_refuses_the_push(podman: Podman, project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace(podman.registry, "127.0.0.1:9"))
    built = turnout(project, "build", "--builder", "podman", "--push")
    assert built.returncode == 1
    assert "error: podman cannot push the image @ 127.0.0.1:9/team/tumours:1" in built.stderr
    assert "podman login 127.0.0.1:9" in built.stderr
    assert not (project / "dags" / "images.json").exists()


def test_airflow_s_image_has_both_environments(podman: Podman, components: str) -> None:
    arguments = [f"COMPONENTS={components}", "PACKAGES=libgomp1"]
    size = podman.build(DOCKER / "airflow.Dockerfile", AIRFLOW_IMAGE, *arguments)
    print(f"{AIRFLOW_IMAGE}: {size / 1e6:,.0f} MB")
    said = podman.podman("run", "--rm", AIRFLOW_IMAGE, "config", "get-value", "turnout", "python")
    assert said.splitlines()[-1] == "/opt/turnout/bin/python"
    versions = podman.podman("run", "--rm", "--entrypoint", "/opt/turnout/bin/turnout", AIRFLOW_IMAGE, "--version")
    assert versions.startswith("turnout ")
    contents = podman.podman("run", "--rm", "--entrypoint", "cat", AIRFLOW_IMAGE, "/opt/airflow/sbom.cdx.json")
    names = {part["name"] for part in json.loads(contents)["components"]}
    assert {"apache-airflow", "turnout", "s3fs", "psycopg2-binary"} <= names
    assert "kfp" not in names
