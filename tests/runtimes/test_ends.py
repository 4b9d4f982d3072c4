"""Nothing of a step outlives it, or those who run it; who is lost of those who start steps has a successor."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import forked_by, lives, servers, supervisors
from waiting import wait

from turnout.errors import StepError
from turnout.execution.runtime import Runtime
from turnout.execution.store import ArtifactStore
from turnout.runtimes.leftovers import end_leftovers
from turnout.runtimes.process import ProcessRuntime
from turnout.runtimes.warm import Workers
from turnout.spec.step_contract import Run

DAEMONS = """
import os, subprocess, sys, time
pids = []
for intermediate in (False, True):
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if intermediate and os.fork():
            os._exit(0)
        os.write(write, str(os.getpid()).encode())
        time.sleep(600)
    pids.append(os.read(read, 20).decode())
pids.append(str(subprocess.Popen(["sleep", "600"], start_new_session=True).pid))
open(sys.argv[1], "w").write(" ".join(pids))
"""
"""A program that leaves three processes behind, each in a session of its own."""

STAY = 'print("", os.getpid(), file=open(sys.argv[1], "a"), flush=True)\ntime.sleep(600)\n'
"""Tells its own id too, and stays."""

WARM = '''
from turnout import component

@component
def leave(path: str):
    """Leave processes behind.

    Args:
        path: of a file for their ids.
    """
    import sys
    sys.argv = ["", path]
    exec({program!r}, {{}})
'''


def told(path: Path) -> list[int]:
    """The ids in a file, once they are there."""
    return wait(lambda: path.exists() and [int(pid) for pid in path.read_text().split()], str(path), 5)


@pytest.fixture(params=["cold", "below a server", "warm"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def runtime(kind: str, tmp_path: Path) -> Iterator[Runtime]:
    with Workers(str(tmp_path)) as workers:
        yield ProcessRuntime(directory=str(tmp_path)) if kind == "cold" else workers.runtime()


def leaving(kind: str, directory: Path, stays: bool = False) -> list[str]:
    """A command that leaves processes behind, and their ids in the file `pids`; its own too, if it stays."""
    program = DAEMONS + (STAY if stays else "")
    if kind != "warm":  # a step whose work is that of a child
        return ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", program, str(directory / "pids")]
    (directory / "leaving.py").write_text(WARM.format(program=program))
    contract = {"inputs": {"parameterValues": {"path": f"{directory}/pids"}}}
    contract["outputs"] = {"outputFile": f"{directory}/output.json"}
    return ["turnout", "exec", "leaving:leave", "--executor-input", json.dumps(contract)]


def test_what_a_step_leaves_in_other_sessions_ends_with_it(runtime: Runtime, kind: str, tmp_path: Path) -> None:
    command = leaving(kind, tmp_path)
    assert runtime.run(command, {}, tmp_path / "log.txt", print) == 0, (tmp_path / "log.txt").read_text()
    pids = told(tmp_path / "pids")
    assert len(pids) == 3
    assert not any(map(lives, pids))


def test_what_a_cancelled_step_leaves_ends_with_it(runtime: Runtime, kind: str, tmp_path: Path) -> None:
    script = f'setsid sleep 600 & echo "$! $$" > {tmp_path}/pids; trap "" TERM; sleep 600; sleep 600'
    timer = threading.Timer(0, lambda: told(tmp_path / "pids") and runtime.cancel(grace=0.1))
    timer.start()
    with pytest.raises(StepError, match="the step was cancelled"):
        runtime.run(["sh", "-c", script], {}, tmp_path / "log.txt", print)
    timer.join()
    wait(lambda: not any(map(lives, told(tmp_path / "pids"))), "the end of what was left", 2)


def test_a_step_of_which_another_waits_is_told_of_ends_as_it_did(runtime: Runtime, tmp_path: Path) -> None:
    for end, status in (("exit 3", 3), ("kill -9 $$", -9), ("kill -ABRT $$", -6)):
        assert runtime.run(["sh", "-c", end], {}, tmp_path / "log.txt", print) == status


def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "odd").write_text("\0\0")
    (tmp_path / "odd").chmod(0o755)
    assert ProcessRuntime().run([str(tmp_path / "odd")], {}, tmp_path / "log.txt", print) == 126
    assert "the command cannot be run: Exec format error" in (tmp_path / "log.txt").read_text()


RUNNER = """
import sys
from pathlib import Path
from turnout.execution.store import ArtifactStore
from turnout.runtimes.process import ProcessRuntime
from turnout.runtimes.warm import Workers
from turnout.spec.step_contract import Run
kind, directory, *command = sys.argv[1:]
with ArtifactStore(directory).lock(Run("p", "r", "")) as keep, Workers(directory, keep) as workers:
    runtime = ProcessRuntime(directory=directory, keep=keep) if kind == "cold" else workers.runtime()
    runtime.run(command, {}, Path(directory, "log.txt"), print)
"""


@pytest.mark.parametrize("killed", ["the runner", "the runner and the server", "all but the step"])
def test_a_step_does_not_outlive_its_runner_and_its_server(kind: str, killed: str, tmp_path: Path) -> None:
    runner = subprocess.Popen([sys.executable, "-c", RUNNER, kind, str(tmp_path), *leaving(kind, tmp_path, stays=True)])
    file = tmp_path / "pids"
    pids = wait(lambda: file.exists() and len(found := told(file)) == 4 and found, "the step to be at work", 9)
    store = ArtifactStore(str(tmp_path))
    lost = set()
    if killed != "the runner":
        lost = servers(runner.pid)
    if killed == "all but the step":
        lost |= supervisors(runner.pid)
    assert all(map(lives, pids))
    for pid in (runner.pid, *lost):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    runner.wait()
    with store.lock(Run("p", "r", "")) as keep:  # waits for those who end the rest
        if killed == "all but the step":
            end_leftovers(keep)
        assert not any(map(lives, pids))


def test_an_idle_process_that_is_lost_and_a_server_that_is_lost_have_successors(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with Workers(str(tmp_path)) as workers:
        runtime = workers.runtime()
        run: Callable[[str], int] = lambda script: runtime.run(["sh", "-c", script], {}, log, print)  # noqa: E731
        assert run("exit 1") == 1
        for count in range(6):
            (server,) = servers(os.getpid())
            (spare,) = wait(lambda server=server: len(found := forked_by(server)) == 1 and found, "one process", 5)
            os.kill(server if count % 3 == 2 else spare, signal.SIGKILL)
            if count % 2:
                time.sleep(0.05)
            assert run(f"exit {count}") == count


def test_a_step_whose_server_is_lost_has_failed(tmp_path: Path) -> None:
    with Workers(str(tmp_path)) as workers, ThreadPoolExecutor(1) as pool:
        script = f"echo $$ > {tmp_path}/pids; sleep 600"
        running = pool.submit(workers.runtime().run, ["sh", "-c", script], {}, tmp_path / "log.txt", print)
        told(tmp_path / "pids")
        (server,) = servers(os.getpid())
        os.kill(server, signal.SIGKILL)
        with pytest.raises(StepError, match="the process that starts steps has ended"):
            running.result(timeout=30)


def test_a_thousand_steps_at_once(tmp_path: Path) -> None:
    """All are at work at the same time: none ends before all have begun."""
    count = 1000
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    script = f"echo >> {tmp_path}/begun; read line < {tmp_path}/gate; exit 7"
    with Workers(str(tmp_path)) as workers, ThreadPoolExecutor(count) as pool:

        def step(index: int) -> int:
            return workers.runtime().run(["sh", "-c", script], {}, tmp_path / f"log-{index}.txt", print)

        running = [pool.submit(step, index) for index in range(count)]
        begun = tmp_path / "begun"
        wait(lambda: begun.exists() and begun.stat().st_size == count, "the begin of all", 30)
        os.write(gate, b"\n" * count)
        assert [item.result() for item in running] == [7] * count
    os.close(gate)


WIDE = """
from kfp import dsl

@dsl.container_component
def noop(n: int):
    return dsl.ContainerSpec(image="any", command=["true"], args=[n])

@dsl.pipeline
def wide():
    with dsl.ParallelFor(list(range(150))) as n:
        noop(n=n)
"""


@pytest.mark.parametrize("runtime", ["warm", "process"])
def test_many_steps_at_once_where_few_files_may_be_open(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "wide.py").write_text(WIDE)
    command = [str(Path(sys.executable).parent / "turnout"), "run", "wide.py", "--parallelism", "150", "--json"]
    command = ["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh", *command, "--runtime", runtime]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    assert [step["state"] for step in json.loads(done.stdout)["steps"]] == ["SUCCEEDED"] * 150
