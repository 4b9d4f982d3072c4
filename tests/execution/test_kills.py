"""However many of a run's processes are killed at once: no step is ever at work twice, and a resumed run ends alike."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import servers, supervisors

from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Run

TURNOUT = str(Path(sys.executable).parent / "turnout")
KILLS = int(os.environ.get("TURNOUT_KILLS", "24")) // 4

PIPELINE = '''
import fcntl
import time
from pathlib import Path
from kfp import dsl
from turnout import PipelineTaskFinalStatus, component, pipeline

SHELL = """exec 9> "$1/$2.work"; flock -n 9 || echo "$2" >> "$1/twice"
sh -c 'sleep 1; sleep 1'; echo "$2 is done" > "$3"
"""


@component
def work(directory: str, n: int) -> int:
    """Be at work for a while, and nowhere else at the same time.

    Args:
        directory: for the files.
        n: a number.
    """
    with Path(directory, f"{n}.work").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with Path(directory, "twice").open("a") as twice:
                twice.write(f"{n}\\n")
        time.sleep(2)
    return n**2


@dsl.container_component
def shell(directory: str, name: str, told: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="any", command=["sh", "-ec", SHELL, "sh"], args=[directory, name, told])


@component
def tell(directory: str, status: PipelineTaskFinalStatus):
    """Write down how it ended.

    Args:
        directory: for the file.
        status: of what was before.
    """
    Path(directory, "told").write_text(status.state)


@component
def gather(directory: str, numbers: list, text: str):
    """Put together.

    Args:
        directory: for the file.
        numbers: squares.
        text: any.
    """
    Path(directory, "gathered").write_text(f"{sorted(numbers)} {text}")


@pipeline
def killed(directory: str):
    """Work.

    Args:
        directory: for the files.
    """
    with dsl.ExitHandler(tell(directory=directory)):
        with dsl.ParallelFor([1, 2, 3]) as n:
            squared = work(directory=directory, n=n)
        said = shell(directory=directory, name="shell")
        gather(directory=directory, numbers=dsl.Collected(squared.output), text=said.outputs["told"])
'''


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["warm", "process"])
def test_whatever_is_killed_no_step_is_at_work_twice(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "killed.py").write_text(PIPELINE)
    draw = random.Random(11)
    kills = count = 0
    while kills < KILLS:
        count += 1
        place = tmp_path / f"files-{count}"
        place.mkdir()
        result, own = _run_and_kill(tmp_path, place, f"run-{count}", runtime, draw)
        kills += own
        assert not (place / "twice").exists(), (place / "twice").read_text()
        assert result["state"] == "SUCCEEDED"
        assert [step["state"] for step in result["steps"]] == ["SUCCEEDED"] * 6
        assert (place / "gathered").read_text() == "[1, 4, 9] shell is done\n"
        assert (place / "told").read_text() == "SUCCEEDED"


def _run_and_kill(directory: Path, place: Path, run_id: str, runtime: str, draw: random.Random) -> tuple[Any, int]:
    """The result of a run of which now the runner is killed, now more; and how often that was."""
    kills, patience = 0, 4.0
    record = directory / "runs" / "killed" / run_id / "run.json"
    while True:
        given = [str(directory / "killed.py"), "--run-id", run_id, "-p", f"directory={place}"]
        command = [TURNOUT, "run", *(["--resume", run_id] if record.exists() else given), "--runtime", runtime]
        command += ["--root", str(directory / "runs"), "--no-cache", "--json", "--parallelism", "4"]
        with subprocess.Popen(command, cwd=directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as it:
            try:
                out, err = it.communicate(timeout=draw.uniform(0.5, patience))
            except subprocess.TimeoutExpired:
                kills += 1
                patience *= 1.2
                _kill(it.pid, draw)
                continue
        if "has succeeded; there is nothing to resume" in err:  # killed between its end and its exit
            return json.loads(record.read_text()), kills
        assert it.returncode == 0, err + out
        with ArtifactStore(str(directory / "runs")).lock(Run("killed", run_id, ""), patience=5):
            return json.loads(out), kills


def _kill(runner: int, draw: random.Random) -> None:
    """Kill the runner, and perhaps what starts steps for it, in any order."""
    helpers = sorted(servers(runner) | supervisors(runner))
    chosen = draw.choice([[], helpers, draw.sample(helpers, draw.randint(0, len(helpers)))])
    victims = [runner, *chosen]
    draw.shuffle(victims)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
