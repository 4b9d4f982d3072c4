"""Warm processes for the tasks of a worker, such as Airflow's, each of which is a process of its own.

The first task that needs one starts a server (see `shared_server`), apart from itself; those after it find it, by a
socket in the user's cache directory. There is one for each environment, directory and set of variables.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from turnout.errors import StepError
from turnout.execution.environments import user_cache
from turnout.execution.runtime import Runtime
from turnout.runtimes import shared_server, supervisor
from turnout.runtimes.forkserver import HEAD
from turnout.runtimes.process import ProcessRuntime
from turnout.runtimes.shared_server import PROTOCOL, locked
from turnout.runtimes.warm import MODULES, Workers, first_of, is_lightweight, warm_program

_TRIES = 3
_MOST = 8
"""Servers of one user at the same time: each may hold hundreds of megabytes."""

_OWN = ("AIRFLOW_", "_AIRFLOW_", "__AIRFLOW_", "TURNOUT_")
"""How variables begin that may be others in the next task, and that no library reads when it is loaded."""

_PATIENCE_S = 60.0
"""Seconds in which a server begins a step, or is taken for lost."""


class Unavailable(StepError):
    """There can be no server, and nothing has begun."""


class SharedRuntime:
    """Runs a Python function in a process that a shared server forks, and any other command in one of its own.

    Args:
        python: the interpreter of the environment to run in.
        directory: the working directory of the command; this process's when None.
        seconds: how long a server waits for the next task; 0: there is none.
        worker: the process that this task belongs to; servers end soon after it.
    """

    def __init__(self, python: str, directory: str | None, seconds: float, worker: int | None = None):
        self.python, self.directory, self.seconds = python, directory, seconds
        self.worker = worker or os.getppid()
        self._running: Runtime | None = None
        self._cancelled = False

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        if self.seconds and warm_program(command)[0] != "command":
            workers = SharedWorkers(self.directory, self.seconds, self.worker)
            try:
                return self._run(workers.runtime(self.python), command, environment, log, on_line, timeout)
            except Unavailable as error:
                on_line(f"{error}: the step starts a Python of its own")
        # KFP's own executor takes arguments no longer than Linux does, and ends with the destructors of libraries, in
        # which Arrow's threads abort (`run_to_end`); a worker does neither.
        if is_lightweight(command):
            with Workers(self.directory) as own:
                return self._run(own.runtime(self.python), command, environment, log, on_line, timeout)
        return self._run(ProcessRuntime(self.python, self.directory), command, environment, log, on_line, timeout)

    def _run(self, runtime: Runtime, *arguments: Any) -> int:
        self._running = runtime
        if self._cancelled:
            runtime.cancel()
        return runtime.run(*arguments)

    def cancel(self, grace: float = 5.0) -> None:
        self._cancelled = True
        if self._running is not None:
            self._running.cancel(grace)


class SharedWorkers(Workers):
    """The servers of this user that last.

    Args:
        directory: the working directory of the steps; this process's when None.
        seconds: how long a server that is started here waits for the next task.
        worker: the process that this task belongs to.
    """

    def __init__(self, directory: str | None, seconds: float, worker: int):
        super().__init__(directory)
        self.seconds, self.worker = seconds, worker

    def modules(self, program: str, arguments: Sequence[str]) -> list[str]:
        return list(MODULES[program])  # the server sees itself what else is useful

    def begin(self, request: Mapping[str, Any], python: Path) -> tuple[int, socket.socket, IO[str]]:
        """Have a request begun; see `Workers`.

        Raises:
            Unavailable: there is no server, and none can be started.
        """
        body = json.dumps({**request, "worker": self.worker}).encode()
        try:
            environment = {name: value for name, value in request["environment"].items() if not name.startswith(_OWN)}
            place = self._place(python, environment)
            for _ in range(_TRIES):
                answers = self._connected(place, python, environment)
                answers.settimeout(_PATIENCE_S)
                with contextlib.suppress(ConnectionError):
                    answers.sendall(len(body).to_bytes(HEAD, "big") + body)
                try:
                    message, lines = first_of(answers)
                except TimeoutError:
                    with locked(place):
                        place.unlink(missing_ok=True)
                    raise
                if "pid" in message:
                    answers.settimeout(None)
                    return int(message["pid"]), answers, lines
        except (OSError, RuntimeError) as error:
            raise Unavailable(f"no process with the libraries loaded can be had ({error})") from error
        raise Unavailable(
            f"the process with the libraries loaded ends again and again: see {place.with_suffix('.log')}"
        )

    def _place(self, python: Path, environment: Mapping[str, str]) -> Path:
        """Where the socket of a server is. Whoever has one in common is on one machine, and sees the same files."""
        spaces = [Path(f"/proc/self/ns/{name}").readlink().name for name in ("mnt", "pid", "net")]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        facts = json.dumps([str(python), self.directory, sorted(environment.items()), spaces, boot, PROTOCOL])
        directory = user_cache() / "servers"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.stat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(f"{directory} is open to other users")
        return directory / f"{hashlib.sha256(facts.encode(errors='surrogateescape')).hexdigest()[:32]}.socket"

    def _connected(self, place: Path, python: Path, environment: Mapping[str, str]) -> socket.socket:
        """A connection to the server at a place, which is started if there is none."""
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            return _connect(place)
        with locked(place):
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return _connect(place)
            place.unlink(missing_ok=True)
            _make_room(place.parent)
            with socket.socket(socket.AF_UNIX) as listener:
                with _short(place) as address:
                    listener.bind(address)
                listener.listen(4096)
                self._start(listener.fileno(), place, python, environment)
            return _connect(place)

    def _start(self, listener: int, place: Path, python: Path, environment: Mapping[str, str]) -> None:
        """Start a server: below a supervisor, which leaves this process at once."""
        above = [sys.executable, "-IS", supervisor.__file__, "-", "-"]
        server = [str(python), "-m", shared_server.__name__, PROTOCOL, str(listener), str(place), str(self.seconds)]
        with place.with_suffix(".log").open("wb") as log:
            subprocess.run(
                [*above, *server],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=dict(environment),
                pass_fds=(listener,),
                start_new_session=True,
                check=True,
            )


def _make_room(directory: Path) -> None:
    """Forget servers that were killed. Raises OSError when there are as many as there may be."""
    found = list(directory.glob("*.socket"))
    if len(found) >= _MOST:
        for place in [*found]:
            try:
                _connect(place).close()
            except OSError:
                place.unlink(missing_ok=True)
                found.remove(place)
    if len(found) >= _MOST:
        raise OSError(f"there are {_MOST} already")


def _connect(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short(place) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _short(place: Path) -> Iterator[str]:
    """A path as an address of a socket, which is at most 107 bytes long."""
    directory = os.open(place.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{place.name}"
    finally:
        os.close(directory)
