"""Images of `docker/` and of a team, and steps in real containers: `make test-containers`."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from composed import Composed, StandIn
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
    assert steps["train"]["outputs"]["metrics"]["metadata"]["train_roc_auc"] > 0.9
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


S3 = "localhost/turnout-object-store:test"
POSTGRES = "localhost/turnout-postgres:test"
WORKER = "localhost/turnout-tumours-airflow:test"

ASK = """
import json, os, urllib.request

def ask(path, data=None, token=""):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    data = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(f"http://127.0.0.1:8080{path}", data, headers)
    return json.load(urllib.request.urlopen(request, timeout=30))

token = ask("/auth/token", {"username": "admin", "password": os.environ["ADMIN_PASSWORD"]})["access_token"]
"""

TRIGGER = """
run = ask("/api/v2/dags/training/dagRuns", {"logical_date": None}, token)
print(run["dag_run_id"])
"""

STATE = """
runs = ask("/api/v2/dags/training/dagRuns", None, token)["dag_runs"]
tasks = ask(f"/api/v2/dags/training/dagRuns/{runs[0]['dag_run_id']}/taskInstances", None, token)["task_instances"]
print(json.dumps({"state": runs[0]["state"], "tasks": {task["task_id"]: task["state"] for task in tasks}}))
"""

MODELS = """
import json, s3fs, urllib.request
ask = urllib.request.Request(
    "http://127.0.0.1:5000/api/2.0/mlflow/runs/search", b'{"experiment_ids": ["0", "1"]}',
    {"Content-Type": "application/json"},
)
found = json.load(urllib.request.urlopen(ask, timeout=30))["runs"]
print(json.dumps({"runs": len(found), "files": len(s3fs.S3FileSystem().find("turnout/mlflow"))}))
"""


@pytest.fixture
def composed(podman: Podman, components: str, project: Path) -> Iterator[Composed]:
    """The compose file's services, with a team's code; PostgreSQL of Debian, and moto for the object store."""
    (project / "pipelines" / "__init__.py").touch()
    assert turnout(project, "compile").returncode == 0
    for command in (["build", "--builder", "podman"], ["compile", "--check"]):
        done = turnout(project, *command)
        assert done.returncode == 0, done.stderr
    build([Image(S3, components, requirements="moto[s3,server]==5.2.5\n")], Builder("podman"))
    here = Path(__file__).parent
    podman.build(here / "postgres.Dockerfile", POSTGRES, context=here)
    podman.build(
        DOCKER / "airflow.Dockerfile", WORKER, f"COMPONENTS={podman.registry}/team/tumours:1", "PACKAGES=libgomp1"
    )
    health = "import urllib.request as r; r.urlopen('http://127.0.0.1:8333/moto-api/')"
    stand_ins = {
        "postgres": StandIn(POSTGRES),
        "object-store": StandIn(S3, ("moto_server", "--host", "127.0.0.1", "--port", "8333"), ("python", "-c", health)),
    }
    images = {"COMPONENTS_IMAGE": components, "AIRFLOW_IMAGE": WORKER}
    composed = Composed(podman, COMPONENTS, project, images, stand_ins, project / "dags")
    yield composed
    podman.podman("rm", "--all", "--force", "--time", "0")
    podman.podman("volume", "prune", "--force")


def test_the_compose_file_s_services_train(composed: Composed) -> None:
    composed.start()
    deadline = time.monotonic() + 300
    while "training" not in composed.python("api-server", f"{ASK}\nprint(ask('/api/v2/dags', None, token))"):
        assert time.monotonic() < deadline, "the DAG is not there"
        time.sleep(3)
    composed.podman.podman("exec", "api-server", "airflow", "dags", "unpause", "training")
    composed.python("api-server", ASK + TRIGGER)
    while (ended := json.loads(composed.python("api-server", ASK + STATE)))["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, ended
        time.sleep(3)
    assert ended["state"] == "success", ended
    assert set(ended["tasks"].values()) == {"success"}
    kept = json.loads(composed.podman.podman("exec", "mlflow", "python", "-c", MODELS))
    assert kept["runs"] == 1
    assert kept["files"] > 0
