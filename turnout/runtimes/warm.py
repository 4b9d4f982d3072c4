"""Warm workers: steps run in processes that are forked with the science loaded, one for each attempt.

A server process per environment imports what the steps need, once, and forks (see `forkserver`).
Commands that are not Python functions run below the same servers, so that whatever becomes of the
runner, nothing of its steps outlives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from turnout.errors import StepError
from turnout.execution import code_digest
from turnout.execution.runtime import Runtime
from turnout.runtimes import forkserver, process
from turnout.runtimes.leftovers import mark
from turnout.runtimes.process import (
    PATIENT,
    Processes,
    end_group,
    follow,
    interpreter,
    locate,
    readable,
    step_environment,
    supervised,
)

_LIGHTWEIGHT = re.compile(
    r'\s*program_path=\$\(mktemp -d\)\s+printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"\s+'
    r"_KFP_RUNTIME=true python3 -m kfp\.dsl\.executor_main\s+"
    r'--component_module_path\s+"\$program_path/ephemeral_component\.py"\s+"\$@"\s*'
)


_TRIES = 3
_LOST = "the process that starts steps has ended; perhaps the machine ran out of memory"

MODULES: dict[str, tuple[str, ...]] = {
    "command": (),
    "turnout": ("kfp.dsl.executor", "turnout.execution.executor", "jsonschema"),
    "outside": ("turnout.execution.executor",),
    "lightweight": ("kfp.dsl.executor_main",),
}
"""What each kind of program needs, whatever its component."""


SUPPORT = process.SUPPORT
"""What becomes of a step's settings: the same as in any process."""

SETTINGS = process.SETTINGS


class WarmProcesses(Processes):
    """Runs a run's steps below servers that have loaded the science; see `turnout.runtimes.steps.StepRunner`."""

    @contextlib.contextmanager
    def started(self, keep: int | None, commands: Iterable[Sequence[str]] = ()) -> Iterator[object]:
        with Workers(self.directory, keep, needed_once(commands)) as self._workers:
            yield self

    def runtime(self, python: str) -> Runtime:
        return self._workers.runtime(python)


class Workers:
    """The servers of one run, started when they are first needed; a context manager that ends them.

    Args:
        directory: the working directory of the steps; this process's when None.
        keep: a descriptor that the servers hold open as long as something of the run lives.
        left_out: modules that servers do not import; a step that needs one imports it itself.
    """

    def __init__(self, directory: str | None = None, keep: int | None = None, left_out: frozenset[str] = frozenset()):
        self.directory = directory or str(Path.cwd())
        self.keep, self.left_out = keep, left_out
        self._servers: dict[tuple[Path, bool], _Server] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()

    def runtime(self, python: str = sys.executable) -> WorkerRuntime:
        """A runtime for one attempt of a step."""
        return WorkerRuntime(self, interpreter(python))

    def begin(self, request: Mapping[str, Any], python: Path) -> tuple[int, socket.socket, IO[str]]:
        """Have a request begun: the id of its process, and where the answers come, as a socket and as lines.

        As long as no process has told its id, nothing has begun. So a server that was lost before has a successor.

        Raises:
            StepError: there can be no process, or servers are lost again and again.
        """
        lost: _Server | None = None
        for _ in range(_TRIES):
            server = self._server(python, request["program"] != "command", lost)
            answers = server.request(request)
            message, lines = first_of(answers)
            if "pid" in message:
                return int(message["pid"]), answers, lines
            lost = server if not message else None  # or only the process that it was given to is lost
        raise StepError(_LOST)

    def modules(self, program: str, arguments: Sequence[str]) -> list[str]:
        """The modules that a server loads before it forks a process for a program."""
        found = list(MODULES[program])
        if program == "turnout":
            found += [item for item in _science(arguments[0]) if item not in self.left_out]
        elif program == "outside":
            found.append(arguments[0].partition(":")[0])
        return found

    def _server(self, python: Path, warm: bool, lost: _Server | None) -> _Server:
        """The server of an environment: one with imports, another, small one for other commands."""
        with self._lock:
            server = self._servers.get((python, warm))
            if server is not None and server is lost:
                server.close()
                server = None
            if server is None:
                server = self._servers[python, warm] = _Server(python, self.directory, self.keep)
            return server


def first_of(answers: socket.socket) -> tuple[dict[str, Any], IO[str]]:
    """The first answer to a request, empty when its server is lost, and the lines of the others.

    Without a `pid` nothing has begun, and both are closed.

    Raises:
        StepError: there can be no process.
        TimeoutError: nothing has come in the socket's time.
    """
    lines = answers.makefile("r")
    message: dict[str, Any] = {}
    try:
        with contextlib.suppress(ConnectionError):
            message = json.loads(lines.readline() or "{}")
    finally:
        if "pid" not in message:
            lines.close()
            answers.close()
    if "error" in message:
        raise StepError(message["error"])
    return message, lines


class WorkerRuntime:
    """Runs a command below a server, as `turnout.execution.runtime.Runtime` says."""

    def __init__(self, workers: Workers, python: Path):
        self.workers, self.python = workers, python
        self._cancelled = threading.Event()
        self._running: tuple[int, socket.socket] | None = None

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        variables = step_environment(self.python, {**os.environ, **environment, **mark(self.workers.keep)})
        program, arguments = warm_program(command)
        if program == "command":
            arguments = locate(command, variables["PATH"], self.python)
        request = {
            "program": program,
            "arguments": arguments,
            "environment": variables,
            "directory": self.workers.directory,
            "log": str(log),
            "modules": self.workers.modules(program, arguments),
        }
        log.touch()
        pid, answers, lines = self.workers.begin(request, self.python)
        with answers, lines:
            self._running = (pid, answers)
            message: dict[str, Any] = {}
            try:
                if self._cancelled.is_set():
                    self.cancel()
                follow(log, answers.fileno(), on_line, timeout)
                message = json.loads(lines.readline() or "{}")
            finally:
                self._running = None
                if not message:  # or else it has told its end, and the server ends what is left
                    end_group(pid, lambda seconds: readable(answers.fileno(), seconds), grace=0)
            if self._cancelled.is_set():  # however it ended: it may have been in the middle of something
                raise StepError("the step was cancelled")
            if not message:
                raise StepError(_LOST)
            return int(message["status"])

    def cancel(self, grace: float = 5.0) -> None:
        self._cancelled.set()
        if (running := self._running) is not None:
            pid, answers = running
            end_group(pid, lambda seconds: readable(answers.fileno(), seconds), grace)


def warm_program(command: Sequence[str]) -> tuple[str, list[str]]:
    """How a server runs a command: the kind of program, and its arguments."""
    if list(command[:2]) in (["turnout", "exec"], ["turnout", "outside"]):
        return command[1].replace("exec", "turnout"), list(command[2:])
    if is_lightweight(command):
        return "lightweight", list(command[3:])
    return "command", list(command)


def is_lightweight(command: Sequence[str]) -> bool:
    """Whether a command is that of KFP's own lightweight components, which install nothing."""
    return len(command) > 4 and list(command[:2]) == ["sh", "-ec"] and bool(_LIGHTWEIGHT.fullmatch(command[2]))


def needed_once(commands: Iterable[Sequence[str]]) -> frozenset[str]:
    """The libraries that one command alone may need: loading them ahead saves nothing.

    It would cost, where the command returns before it needs them; and other steps would wait meanwhile.
    """
    wanted = Counter(
        module
        for command in commands
        if list(command[:2]) == ["turnout", "exec"]
        for module in _science(command[2])[:-1]
    )
    return frozenset(module for module, count in wanted.items() if count == 1)


def _science(target: str) -> list[str]:
    """The libraries that a component's code imports, also inside its functions; and its own module."""
    module = target.partition(":")[0]
    try:
        return [*code_digest.libraries(module), module]
    except (ImportError, OSError, SyntaxError, ValueError):  # the step itself will say so
        return []


class _Server:
    def __init__(self, python: Path, directory: str, keep: int | None):
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = supervised(
                [str(python), forkserver.__file__, str(theirs.fileno())],
                keep,
                pass_fds=(theirs.fileno(),),
                cwd=directory,
                env={**PATIENT, **os.environ, **mark(keep)},
            )
        self._lock = threading.Lock()

    def request(self, request: Mapping[str, Any]) -> socket.socket:
        """Send a request; the socket gives the answers, or ends if there is nobody to give any."""
        ours, theirs = socket.socketpair()
        with self._lock, theirs, contextlib.suppress(OSError):
            forkserver.send(self._control, dict(request), theirs)
        return ours

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
