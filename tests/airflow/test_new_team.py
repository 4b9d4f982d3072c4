"""The whole way of a new team: from `pip install` to a run on its own Airflow, with what CI says on the way."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from installed import OUTSIDE, build, environment, uv
from server import Server
from waiting import wait

# In `make test`, part by part: `tests/test_packages.py` installs, `tests/project/test_new.py` makes a project and tests
# it, `test_a_run_is_submitted_and_watched` submits.
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def test_from_an_empty_environment_to_a_run_on_airflow(tmp_path: Path) -> None:
    commands = environment(tmp_path / "environment", f"{build(tmp_path / 'built')}[authoring]")

    def run(command: str, *arguments: str | Path, directory: Path = tmp_path) -> Any:
        done = subprocess.run(
            [commands / command, *arguments], cwd=directory, env=OUTSIDE, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    assert run("turnout", "init", "orders")[0] == 0
    project = tmp_path / "orders"
    # Its README's two commands.
    uv("pip", "install", "--quiet", "--python", commands / "python", "--editable", ".[dev]", directory=project)
    status, said = run("pytest", "-q", directory=project)
    assert status == 0, said

    # A change, and compiling is forgotten: CI's two commands say so, where it is and what to do.
    pipeline = project / "orders" / "pipelines" / "orders.py"
    pipeline.write_text(pipeline.read_text().replace("minimum: Annotated[int, Ge(0)] = 10", "minimum: int = 5"))
    assert run("turnout", "check", "--format", "github", directory=project)[0] == 0
    status, said = run("turnout", "compile", "--check", "--format", "github", directory=project)
    assert status == 3, said
    assert "::error file=" in said
    assert "minimum" in said
    assert "turnout compile" in said
    assert run("turnout", "compile", directory=project)[0] == 0
    assert run("turnout", "compile", "--check", "--format", "github", directory=project) == (0, "")

    server = Server(project, {}, commands / "turnout", project)
    try:
        server.start()
        wait(lambda: server.known("orders"), "the DAG", 60)
        server.unpause("orders")
        command = ["submit", "orders/pipelines/orders.py", "--track", "airflow", "--host", server.url, "--poll", "0.5"]
        status, said = run("turnout", *command, "-p", "rows=7", directory=project)
        assert status == 0, said + (server.place / "servers" / "scheduler.log").read_text()[-20_000:]
        for step in ("orders", "count-rows", "enough.average"):
            assert re.search(rf"(?m)^{step} +SUCCEEDED ", said), said
        status, said = run("turnout", "runs", "--root", project / "root", "--track", "airflow", directory=project)
        assert (status, "succeeded" in said) == (0, True), said
    finally:
        server.stop()
