"""The processes of this machine, as a test looks at them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from turnout.runtimes import forkserver, supervisor


def parent(pid: int) -> int:
    """The id of a process's parent; 0 when it has ended."""
    with contextlib.suppress(OSError):
        return int(_status(pid)[1])
    return 0


def lives(pid: int) -> bool:
    """Whether there is a process that has not ended."""
    with contextlib.suppress(OSError):
        return _status(pid)[0] != "Z"
    return False


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def supervisors(runner: int) -> set[int]:
    """The processes that a runner has set above servers and steps."""
    return {pid for pid in running(supervisor.__file__) if parent(pid) == runner}


def servers(runner: int) -> set[int]:
    """The fork servers below a runner; steps are what they have forked."""
    above = supervisors(runner)
    return {pid for pid in running(forkserver.__file__) if parent(pid) in above}


def forked_by(server: int) -> list[int]:
    """The processes that a fork server has forked."""
    return [pid for pid in running(forkserver.__file__) if parent(pid) == server]


def running(script: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if script.encode() in (place / "cmdline").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found
