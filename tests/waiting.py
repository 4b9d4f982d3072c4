"""What tests of servers need: ports of their own, and patience with an end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


PATIENCE = 5
"""How many times longer than on a quiet machine a test waits: several run at once."""


def wait(condition: Callable[[], Any], what: str, seconds: float) -> Any:
    """What a condition gives, when it gives something.

    Args:
        seconds: that it may take on a quiet machine.
    """
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise TimeoutError(f"waited {seconds:.0f} s for {what}")
