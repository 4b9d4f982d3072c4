"""A fork server that the tasks of a worker share: see `forkserver`, and `shared` for who asks.

    python -m turnout.runtimes.shared_server PROTOCOL DESCRIPTOR PATH SECONDS

The descriptor is that of a socket that listens at the path. Each request has a connection of its own, which takes the
answers, and a key more: `worker`, the process to which the task belongs. When none has come for so many seconds, or
soon after the last of the workers has ended, the server ends.

The first steps import what they need themselves, as in a process of their own. What a step asks for that another has
used, and has ended well with, is imported here when there is nothing else to do. As soon as a file changes from which
anything was imported, the server takes no more requests, and ends after its steps.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from turnout.runtimes.forkserver import HEAD, Request, Server, receive_body

PROTOCOL = "1"
"""What server and tasks say to each other; they may be of different environments."""

_PATIENCE_S = 5.0
_TICK_MS = 500


class SharedServer(Server):
    """Serves tasks until none has come for a while.

    Args:
        listener: a socket that listens at the path.
        patience: seconds to wait for the next request.
    """

    def __init__(self, listener: socket.socket, path: Path, patience: float):
        super().__init__(listener)
        self.path, self.patience = path, patience
        self.place = path.stat().st_ino
        self.components: dict[int, str] = {}
        self.asked_for: list[str] = []
        self.proven: set[str] = set()
        self.states: dict[str, tuple[int, ...]] = {}
        self.workers: dict[int, int] = {}
        self.at_work = time.monotonic()
        self.retired = False

    def pause(self) -> float | None:
        return None if self.children and self.retired else super().pause() or _TICK_MS

    def rest(self) -> None:
        if self.retired:
            if not self.children:
                self.close()
        elif self.spare is None and (wanted := self.wanted()):
            self.load([wanted])
        elif self.spare is None and self.asked:
            super().rest()
        elif not self.children and (time.monotonic() - self.at_work > self.waits() or not self.is_found()):
            self.retire()

    def is_found(self) -> bool:
        """Whether those who look for a server at the path find this one."""
        with contextlib.suppress(OSError):
            return self.path.stat().st_ino == self.place
        return False

    def waits(self) -> float:
        """Seconds to wait for the next request: fewer when there is no worker left to make one."""
        poll = select.poll()
        for descriptor in self.workers.values():
            poll.register(descriptor, select.POLLIN)
        return self.patience if len(poll.poll(0)) < len(self.workers) else min(self.patience, _PATIENCE_S)

    def take(self) -> None:
        connection, _ = self.control.accept()
        connection.settimeout(_PATIENCE_S)
        try:
            request = receive_body(connection, connection.recv(HEAD, socket.MSG_WAITALL))
        except OSError:
            request = None
        connection.settimeout(None)
        if request is not None and not gone(connection):
            if not self.changed():
                self.begin(request, connection)
                return
            self.retire()  # who asks again finds no server, and starts the next
        connection.close()

    def begin(self, request: Request, answers: socket.socket) -> None:
        self.watch(request.pop("worker"))
        pid = self.start(request, answers)
        if pid is not None and request["program"] == "turnout":
            self.components[pid] = request["arguments"][0].partition(":")[0]
            self.asked_for.append(self.components[pid])

    def watch(self, worker: int) -> None:
        self.at_work = time.monotonic()
        if worker not in self.workers:
            with contextlib.suppress(OSError):
                self.workers[worker] = os.pidfd_open(worker)

    def ended(self, pid: int, status: int) -> None:
        super().ended(pid, status)
        self.at_work = time.monotonic()
        component = self.components.pop(pid, None)
        if component is not None and status == 0:
            self.proven.update(uses(component))

    def wanted(self) -> str | None:
        """A module to import next, of those that steps have asked for."""
        while self.asked_for:
            for module in uses(self.asked_for[0]):
                if module in self.proven and module not in self.modules:
                    return module
            del self.asked_for[0]
        return None

    def load(self, new: list[str]) -> None:
        super().load(new)
        for module in [*sys.modules.values()]:
            file = getattr(module, "__dict__", {}).get("__file__")
            if isinstance(file, str) and file not in self.states:
                self.states[file] = state(file)

    def changed(self) -> bool:
        """Whether anything was imported that is another file now."""
        return any(state(file) != known for file, known in self.states.items())

    def retire(self) -> None:
        """Take no more requests."""
        self.retired = True
        self.discard()
        with contextlib.suppress(OSError), locked(self.path):
            if self.is_found():
                self.path.unlink()
        self.poll.unregister(self.control)
        self.control.close()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else starts or ends a server at a path meanwhile."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def state(file: str) -> tuple[int, ...]:
    """What changes when a file does; empty when there is none."""
    try:
        facts = os.stat(file)  # noqa: PTH116 - of some thousand files for each request
    except OSError:
        return ()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def gone(connection: socket.socket) -> bool:
    """Whether nobody waits for answers any more."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


@functools.cache
def uses(component: str) -> list[str]:
    """The libraries that a component's code imports, also inside its functions; and its own module."""
    from turnout.execution.code_digest import libraries

    try:
        return [*libraries(component), component]
    except (ImportError, OSError, SyntaxError, ValueError):  # the step itself will say so
        return []


def main(protocol: str, descriptor: str, path: str, seconds: str) -> None:
    if protocol == PROTOCOL:
        SharedServer(socket.socket(fileno=int(descriptor)), Path(path), float(seconds)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
