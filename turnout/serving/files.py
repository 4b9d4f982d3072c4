"""The files of versions on this machine: brought from the registry beside all else, once each."""

from __future__ import annotations

import concurrent.futures
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from turnout.errors import ComponentError, TurnoutError
from turnout.models.compiled.keeping import fetch
from turnout.models.registry import ModelVersion

_AGAIN_S = 30.0
_REMOVED = ".removed-"


class Files:
    """The files of a model's versions.

    Args:
        place: the directory for them, one for each version. What a version is never changes.
        pool: where they are brought.
    """

    def __init__(self, place: Path, pool: concurrent.futures.Executor):
        self._place, self._pool = place, pool
        self._coming: dict[str, concurrent.futures.Future[Path]] = {}
        self._again: dict[str, float] = {}
        self.problems: dict[str, str] = {}
        """Why a version cannot be had."""
        shutil.rmtree(place / ".unfinished", ignore_errors=True)
        for left in place.glob(f"{_REMOVED}*"):
            pool.submit(shutil.rmtree, left, True)

    def of(self, model: str, version: str) -> Path | None:
        """The directory of a version's files; None while they are on their way, or cannot be had."""
        known = self._coming.get(version)
        if known is None:
            if time.monotonic() >= self._again.get(version, 0.0):
                self._coming[version] = self._pool.submit(self._bring, model, version)
            return None
        if not known.done():
            return None
        try:
            place = known.result()
        except TurnoutError as error:
            self.problems[version] = f"version {version} cannot be had: {error}"
            self._again[version] = time.monotonic() + _AGAIN_S
            del self._coming[version]
            return None
        self.problems.pop(version, None)
        return place

    def keep_only(self, versions: Collection[str], since: float) -> list[str]:
        """Remove the files of all other versions; their names. One that is asked for again is brought again.

        Args:
            since: what was brought after this time, in seconds of the epoch, stays: somebody may be about to serve it.
        """
        removed = []
        for place in sorted(self._place.iterdir()):
            coming = self._coming.get(place.name)
            if place.name.startswith(".") or place.name in versions or (coming is not None and not coming.done()):
                continue
            if place.stat().st_mtime > since:
                continue
            gone = self._place / f"{_REMOVED}{place.name}-{time.time_ns()}"
            try:
                place.rename(gone)  # nobody finds a half of it
            except OSError:
                continue
            self._coming.pop(place.name, None)
            self._pool.submit(shutil.rmtree, gone, True)
            removed.append(place.name)
        return removed

    def _bring(self, model: str, version: str) -> Path:
        target = self._place / version
        if not target.exists():
            unfinished = self._place / ".unfinished"
            unfinished.mkdir(exist_ok=True)
            place = fetch(ModelVersion(model, version, ""), str(unfinished))
            if not (place / "MLmodel").is_file():
                what = "no model is among the files of the version"
                raise ComponentError(what, where=f"models:/{model}/{version}",
                                     hint="is its run still in MLflow, and the artifact store reachable?")  # fmt: skip
            try:
                place.rename(target)
            except OSError as error:
                what = f"the files cannot be kept: {error.strerror}"
                raise ComponentError(what, where=str(target), hint="is there room on the disk?") from error
        return target
