"""Tasks of a worker share a process that has loaded what their steps need; it never stands in their way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import lives, parent, running
from waiting import wait

from turnout.errors import StepError
from turnout.runtimes import shared, shared_server
from turnout.runtimes.shared import SharedRuntime

COMPONENTS = '''
from turnout import component

@component
def told(path: str, wait: str = ""):
    """Write the process's id, and whether a library was loaded before.

    Args:
        path: of a file to add to.
        wait: a pipe to read from, if any.
    """
    import os, library
    before = library.loaded_by != os.getpid()
    with open(path, "a") as file:
        file.write(f"{os.getpid()} {os.getppid()} {before} {VERSION}\\n")
    if wait:
        open(wait).read()

VERSION = 1
'''
LIBRARY = "import os\nloaded_by = os.getpid()\n"


class Project:
    """A directory with a component, and tasks that run it."""

    def __init__(self, directory: Path):
        self.directory, self.told = directory, directory / "told.txt"
        (directory / "library.py").write_text(LIBRARY)
        self.code = directory / "project" / "mine.py"
        self.code.parent.mkdir()
        self.code.write_text(COMPONENTS)

    def command(self, wait: str = "") -> list[str]:
        contract = {"inputs": {"parameterValues": {"path": str(self.told), "wait": wait}}}
        contract["outputs"] = {"outputFile": f"{self.directory}/{os.urandom(4).hex()}/output.json"}
        return ["turnout", "exec", "project.mine:told", "--executor-input", json.dumps(contract)]

    def runtime(self, seconds: float = 30, worker: int | None = None) -> SharedRuntime:
        return SharedRuntime(sys.executable, str(self.directory), seconds, worker)

    def run(self, seconds: float = 30, wait: str = "", worker: int | None = None, **environment: str) -> list[str]:
        """Run a step; the lines that it has printed."""
        lines: list[str] = []
        log = self.directory / f"log-{os.urandom(4).hex()}.txt"
        status = self.runtime(seconds, worker).run(self.command(wait), environment, log, lines.append)
        assert status == 0, lines
        return lines

    def steps(self) -> list[tuple[int, int, bool, int]]:
        """Of each step: its process, that which forked it, whether it found the library loaded, the code's version."""
        lines = [line.split() for line in self.told.read_text().splitlines()] if self.told.exists() else []
        return [(int(pid), int(above), before == "True", int(version)) for pid, above, before, version in lines]

    def servers(self) -> list[int]:
        """The servers of this project."""
        found = running(shared_server.__name__)
        own = []
        for pid in found:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                if str(self.directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    own.append(pid)
        return own


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    directory = tmp_path / ("long" * 30)  # the address of a socket is at most 107 bytes
    directory.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory / "cache"))
    made = Project(directory)
    yield made
    for pid in made.servers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait(lambda: not made.servers(), "the servers' end", 10)


def test_what_two_steps_use_is_loaded_for_the_third(project: Project) -> None:
    for _ in range(2):
        project.run()
    wait(lambda: project.run() is not None and project.steps()[-1][2], "a step that finds the library loaded", 20)
    steps = project.steps()
    assert len({server for _, server, _, _ in steps}) == 1
    assert len({pid for pid, _, _, _ in steps}) == len(steps)
    assert [loaded for _, _, loaded, _ in steps[:2]] == [False, False]
    assert steps[0][1] != os.getpid()
    assert parent(parent(steps[0][1])) != os.getpid()


def test_a_step_never_runs_code_older_than_its_file(project: Project) -> None:
    for _ in range(3):
        project.run()
    pipe = project.directory / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(project.run, wait=str(pipe))
        wait(lambda: len(project.steps()) == 4, "the step to be at work", 10)
        # Of another length: Python tells a file that is a second younger, or longer, from what it kept of it.
        project.code.write_text(COMPONENTS.replace("VERSION = 1", "VERSION = 2  # newer"))
        project.run()
        pipe.write_text("go on")
        waiting.result(timeout=20)  # what was at work has ended well
    steps = project.steps()
    assert [version for *_, version in steps] == [1, 1, 1, 1, 2]
    assert steps[-1][1] != steps[0][1]
    wait(lambda: not lives(steps[0][1]), "the end of the old server", 10)


def test_many_tasks_that_begin_at_once_share_one_server(project: Project) -> None:
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: project.run(), range(12)))
    assert len({server for _, server, _, _ in project.steps()}) == 1


def test_a_server_ends_when_nobody_has_come_for_a_while(project: Project) -> None:
    assert project.run(seconds=0.5) == []
    ((_, server, _, _),) = project.steps()
    wait(lambda: not lives(server), "the server's end", 10)
    assert not list((project.directory / "cache").rglob("*.socket"))


def test_a_server_ends_soon_after_its_worker(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = subprocess.Popen(["sleep", "600"])
    project.run(seconds=600, worker=worker.pid)
    ((_, server, _, _),) = project.steps()
    assert lives(server)
    worker.kill()
    worker.wait()
    wait(lambda: not lives(server), "the server's end", shared_server._PATIENCE_S + 10)


def test_a_lost_server_has_a_successor_and_its_step_has_failed(project: Project) -> None:
    project.run()
    os.kill(project.steps()[0][1], signal.SIGKILL)
    project.run()
    first, second = (server for _, server, _, _ in project.steps())
    assert first != second
    pipe = project.directory / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(project.run, wait=str(pipe))
        wait(lambda: len(project.steps()) == 3, "the step to be at work", 10)
        os.kill(second, signal.SIGKILL)
        with pytest.raises(StepError, match="the process that starts steps has ended"):
            waiting.result(timeout=20)
    wait(lambda: not lives(project.steps()[2][0]), "the step's end", 5)


TASK = """
import sys
from pathlib import Path
from turnout.runtimes.shared import SharedRuntime
directory, *command = sys.argv[1:]
SharedRuntime(sys.executable, directory, 30).run(command, {}, Path(directory, "log.txt"), print)
"""


def test_a_step_ends_with_its_task(project: Project) -> None:
    pipe = project.directory / "pipe"
    os.mkfifo(pipe)
    task = subprocess.Popen([sys.executable, "-c", TASK, str(project.directory), *project.command(str(pipe))])
    ((step, server, _, _),) = wait(project.steps, "the step to be at work", 20)
    task.kill()
    task.wait()
    wait(lambda: not lives(step), "the step's end", 5)
    assert lives(server)


def test_a_cancelled_step_ends(project: Project) -> None:
    pipe = project.directory / "pipe"
    os.mkfifo(pipe)
    runtime = project.runtime()
    with ThreadPoolExecutor(1) as pool:
        running_ = pool.submit(runtime.run, project.command(str(pipe)), {}, project.directory / "log.txt", print)
        ((step, _, _, _),) = wait(project.steps, "the step to be at work", 20)
        runtime.cancel(grace=0.1)
        with pytest.raises(StepError, match="the step was cancelled"):
            running_.result(timeout=20)
    wait(lambda: not lives(step), "the step's end", 5)


def test_steps_with_other_variables_have_another_server_up_to_a_limit(project: Project) -> None:
    for number in range(shared._MOST):
        assert project.run(MINE=str(number)) == []
    assert project.run(MINE="0", AIRFLOW_CTX_TASK_ID="another", AIRFLOW__CORE__ANY="other") == []
    (line,) = project.run(MINE="more")
    assert "there are 8 already" in line
    servers = [server for _, server, _, _ in project.steps()]
    assert len(set(servers[: shared._MOST])) == shared._MOST
    assert servers[shared._MOST] == servers[0]


@pytest.mark.parametrize("spoil", ["open to others", "no directory", "another environment"])
def test_where_there_can_be_no_server_a_step_starts_its_own_python(
    project: Project, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = project.directory / "cache" / "turnout" / "servers"
    cache.mkdir(parents=True)
    if spoil == "open to others":
        cache.chmod(0o777)
    elif spoil == "no directory":
        cache.rmdir()
        cache.write_text("")
    else:
        monkeypatch.setattr(shared, "PROTOCOL", "0")
    (line,) = project.run()
    assert "starts a Python of its own" in line
    assert len(project.steps()) == 1
    assert not project.servers()


def test_without_patience_there_is_no_server(project: Project) -> None:
    assert project.run(seconds=0) == []
    assert not project.servers()


def test_other_commands_are_processes_of_their_own(project: Project) -> None:
    log = project.directory / "log.txt"
    assert project.runtime().run(["sh", "-c", "exit 7"], {}, log, print) == 7
    assert not project.servers()
