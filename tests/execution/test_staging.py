"""The side-car of a step's pod stores its outcome, however early it is told that the step's container has ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from turnout.execution.launcher import EXECUTOR_INPUT
from turnout.execution.staging import main, write_task
from turnout.execution.store import ArtifactStore
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import ComponentSpec
from turnout.spec.step_contract import Run, State, Task


def waits_with_it(pid: int) -> bool:
    """Whether a process has put the signal off."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_container_that_is_killed_while_its_side_car_loads_leaves_an_outcome(tmp_path: Path) -> None:
    store, shared = ArtifactStore(str(tmp_path / "root")), tmp_path / "shared"
    (shared / ".launcher" / "parameters").mkdir(parents=True)
    run = Run("pipeline", "run", "2026-01-01T00:00:00Z")
    task = Task(run, "step", ComponentSpec(), PipelineContainerSpec(), {}, {})
    uri = write_task(task, store, store.attempt_path(task))
    assert main(["in", uri, str(shared)]) == 0
    assert (shared / EXECUTOR_INPUT).exists()

    beside = subprocess.Popen([sys.executable, "-m", "turnout", "stage", "out", uri, str(shared)])
    while not waits_with_it(beside.pid):
        assert beside.poll() is None
        time.sleep(0.01)
    beside.terminate()
    assert beside.wait(60) == 0
    outcome = store.outcome(run, "step", ())
    assert outcome is not None
    assert outcome.state is State.FAILED
    assert outcome.error.startswith("the container was ended before its command was")
