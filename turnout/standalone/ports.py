"""Ports of this machine: whether one is free, and who listens on it."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from turnout.errors import ServerError

LOOPBACK = "127.0.0.1"


def check_free(port: int, what: str, option: str) -> None:
    """Raises ServerError when somebody listens on a port, and says who, where this can be known.

    Args:
        what: the server that shall listen there.
        option: of the command, that gives it another port.
    """
    try:
        socket.create_server((LOOPBACK, port)).close()
    except PermissionError as error:
        what = f"{what} may not listen on port {port}: {error.strerror}"
        raise ServerError(what, hint=f"take a port above 1023 with {option}") from error
    except OSError as error:
        ends = f"end that process, or take another port with {option}"
        raise ServerError(f"port {port}, which {what} needs, is taken by {holder(port)}", hint=ends) from error


def holder(port: int) -> str:
    """The process that has a TCP port of this machine, in words."""
    sockets = {f"socket:[{inode}]" for inode in _sockets(port)}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if any(str(file.readlink()) in sockets for file in (place / "fd").iterdir()):
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {place.name} ({command[:100]})"
    return "a process that this user may not see"


def _sockets(port: int) -> set[str]:
    """The inodes of the sockets of a port: one that listens, or connections from there."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found
