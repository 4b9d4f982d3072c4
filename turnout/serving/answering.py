"""Which form of each version answers: workers say so beside their sockets, for who looks after them.

It is no page of a worker's: clients reach those, and the reason may show a row of the evaluation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.models.compiled.answering import Answering
from turnout.serving.state import write_whole

if TYPE_CHECKING:
    from turnout.serving.targets.target import Status


def tell(socket: str | Path, answering: Answering) -> None:
    """Say what the worker that listens on a socket answers with."""
    with contextlib.suppress(OSError):  # a full disk stops no request
        write_whole(_place(socket), json.dumps(dataclasses.asdict(answering)), 0o600)


def told(socket: str | Path) -> Answering | None:
    """What the worker that listens on a socket has said."""
    try:
        return Answering(**json.loads(_place(socket).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def forget(socket: str | Path) -> None:
    """Remove what a worker has said that has ended."""
    _place(socket).unlink(missing_ok=True)


def workers_of(status: Status, version: str) -> list[dict[str, Any]]:
    """What is known of each worker of a version, whatever its fallback; none where they are not on this machine."""
    groups = status.details.get("workers", {}).items()
    return [item for name, group in groups if name == version or name.startswith(f"{version}-or-") for item in group]


def forms(status: Status) -> dict[str, Answering]:
    """Which form of each version answers: as its workers say, or, where none is known, as the registry says."""
    found = {}
    for served in status.versions:
        workers = workers_of(status, served.version)
        said = [Answering(item["form"], item["form_reason"]) for item in workers if item.get("form")]
        if said:
            found[served.version] = said[0]
        else:
            with contextlib.suppress(Exception):  # every registry has its own; the status is told without
                found[served.version] = _registered(status.model, served.version)
    return found


def _registered(model: str, version: str) -> Answering:
    from turnout.models.compiled.keeping import answering
    from turnout.models.registry import look_up

    return answering(look_up(f"models:/{model}/{version}"))


def _place(socket: str | Path) -> Path:
    return Path(f"{socket}.form")
