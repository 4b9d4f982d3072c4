"""How a model is served on this machine: how many processes, where, by which commands."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.errors import ServerError
from turnout.serving.envoy.listener import Listening
from turnout.serving.state import write_whole


@dataclass(frozen=True)
class Serving:
    """How a model is served on this machine.

    Attributes:
        directory: of the state, and all that comes of it.
        workers: processes of each version.
        envoys: processes of Envoy at the same port.
        queue: requests that a worker has at work, or that wait for it; more are refused with 429.
        standby_s: seconds for which the version that was in service last stays loaded, so that a rollback is at once.
        log_days: for which requests, predictions and the access log are kept; 0 for all of them.
        metrics_port: for Prometheus, at the same address; 0 for none.
        worker: of a worker's settings, those that the user chose, by name.
    """

    directory: Path
    listening: Listening
    workers: int = 2
    envoys: int = 2
    queue: int = 256
    standby_s: float = 600.0
    log_days: int = 0
    metrics_port: int = 0
    worker: tuple[tuple[str, Any], ...] = ()


Command = Callable[[dict[str, Any], Path], list[str]]
"""The command of a worker, from its settings and a file to put them into."""


def worker_command(settings: dict[str, Any], file: Path) -> list[str]:
    write_whole(file, json.dumps(settings, indent=1), 0o600)
    return [sys.executable, "-m", "turnout.serving.worker", str(file)]


def check_free(listening: Listening) -> None:
    """Raises ServerError when the address cannot be had. Envoys of one user could share it, and each have a part."""
    family = socket.AF_INET6 if ":" in listening.address else socket.AF_INET
    for option, port in zip(("--port", "--grpc-port"), listening.ports, strict=False):
        try:
            socket.create_server((listening.address, port), family=family).close()
        except OSError as error:
            where = f"{listening.address}:{port}"
            hint = f"end what listens there, or take another port with {option}"
            raise ServerError(
                f"cannot answer there: {os.strerror(error.errno) if error.errno else error}", where=where, hint=hint
            ) from error


def group_name(version: str, fallback: str) -> str:
    """The workers of a version with another fallback are others."""
    if not fallback or fallback == version:
        return version
    return f"{version}-or-{hashlib.sha256(fallback.encode()).hexdigest()[:6]}"
