"""Runs a command, and ends all that it has started when it ends, or when the process that asked for it does.

    python -IS supervisor.py PARENT KEEP COMMAND...

PARENT is the id of the process that asks, or `-`: then this one leaves it, and lasts as long as the command. KEEP is a
descriptor to hold open meanwhile, or `-`; all others are the command's alone. What the command leaves behind comes to
this process, also from sessions of its own. SIGTERM is passed on to the command's process group; SIGQUIT ends all at
once. This process ends as the command did. It is a script with few imports: it starts in milliseconds.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from typing import NoReturn

_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # of prctl(2)
_HEEDED = (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD)
_PATIENCE_S = 10.0


def main(parent: str, keep: str, command: list[str]) -> NoReturn:
    if parent == "-":
        if os.fork():
            os._exit(0)
        asking = None
    else:
        try:
            asking = os.pidfd_open(int(parent))
        except ProcessLookupError:
            os._exit(1)
        if os.getppid() != int(parent):  # it ended before, and its number is another's
            os._exit(1)
    if keep != "-":
        os.set_inheritable(int(keep), False)
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_SUBREAPER, 1)
    signalled, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup)
    for number in _HEEDED:
        signal.signal(number, lambda *_: None)
    pid = _start(command, libc)
    own = {0, 1, 2, asking, signalled, wakeup, int(keep) if keep != "-" else None}
    for descriptor in sorted({int(name) for name in os.listdir("/proc/self/fd")} - own):  # noqa: PTH208 - as below
        with contextlib.suppress(OSError):
            os.close(descriptor)
    poll = select.poll()
    if asking is not None:
        poll.register(asking, select.POLLIN)
    poll.register(signalled, select.POLLIN)
    status = None
    while status is None:
        ready = {descriptor for descriptor, _ in poll.poll()}
        numbers = os.read(signalled, 512) if signalled in ready else b""
        if asking in ready or signal.SIGQUIT in numbers:
            break
        if signal.SIGTERM in numbers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
        status = _reaped(pid)
    _end_all()
    _end_as(os.waitstatus_to_exitcode(status) if status is not None else -signal.SIGKILL)


def _start(command: list[str], libc: ctypes.CDLL) -> int:
    """The id of a process, in a group of its own, that has become the command, and dies with this one."""
    supervisor = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
    pid = os.fork()
    if pid == 0:
        libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        for number in _HEEDED:
            signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(PermissionError, ProcessLookupError):  # here and there: whoever is first, the group exists
        os.setpgid(pid, pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
    if pid == 0:
        try:
            os.execve(command[0], command, os.environ)
        except OSError as error:
            os.write(2, f"the command cannot be run: {error.strerror}: {command[0]}\n".encode())
            os._exit(126)
    return pid


def _reaped(pid: int) -> int | None:
    """The command's status if it has ended; whatever else came here, and has ended, is forgotten."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                return ended[1]
    return None


def _end_all() -> None:
    """End what is below this process: as something ends, what it had started comes here."""
    deadline = time.monotonic() + _PATIENCE_S
    while (children := _children()) and time.monotonic() < deadline:
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        _reaped(0)
        time.sleep(0.001)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - pathlib takes as long as all else
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _end_as(code: int) -> NoReturn:
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its own
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
