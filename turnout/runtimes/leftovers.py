"""What a run whose runner was killed may have left at work, and its end.

Steps die with what started them: see `forkserver` and `supervisor`. But these may have been killed too, and then what a
step itself had started lives on. So all processes of a run carry a mark, by which they are found before it goes on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from turnout.errors import StoreError

_LOCK = "TURNOUT_RUN_LOCK"
"""Environment variable of all processes of a run: the path of its lock."""


def mark(keep: int | None) -> dict[str, str]:
    """The mark of a run's processes.

    Args:
        keep: the descriptor of the run's lock; None when it has none.
    """
    return {} if keep is None else {_LOCK: str(Path(f"/proc/self/fd/{keep}").readlink())}


def end_leftovers(keep: int | None, patience: float = 10.0) -> None:
    """End what an earlier runner of a run has left at work. To be called under the run's lock.

    Args:
        patience: seconds to wait for their end.

    Raises:
        StoreError: something of the run is still at work.
    """
    deadline = time.monotonic() + patience
    wanted = [f"{name}={value}".encode() for name, value in mark(keep).items()]
    # Again until there are none: one may have started another before it was ended.
    while wanted and (found := list(_processes(wanted[0]))):
        for descriptor in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        for descriptor in found:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise StoreError("processes of the run are still at work", where=mark(keep)[_LOCK], hint="end them")


def _processes(entry: bytes) -> Iterator[int]:
    """Descriptors of the processes that were started with a variable, whoever lets us look."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(int(place.name))  # before the look: the number may become another's
            if entry in (place / "environ").read_bytes().split(b"\0"):
                yield descriptor
            else:
                os.close(descriptor)
