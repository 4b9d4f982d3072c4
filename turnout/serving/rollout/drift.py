"""Whether two versions predict alike: differences of shares of classes, or of predictions above some limits.

Numbers are held against nine limits, the deciles of the first predictions of the version in service; the largest
difference of the shares above a limit is Kolmogorov and Smirnov's distance. Classes are held against those that the
version in service had first, and all others together. Each difference is tested by `means.Bets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from turnout.serving.rollout.means import Bets
from turnout.serving.rollout.observations import Window

Array = NDArray[np.float64]

FIRST = 200
"""Predictions of the version in service from which the limits, or the classes, are taken; they are not compared."""

CLASSES = 20
"""The most frequent ones; all others count as one."""


class Predictions:
    """The predictions of two versions.

    Attributes:
        names: of the differences, such as `class late` or `above 0.31`.
        looks: requests that were compared, after each window.
    """

    def __init__(self, windows: Sequence[Window]):
        self.names: list[str] = []
        share = np.array([window.share for window in windows], float)
        sizes, first = np.cumsum([len(window.champion.predictions) for window in windows]), 0
        if len(windows) and sizes[-1] >= FIRST:
            first = int(np.searchsorted(sizes, FIRST)) + 1
        self.looks: Array = np.zeros(len(windows))
        self._bets: Bets | None = None
        if not first or first >= len(windows):
            return
        known = np.concatenate([window.champion.predictions for window in windows[:first] if window.champion.requests])
        share[:first] = 0
        marks = _classes(known) if known.dtype.kind in "US" else _limits(known)
        self.names = [name for name, _ in marks]
        ours, theirs = (
            _counts([getattr(w, arm).predictions for w in windows], marks) for arm in ("canary", "champion")
        )
        self._bets = Bets(ours, theirs, np.array([0.0, 1.0]), share)
        self.looks = self._bets.looks[0]

    def estimates(self) -> Array:
        """The largest difference of shares, after each window."""
        return np.abs(self._bets.estimates).max(axis=0) if self._bets else self.looks

    @property
    def largest(self) -> int:
        """The place of the difference that is largest now."""
        return int(np.abs(self._bets.estimates[:, -1]).argmax()) if self._bets else 0

    def different(self) -> Array:
        """The logarithm of an e-process against all differences being none, after each window: the mean of all bets."""
        if not self._bets:
            return self.looks
        both = np.concatenate([self._bets.evidence(0.0, side) for side in (True, False)])
        found: Array = logsumexp(both, axis=0) - np.log(len(both))
        return found

    def alike(self, margin: float) -> Array:
        """The logarithm of the least evidence that a difference is smaller than `margin`, after each window.

        That some difference is as large is refuted when it is refuted of each, and for each direction: by as many tests
        as there are, all of which have to refute, so none pays for the others.
        """
        if not self._bets:
            return self.looks
        sides = [self._bets.evidence(-margin, True), self._bets.evidence(margin, False)]
        found: Array = np.minimum(*(np.maximum.accumulate(side, axis=-1).min(axis=0) for side in sides))
        return found

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """A confidence sequence for the difference that is largest now, with alpha split over all differences.

        Its sign is such that the difference now is not negative.
        """
        if not self._bets:
            return self.looks - 1, self.looks + 1
        low, high = self._bets.only(self.largest).interval(alpha / len(self.names))
        return (low, high) if self._bets.estimates[self.largest, -1] >= 0 else (-high, -low)

    def needed(self, margin: float, alpha: float) -> float:
        """About how many requests it takes in all until each difference is told from `margin`."""
        if not self._bets:
            return float("inf")
        return float(max(self._bets.needed(side, alpha).max() for side in (-margin, margin)))


def _counts(predictions: Sequence[NDArray[Any]], marks: Sequence[tuple[str, _Mark]]) -> Array:
    """Of each mark and window, how many predictions do not have it, and how many do."""
    sizes = [len(values) for values in predictions]
    window = np.repeat(np.arange(len(sizes)), sizes)
    values = np.concatenate([values for values in predictions if len(values)])
    hits = np.array([np.bincount(window[mark(values)], minlength=len(sizes)) for _, mark in marks], float)
    return np.stack([sizes - hits, hits], axis=-1)


def _classes(known: NDArray[np.str_]) -> list[tuple[str, _Mark]]:
    names, counts = np.unique(known, return_counts=True)
    chosen = names[np.argsort(-counts, kind="stable")[:CLASSES]]
    marks = [(f"class {name}", _Mark(np.array([name]))) for name in chosen]
    if len(chosen) == 2:  # the share of the second is what the first leaves
        marks = marks[:1]
    return [*marks, ("any other class", _Mark(chosen, other=True))]


def _limits(known: Array) -> list[tuple[str, _Mark]]:
    limits = np.unique(np.quantile(known, np.linspace(0.1, 0.9, 9)))
    marks = [(f"above {limit:.3g}", _Mark(np.array([limit]))) for limit in limits]
    # Where many predictions are the same, others below them would not be seen by what is above.
    often = [limit for limit in limits if (known == limit).mean() >= _OFTEN]
    return [*marks, *((f"at least {limit:.3g}", _Mark(np.array([np.nextafter(limit, -np.inf)]))) for limit in often)]


_OFTEN = 0.05


class _Mark:
    """Which predictions are above a limit, of a class, or of none of some classes."""

    def __init__(self, values: NDArray[np.str_] | Array, other: bool = False):
        self.values, self.other = values, other

    def __call__(self, predictions: NDArray[np.str_] | Array) -> NDArray[np.bool_]:
        if self.values.dtype.kind in "US":
            return np.isin(predictions.astype(str), self.values, invert=self.other)
        return np.asarray(predictions.astype(float) > self.values[0])
