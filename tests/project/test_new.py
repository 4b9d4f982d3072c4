"""`turnout init` and `turnout new`: what they write works at once, and is tidy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BIN = Path(sys.executable).parent


def run(*command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TURNOUT_", "PYTEST_"))}
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(directory)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)


def done(*command: str, directory: Path) -> str:
    ran = run(*command, directory=directory)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
def test_a_new_project_passes_its_checks_and_so_does_what_is_added(tmp_path: Path) -> None:
    assert "daily-orders/pyproject.toml" in done("turnout", "init", "daily-orders", directory=tmp_path)
    project = tmp_path / "daily-orders"
    (project / "steps").mkdir()  # from any of its directories
    assert done("turnout", "new", "component", "clean-rows", directory=project / "steps").split() == [
        "../daily_orders/components/clean_rows.py",
        "../tests/test_clean_rows.py",
    ]
    done("turnout", "new", "pipeline", "weekly", directory=project)
    stale = run("turnout", "compile", "--check", directory=project)
    assert stale.returncode == 3
    assert "run turnout compile" in stale.stderr
    done("turnout", "compile", directory=project)
    done("turnout", "check", directory=project)
    done("ruff", "check", "--select", "E4,E7,E9,F,I", "--ignore", "E712", ".", directory=project)
    done("ruff", "format", "--check", ".", directory=project)
    assert "5 passed" in done(sys.executable, "-m", "pytest", "-q", directory=project)
    jobs = yaml.safe_load((project / ".github" / "workflows" / "pipelines.yml").read_text())["jobs"]
    commands = [step["run"] for step in jobs["sample"]["steps"] if step.get("run", "").startswith("turnout run")]
    done(*commands[0].split(), directory=project)
    assert "## daily-orders" in done("turnout", "report", "--format", "markdown", directory=project)
    assert jobs["sample"]["steps"][-1]["env"]["NUMBER"] == "${{ github.event.number }}"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    ran = run("turnout", "init", ".", directory=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "the file is there already @ README.md" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["3x", "class", "a/b'c", "naïve", "turnout", "-"])
def test_a_name_must_be_a_module_s(tmp_path: Path, name: str) -> None:
    ran = run("turnout", "init", "--", name, directory=tmp_path)
    assert ran.returncode == 1
    assert "cannot be the name of a Python module" in ran.stderr
    assert list(tmp_path.iterdir()) == []
