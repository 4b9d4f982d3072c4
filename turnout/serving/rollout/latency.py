"""The ratio of two quantiles of latency, tested as often as one likes.

If the version that is tried out is slower by a factor s, then divided by s its latencies are those of the version in
service: given an answer that is slower than some limit, it is of either as the traffic is split. The limit is the
quantile of the version in service in the windows before, so a quiet night is compared with a quiet night. Which factors
this refutes is a confidence sequence for the ratio of the quantiles; `ratio.evidence` does the test.

Confidence sequences for a quantile of each version by itself (Howard and Ramdas, Sequential estimation of quantiles,
2022) need latencies that are distributed alike all the time, which those of a service never are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.serving.rollout import ratio
from turnout.serving.rollout.observations import Window

Array = NDArray[np.float64]

PAST = 5000
"""Of the version in service, the last answers from which its quantile is taken."""

LEAST = 10
"""Answers slower than the quantile that must be known before it is one: 1,000 answers for p99."""

FACTORS: Array = np.exp(np.linspace(-1.5, 1.5, 121))
"""Ratios that are tried for a confidence sequence: 0.22 to 4.5."""


class Tail:
    """Answers slower than the quantile of the version in service.

    Args:
        quantile: such as 0.99.
    """

    def __init__(self, windows: Sequence[Window], quantile: float):
        self.share = np.array([window.share for window in windows], float)
        limits = np.full(len(windows), np.inf)
        self.champion = np.zeros(len(windows))
        """How many answers of the version in service were slower, in each window."""
        past = np.empty(0)
        for place, window in enumerate(windows):
            if len(past) * (1 - quantile) >= LEAST:
                limits[place] = np.quantile(past, quantile)
                self.champion[place] = (window.champion.latencies_ms > limits[place]).sum()
            past = np.concatenate([past, window.champion.latencies_ms])[-PAST:]
        compared = np.isfinite(limits) & (self.share > 0) & (self.share < 1)
        sizes_of = [len(window.canary.latencies_ms) for window in windows]
        self._window = np.repeat(np.arange(len(windows)), sizes_of)
        latencies = np.concatenate([np.empty(0), *(window.canary.latencies_ms for window in windows)])
        self._canary = latencies / np.repeat(limits, sizes_of)
        sizes = [len(window.champion.latencies_ms) + len(window.canary.latencies_ms) for window in windows]
        self.looks: Array = np.cumsum(np.where(compared, sizes, 0)).astype(float)
        """Answers that were compared, after each window."""

    def canary(self, factor: float) -> Array:
        """How many answers of the version that is tried out were slower, divided by a factor, in each window."""
        found = np.bincount(self._window[self._canary > factor], minlength=len(self.share))
        return found.astype(float)

    def evidence(self, factor: float, above: bool = True) -> Array:
        """The logarithm of the e-process against a ratio of at most (else: at least) `factor`, after each window."""
        return ratio.evidence(self.canary(factor), self.champion, self.share, 0.0, above)

    def estimates(self) -> Array:
        """The factor by which divided the version that is tried out has as many slow answers, after each window."""
        windows, cells = len(self.share), len(FACTORS) + 1
        cell = np.searchsorted(FACTORS, self._canary)  # above so many of them
        often = np.bincount(cell * windows + self._window, minlength=cells * windows).reshape(cells, windows)
        counts = often[::-1].cumsum(axis=0)[::-1][1:].astype(float)
        surplus = ratio.estimates(counts, np.broadcast_to(self.champion, counts.shape), self.share)
        found: Array = FACTORS[np.minimum((surplus > 0).sum(axis=0), len(FACTORS) - 1)]
        return found

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Ends of a confidence sequence for the ratio, after each window; alpha is of both sides together."""
        sides = [
            np.stack([np.maximum.accumulate(self.evidence(factor, side)) for factor in FACTORS], axis=-1)
            for side in (True, False)
        ]
        low, high = ratio.ends(np.log(FACTORS), sides[0], sides[1], alpha)
        return np.exp(low), np.exp(high)

    def needed(self, factor: float, alpha: float) -> float:
        """About how many answers it takes in all until the ratio is told from `factor`."""
        ours, theirs = self.canary(factor), self.champion
        events = (ours + theirs)[(self.share > 0) & (self.share < 1)].sum()
        if not events or not self.looks[-1]:
            return float("inf")
        truth = float(ratio.estimates(ours, theirs, self.share)[-1])
        return ratio.events_needed(truth, 0.0, ratio.last(self.share), alpha) * float(self.looks[-1] / events)
