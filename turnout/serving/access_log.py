"""Envoy's access log: one line of JSON for each request, what users saw. It is cut into files, and read as a table."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CURRENT = "current.jsonl"

_LARGEST = 64 * 2**20
_KEPT = 32


def rotate(
    directory: Path, reopen: Callable[[], None], largest: int = _LARGEST, kept: int = _KEPT, new_day: bool = False
) -> bool:
    """Begin another file when the current one is large, or another day has begun; whether it was so.

    Args:
        directory: of the log.
        reopen: called when the file has another name, so that what writes it opens a new one.
        largest: bytes of a file.
        kept: how many files of this size; older ones are deleted.
        new_day: whether the current file is one of yesterday's.
    """
    current = directory / CURRENT
    try:
        if current.stat().st_size < (1 if new_day else largest):
            return False
        current.rename(directory / f"until-{time.time_ns()}.jsonl")
    except OSError:
        return False
    reopen()
    total = 0
    for number, old in enumerate(sorted(directory.glob("until-*.jsonl"), reverse=True)):
        with contextlib.suppress(FileNotFoundError):
            total += old.stat().st_size
            if number >= kept and total > largest * kept:
                old.unlink()
    return True


def remove_before(directory: Path, before: datetime.datetime) -> None:
    """Remove the files whose last line is older than a time."""
    for old in directory.glob("until-*.jsonl"):
        if int(old.stem.removeprefix("until-")) / 1e9 < before.timestamp():
            old.unlink(missing_ok=True)


def lines(directory: Path, since: datetime.datetime | None = None) -> Iterator[dict[str, Any]]:
    """The requests, file by file from the oldest on; a line that is being written is left out."""
    start = since.timestamp() if since else 0.0
    for path in [*sorted(directory.glob("until-*.jsonl")), directory / CURRENT]:
        with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as file:
            if path.name != CURRENT and int(path.stem.removeprefix("until-")) / 1e9 < start:
                continue
            for line in file:
                with contextlib.suppress(ValueError, TypeError, LookupError):
                    record = json.loads(line)
                    record["time"] = float(record["time"])
                    if record["time"] >= start:
                        yield record
