"""Components with requirements of their own: what a user writes, runs, and is told when it is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from wheels import write_wheel

from turnout import verbs
from turnout.cli.app import app
from turnout.errors import DefinitionError, ProjectError, TurnoutError
from turnout.execution.environments import environments
from turnout.plan.changes import changes
from turnout.runtimes.docker import Containers
from turnout.spec.step_contract import State

PROJECT = """
[tool.turnout]
image = "team/flights:1"

[tool.turnout.environments]
tiny = ["turnout-tiny==1.0", "--no-index", "--find-links wheels"]
filed = "tiny.txt"
"""

FLOW = '''
from pathlib import Path

from turnout import component, pipeline


def seen(value: str) -> str:
    import turnout_tiny

    with Path("seen.txt").open("a") as file:
        file.write(turnout_tiny.VERSION + "\\n")
    return turnout_tiny.VERSION


@component(ARGUMENTS)
def work(value: str = "x") -> str:
    """Work.

    Args:
        value: any text.
    """
    import turnout_tiny

    return f"{turnout_tiny.VERSION} {value}"


@component
def plain() -> str:
    """Work without."""
    Path("plain.txt").touch()
    return "plain"


@pipeline
def own() -> str:
    """Two components, of which one has an environment of its own."""
    return work(value=plain().output).output
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TURNOUT_ENVIRONMENTS", str(tmp_path / "kept"))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.delenv("TURNOUT_IMAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "tiny.txt").write_text("turnout-tiny==2.0\n--no-index\n--find-links wheels\n")
    for version in ("1.0", "2.0"):
        write_wheel(tmp_path / "wheels", "turnout_tiny", version)
    return tmp_path


def flow(project: Path, arguments: str) -> str:
    """A file of its own for each: a module is imported once."""
    name = f"own_{len(list(project.glob('own_*.py')))}_{project.name}.py".replace("-", "_")
    (project / name).write_text(FLOW.replace("ARGUMENTS", arguments))
    return name


def run(source: str, **options: Any) -> Any:
    return verbs.run(source, settings={"python": sys.executable}, **options)


def test_a_component_runs_with_what_its_environment_holds_and_other_requirements_are_another_result(
    project: Path,
) -> None:
    first = run(flow(project, 'environment="tiny"'))
    assert first.outputs == {"Output": "1.0 plain"}, first.errors
    again = run(flow(project, 'environment="filed"'), runtime="process")
    assert again.outputs == {"Output": "2.0 plain"}
    assert {environment.asked[0] for environment in environments()} == {"turnout-tiny==1.0", "turnout-tiny==2.0"}
    done = CliRunner().invoke(app, ["environments", "list"], env={"COLUMNS": "200"})
    assert "turnout-tiny==2.0" in done.output
    done = CliRunner().invoke(app, ["environments", "prune", "--unused-for", "0"])
    assert "removed 2 environments" in done.output


def test_requirements_are_part_of_the_cache_s_key(project: Path) -> None:
    name = flow(project, 'environment="tiny", outside=seen')  # it tells what it looks at in its own environment
    assert [step.cached for step in run(name).steps] == [False, False]
    assert [step.cached for step in run(name).steps] == [True, True]
    assert set((project / "seen.txt").read_text().split()) == {"1.0"}
    document = Path("compiled.yaml")
    document.write_text(verbs.compile(name, "kfp")[Path("own.yaml")].replace("turnout-tiny==1.0", "turnout-tiny==2.0"))
    result = run(str(document))
    assert ([step.cached for step in result.steps], result.outputs) == ([True, False], {"Output": "2.0 plain"})


def test_an_environment_that_cannot_be_made_fails_its_step_before_any_other_has_run(project: Path) -> None:
    seen: list[str] = []
    source = flow(project, 'requirements=["turnout-tiny>5"], environment="tiny"')
    result = run(source, watch=lambda step, line: seen.append(f"{step.name} {step.state.label} {line}"))
    assert result.states == {"plain": State.NOT_TRIGGERED, "work": State.FAILED}
    (failed,) = (step for step in result.steps if step.state is State.FAILED)
    assert "turnout-tiny>5" in failed.error
    assert "look at the component's requirements" in failed.error
    assert any(line.startswith("work PENDING making an environment with turnout-tiny==1.0") for line in seen)
    assert not Path("plain.txt").exists()
    write_wheel(project / "wheels", "turnout_tiny", "6.0")
    (project / "pyproject.toml").write_text(PROJECT.replace("turnout-tiny==1.0", "turnout-tiny"))
    assert run(flow(project, 'requirements=["turnout-tiny>5"], environment="tiny"')).outputs == {"Output": "6.0 plain"}


def test_the_compiled_file_names_the_lines_and_an_image_of_its_own(project: Path) -> None:
    (project / "deep").mkdir()
    (project / "deep" / "needs.txt").write_text("# why\nturnout-tiny>=1\n")
    text = verbs.compile(flow(project, 'requirements="deep/needs.txt"'), "kfp")[Path("own.yaml")]
    assert "- --requires=turnout-tiny>=1\n" in text
    assert text.count("image: team/flights:1\n") == 1
    assert text.count("image: team/flights:1-") == 1
    assert (
        "image: mine:1\n" in verbs.compile(flow(project, 'requirements=["a"], image="mine:1"'), "kfp")[Path("own.yaml")]
    )
    before, after = (
        verbs.linked(flow(project, arguments)) for arguments in ('requirements=["a"]', 'requirements=["a", "b>2"]')
    )
    assert 'step work: requirements: ["a"] -> ["a", "b>2"]' in changes(before, after)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('requirements=["pandas=2", "numpy"]', ["'pandas=2' is no requirement", "own_0", ".py:15", "`name>=1.2`"]),
        ('environment="tinny"', ["no environment 'tinny'", ".py:15", "did you mean tiny?"]),
        ('requirements="gone.txt"', ["no requirements file 'gone.txt'", ".py:15"]),
        ('requirements="wrong.txt"', ["'b = 2' is no requirement", "@ wrong.txt:2"]),
        ("requirements=[1]", ["requirements are texts", ".py:15"]),
    ],
)
def test_check_tells_what_is_wrong_with_file_and_line(project: Path, arguments: str, told: list[str]) -> None:
    (project / "wrong.txt").write_text("a\nb = 2\n")
    source = flow(project, arguments)
    with pytest.raises(DefinitionError) as failure:
        verbs.check(source)
    assert [text for text in told if text not in str(failure.value)] == [], str(failure.value)
    done = CliRunner().invoke(app, ["check", source])
    assert done.exit_code == 1


def test_an_environment_of_the_project_file_is_checked_with_its_line(project: Path) -> None:
    (project / "pyproject.toml").write_text(PROJECT.replace("turnout-tiny==1.0", "turnout tiny"))
    with pytest.raises(ProjectError, match=r"'turnout tiny' is no requirement.*pyproject.toml:6"):
        verbs.check(flow(project, 'environment="tiny"'))


def test_a_lightweight_component_s_packages_are_checked_too(project: Path) -> None:
    (project / "light.py").write_text(
        "from kfp import dsl\n\n\n@dsl.component(packages_to_install=['pandas=2', 'git+https://host/x'])\n"
        "def work():\n    pass\n\n\n@dsl.pipeline\ndef light():\n    work()\n"
    )
    (fault,) = verbs.check("light.py")["faults"]
    assert fault["what"].startswith("'pandas=2' is no requirement")
    assert fault["where"] == "light.work"


def test_in_an_image_without_them_the_step_says_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from turnout.execution.executor import main

    arguments = ["m:f", "--executor-input", "{}", "--requires=turnout-tiny>=1", "--requires=--no-index"]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "turnout-tiny>=1 (not installed)" in said
    assert "turnout build" in said


def test_without_its_image_a_docker_run_fails_before_any_step(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        """Docker's engine, as far as it is asked for images; it has none, and its registry neither."""

        def ping(self) -> bool:
            return True

        def images(self, name: str) -> list[str]:
            return []

        def pull(self, image: str, **_: object) -> list[dict[str, str]]:
            return [{"error": f"manifest for {image} not found"}]

    monkeypatch.setattr("turnout.runtimes.docker.Engine.client", lambda self: Engine())
    assert Containers.prepare is not None
    result = verbs.run(flow(project, 'requirements=["a"]'), runtime="docker")
    assert result.states == {"plain": State.NOT_TRIGGERED, "work": State.FAILED}
    assert "manifest for team/flights:1-" in result.steps[1].error
    assert "turnout build" in result.steps[1].error


def test_requirements_in_a_yaml_file_are_checked_too(project: Path) -> None:
    text = verbs.compile(flow(project, 'requirements=["good"]'), "kfp")[Path("own.yaml")]
    Path("own.yaml").write_text(text.replace("--requires=good", "--requires=go od"))
    with pytest.raises(TurnoutError, match="'go od' is no requirement"):
        verbs.linked("own.yaml")
