"""Envoy's access log: one line of JSON for each request, what users saw. It is cut into files, and read as a table."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

CURRENT = "current.jsonl"
"""The file of the first Envoy. Others have their own: each line is written in parts, and in one file two would mix."""

_OF_GRPC = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 404, 13: 500, 14: 503,
    15: 500, 16: 401,
}  # fmt: skip
"""What HTTP has for each status of gRPC, whose answers all have 200 (google/rpc/code.proto; of a call that is not
offered Envoy makes 12 of 404, and back)."""

_LARGEST = 64 * 2**20
_KEPT = 32


def of_envoy(log: Path, index: int) -> Path:
    """The file that an Envoy writes, when that of the first is `log`."""
    return log.with_stem(f"{log.stem}-{index}") if index else log


def _current(directory: Path) -> list[Path]:
    """The files that are written now."""
    first = directory / CURRENT
    return sorted(directory.glob(f"{first.stem}*{first.suffix}"))


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
    renamed = False
    for current in _current(directory):
        with contextlib.suppress(OSError):
            if current.stat().st_size >= (1 if new_day else largest):
                current.rename(directory / f"until-{time.time_ns()}.jsonl")
                renamed = True
    if not renamed:
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


class Reader:
    """Reads the requests, and at each further call only what came since.

    A file is known by its inode: it keeps it when the log is cut, and a name is then another file's.

    Args:
        directory: of the log.
        since: what was before is left out.
    """

    def __init__(self, directory: Path, since: datetime.datetime | None = None):
        self._directory, self._start = directory, since.timestamp() if since else 0.0
        self._read: dict[int, int] = {}

    def lines(self) -> Iterator[dict[str, Any]]:
        """The requests, file by file from the oldest on; a line that is being written is left for the next call.

        The `code` of a call by gRPC is what HTTP has for its status, so that a failure is one, however it was asked.
        """
        # While it reads, the current file may get another name: it is read by the first that it is found under.
        for path in [*sorted(self._directory.glob("until-*.jsonl")), *_current(self._directory)]:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                known = os.fstat(file.fileno()).st_ino
                over = path.name.startswith("until-") and int(path.stem.removeprefix("until-")) / 1e9 < self._start
                if over:
                    continue
                place = self._read.get(known, 0)
                if place > os.fstat(file.fileno()).st_size:  # the inode of one that was deleted
                    place = 0
                file.seek(place)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    place += len(line)
                    self._read[known] = place
                    with contextlib.suppress(ValueError, TypeError, LookupError):
                        record = orjson.loads(line)
                        record["time"] = float(record["time"])
                        if status := record.get("grpc", 0):
                            record["code"] = _OF_GRPC.get(status, 500)
                        if record["time"] >= self._start:
                            yield record
