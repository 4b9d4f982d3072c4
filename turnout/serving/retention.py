"""What a serving directory keeps, and for how long: days of requests, the access log, versions, what processes say."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.release import Release, needed_by, previous
from turnout.serving.state import State

_EVERY_S = 300.0
_QUIET_S = 3600.0
"""Since the last file of a day, after which nobody writes into it any more: rows wait for a full disk."""

FILES_STAY = datetime.timedelta(days=1)
"""After a version was served last, until its files are removed: who goes to and fro by hand waits for no registry."""

LOG_BYTES, LOG_END_BYTES = 16 * 2**20, 2**20
"""Of what a process says: the size at which its log begins anew, and how much of its end stays, beside it."""

MOST_LOGS = 100
"""Processes whose logs are kept; the oldest are removed."""


class Retention:
    """Looks from time to time at what is old.

    Args:
        days: for which requests, predictions and the access log are kept; 0: all of them.
        pool: where files are removed.
        standby_s: for which a version stays loaded that is served no more.
    """

    def __init__(self, directory: Directory, days: int, pool: concurrent.futures.Executor, standby_s: float = 0.0):
        self._directory, self._days, self._pool = directory, days, pool
        self._standby = datetime.timedelta(seconds=standby_s)
        self._at = 0.0
        self._day = _today()
        self._running: concurrent.futures.Future[None] | None = None
        self.problem = ""
        """Why nothing could be removed."""
        self.versions: frozenset[str] | None = None
        """Whose files are needed, as found by the last look; None while nothing is known."""

    def look(self) -> None:
        """Begin to remove, when it is time."""
        if time.monotonic() < self._at or (self._running is not None and not self._running.done()):
            return
        self._at = time.monotonic() + _EVERY_S
        self._running = self._pool.submit(self._apply)

    def new_day(self) -> bool:
        """Whether another day has begun, so that a file has lines of one day; true once a day."""
        if not self._days or self._day == (now := _today()):
            return False
        self._day = now
        return True

    def _apply(self) -> None:
        try:
            self._remove()
            self.problem = ""
        except OSError as error:
            self.problem = f"what is old cannot be removed: {error}"

    def _remove(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        bound_logs([*self._directory.logs.glob("*.log"), *self._directory.envoy.glob("*.log")])
        for log in removable(list(self._directory.logs.glob("*.log")), MOST_LOGS, time.time()):
            for file in (log, log.with_suffix(".log.1"), log.with_suffix(".json")):
                file.unlink(missing_ok=True)
        history = [release for _, release in State(self._directory.path).history()]
        self.versions = needed(history, now - max(FILES_STAY, self._standby)) if history else None
        if self._days:
            before = kept_since(self._days, history, now)
            remove_days(self._directory.requests, before)
            remove_days(self._directory.failures, before)
            access_log.remove_before(self._directory.access, before)


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def kept_since(days: int, history: Sequence[Release], now: datetime.datetime) -> datetime.datetime:
    """From when on all is kept: whole days, and as long as a version is tried out all since that began.

    Args:
        history: the releases, the last one in force.
    """
    since = (now - datetime.timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    for release in reversed(history):
        if len(release.versions) == 1:
            break
        began = datetime.datetime.fromisoformat(release.changed_at)
        since = min(since, began.replace(hour=0, minute=0, second=0, microsecond=0))
    return since


def needed(history: Sequence[Release], since: datetime.datetime) -> frozenset[str]:
    """The versions whose files a server needs, or soon may: those served now, the way back, and what was served lately.

    Of each release also the version that answers when another fails.

    Args:
        history: the releases, the last one in force; not empty.
        since: what was served after that is kept.
    """
    last = history[-1]
    found = {previous(last, history)}
    ended = [datetime.datetime.fromisoformat(release.changed_at) for release in history[1:]]
    for release in [last, *(release for release, end in zip(history, ended, strict=False) if end > since)]:
        found |= needed_by(release)
    return frozenset(found - {""})


def remove_days(requests: Path, before: datetime.datetime) -> list[str]:
    """Remove the days of the request log that ended before a time, unless somebody still writes; their names.

    A day disappears as a whole: who reads the log sees all of it or nothing.
    """
    removed = []
    for left in requests.glob(".removed-*"):
        shutil.rmtree(left, ignore_errors=True)
    for place in sorted(requests.glob("date=*")):
        try:
            day = datetime.date.fromisoformat(place.name.removeprefix("date="))
            if day >= before.date() or time.time() - _changed(place) < _QUIET_S:
                continue
            gone = requests / f".removed-{day}-{time.time_ns()}"
            place.rename(gone)
        except (OSError, ValueError):
            continue
        shutil.rmtree(gone, ignore_errors=True)
        removed.append(place.name)
    return removed


def bound_logs(logs: Sequence[Path], largest: int = LOG_BYTES, end: int = LOG_END_BYTES) -> None:
    """Begin large logs anew; the end of what was there is beside them, `NAME.log.1`.

    Processes have them open, to append: what is written while the end is copied may be lost.
    """
    for log in logs:
        with contextlib.suppress(OSError):
            if log.stat().st_size < largest:
                continue
            with log.open("rb") as file:
                file.seek(-min(end, log.stat().st_size), os.SEEK_END)
                last = file.read()
            os.truncate(log, 0)  # first: on a full disk there is room for the copy then
            log.with_suffix(".log.1").write_bytes(last)


def removable(logs: Sequence[Path], most: int, now: float) -> list[Path]:
    """The oldest logs, of which there are too many; none of the last hour."""
    dated = []
    for log in logs:
        with contextlib.suppress(OSError):
            dated.append((log.stat().st_mtime, log))
    return [log for changed, log in sorted(dated, reverse=True)[most:] if now - changed > _QUIET_S]


def _changed(place: Path) -> float:
    """When a directory was changed last: files appear in it by a rename, and unfinished ones grow."""
    return max([place.stat().st_mtime, *(file.stat().st_mtime for file in place.glob(".*.part"))])
