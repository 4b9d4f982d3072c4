"""Where a long step is: now and then a line on standard output, and none for work that is short."""

from __future__ import annotations

import time

EVERY = 10.0
"""Seconds between two lines, and before the first."""


class Progress:
    """Counts what is done, and says so now and then: `predicted 120,000 of 500,000 rows (24%), about 38 s left`."""

    def __init__(self, doing: str, total: int = 0, unit: str = "rows", *, every: float = EVERY):
        """Begin.

        Args:
            doing: the work, as a past participle.
            total: how much there is to do; 0 where nobody knows.
            unit: what is counted.
            every: seconds between two lines.
        """
        self.done = 0
        self._doing, self._total, self._unit, self._every = doing, total, unit, every
        self._started = self._told = time.monotonic()

    def add(self, count: int = 1) -> None:
        """So much more is done; it is said when the last line was long enough ago."""
        self.done += count
        now = time.monotonic()
        if now - self._told >= self._every and self.done != self._total:  # the end is what the step says itself
            self._told = now
            print(self._line(now - self._started), flush=True)

    def _line(self, seconds: float) -> str:
        if not self._total:
            return f"{self._doing} {self.done:,} {self._unit} in {_time(seconds)}"
        left = f", about {_time(seconds / self.done * (self._total - self.done))} left" if self.done else ""
        return f"{self._doing} {self.done:,} of {self._total:,} {self._unit} ({self.done / self._total:.0%}){left}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
