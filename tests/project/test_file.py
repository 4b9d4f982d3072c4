"""`[tool.turnout]`: what a project says once, which every command and `turnout.run` heed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from turnout import verbs
from turnout.cli.app import app
from turnout.errors import ProjectError
from turnout.project.file import KEYS, Project, current

FILE = """
[tool.turnout]
pipelines = ["flows/*.py", "more/deep/*.py"]
dags = "compiled"
root = "runs"
image = "team:1"

[tool.turnout.settings]
python = "./bin/python"

[tool.turnout.profile.prod]
image = "team:2"
root = "memory://prod"
runtime = "docker"
settings = {docker_host = "tcp://127.0.0.1:1"}
"""

FLOW = '''
from turnout import component, pipeline


@component
def work(rows: int = 1):
    """Work.

    Args:
        rows: how many.
    """


@pipeline
def NAME():
    """Work."""
    work()
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "TURNOUT_PROFILE",
        "TURNOUT_DOCKER_HOST",
        "TURNOUT_PYTHON",
        "TURNOUT_TRACKERS",
        "TURNOUT_ROOT",
        "PYTHONPATH",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "pyproject.toml").write_text(FILE)
    for folder, name in (("flows", "first"), ("flows", "second"), ("more/deep", "third")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{name}_of_project.py").write_text(FLOW.replace("NAME", name))
    (tmp_path / "flows" / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def turnout(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def test_compile_takes_the_project_s_pipelines_directory_and_image(project: Path) -> None:
    status, said = turnout("compile")
    assert status == 0, said
    assert sorted(path.stem for path in (project / "compiled").glob("*.py")) == ["first", "second", "third"]
    assert "image: team:1" in (project / "compiled" / "first.yaml").read_text()
    assert turnout("compile", "--check")[0] == 0
    command = [Path(sys.executable).parent / "turnout", "--profile", "prod", "compile", "--check"]
    stale = subprocess.run(command, capture_output=True, text=True)
    assert (stale.returncode, "image: team:2" in stale.stdout) == (3, True), stale.stderr
    assert turnout("compile", "--out", "elsewhere")[0] == 0
    assert (project / "elsewhere" / "first.py").exists()


def test_runs_are_kept_where_the_project_says_from_any_of_its_directories(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = verbs.run(f"{project}/flows/first_of_project.py", runtime="process", settings={"python": sys.executable})
    assert Path(result.path).parent == project / "runs" / "first"
    monkeypatch.chdir(project / "more")
    status, said = turnout("runs", "--json")
    assert (status, result.run_id in said) == (0, True), said
    assert turnout("runs", "--root", "none", "--json")[1] == "[]\n"
    monkeypatch.setenv("TURNOUT_ROOT", "nothing")
    assert turnout("runs", "--json")[1] == "[]\n"


def test_a_profile_changes_what_it_names_and_leaves_the_rest(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_PROFILE", "prod")
    found = current()
    assert (found.image, found.root, found.runtime, found.dags) == ("team:2", "memory://prod", "docker", "compiled")
    assert found.path(found.root) == "memory://prod"
    assert found.settings == {"python": "./bin/python", "docker_host": "tcp://127.0.0.1:1"}
    status, said = turnout("run", "flows/first_of_project.py")
    assert status == 1
    assert "Docker's engine does not answer" in said
    assert "tcp://127.0.0.1:1" in said


def test_all_faults_of_the_file_are_told_at_once_with_what_it_may_say(project: Path) -> None:
    text = (
        FILE.replace("dags =", "dag =")
        .replace('root = "runs"', "root = 3")
        .replace('runtime = "docker"', "runtime = []")
    )
    (project / "pyproject.toml").write_text(text)
    status, said = turnout("check")
    assert status == 1
    for line in (
        f"no key 'dag' @ {project}/pyproject.toml: tool.turnout",
        f"available here: {', '.join(KEYS)}",
        "did you mean dags?",
        f"3 is not of type 'string' @ {project}/pyproject.toml: tool.turnout.root",
        f"[] is not of type 'string' @ {project}/pyproject.toml: tool.turnout.profile.prod.runtime",
    ):
        assert line in said
    (project / "pyproject.toml").write_text("[tool.turnout\n")
    with pytest.raises(ProjectError, match="cannot be read"):
        current()


@pytest.mark.parametrize(
    ("text", "profile", "told"),
    [
        (FILE, "prd", "did you mean prod?"),
        ("[tool.other]\n", "prod", "there is no project file"),
        ("[tool]\nturnout = 3\n", "", "not a table"),
        ("[tool.turnout]\nprofile = 3\n", "", "not a table of profiles"),
        ("[tool.turnout.profile]\nprod = 3\n", "", "not a table"),
    ],
)
def test_odd_files_and_unknown_profiles(project: Path, text: str, profile: str, told: str) -> None:
    (project / "pyproject.toml").write_text(text)
    status, said = turnout(*(["--profile", profile] if profile else []), "check")
    assert status == 1
    assert told in said


def test_without_a_project_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert current() == Project(tmp_path)
    assert KEYS.keys() == Project.__dataclass_fields__.keys() - {"directory", "found"}
