"""Whether rows that get a probability are as often positive as they were for that probability at the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.monitoring.findings import Finding

Array = NDArray[np.float64]
BINS = 10
_DRAWS = 10_000


@dataclass(frozen=True)
class Curve:
    """A reliability curve.

    Attributes:
        edges: probabilities between two bins, ascending.
        rows, positives: by bin, one more than edges.
        chances: the sum of the rows' probabilities, by bin.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    positives: tuple[int, ...]
    chances: tuple[float, ...]

    @property
    def error(self) -> float:
        """The expected calibration error: how far a probability is from the share of positives, on average.

        Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015).
        """
        apart = np.abs(np.array(self.positives) - np.array(self.chances))
        return float(apart.sum() / max(1, sum(self.rows)))


def reliability(truth: Array, chances: Array, like: Curve | None = None) -> Curve:
    """The curve of a classifier.

    Args:
        truth: 0 and 1; shape (rows,).
        chances: probabilities of 1; shape (rows,).
        like: whose bins to take; bins of equal size when None.
    """
    steps = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.array(like.edges) if like else np.unique(np.quantile(chances, steps)) if len(chances) else np.array([])
    bins, size = np.searchsorted(edges, chances, "right"), len(edges) + 1
    positives = np.bincount(bins, truth, size).astype(int)
    return Curve(
        tuple(edges.tolist()), tuple(np.bincount(bins, minlength=size).tolist()), tuple(positives.tolist()),
        tuple(np.bincount(bins, chances, size).tolist()),
    )  # fmt: skip


def calibration_drift(reference: Curve, current: Curve, seed: int = 0) -> Finding:
    """The finding that the share of positives for a probability is another one.

    The statistic is the sum of the bins' chi-squares, held against samples of the same sizes: in each bin the positives
    of both are dealt out to both. So nothing is assumed of the probabilities, not even that they were right at first.

    Source: the conditional exact test of fourfold tables; Agresti, Categorical Data Analysis (2013), section 7.3.
    """
    (n, before), (m, now) = ((np.array(c.rows), np.array(c.positives)) for c in (reference, current))
    usable = (n > 0) & (m > 0)
    n, m, before, now = n[usable], m[usable], before[usable], now[usable]
    both, positive = n + m, before + now
    expected = m * positive / both
    spread = expected * (1 - positive / both) * n / np.maximum(both - 1, 1)
    varies = spread > 0
    if not varies.any():
        return Finding(
            "probability", "calibration", reference.error, current.error, None, 0.0, 1.0, "nothing to compare"
        )

    def statistic(drawn: NDArray[np.int64]) -> Array:
        return np.asarray(((drawn[..., varies] - expected[varies]) ** 2 / spread[varies]).sum(axis=-1))

    drawn = np.random.default_rng(seed).hypergeometric(positive, both - positive, m, (_DRAWS, len(m)))
    extreme = int((statistic(drawn) >= statistic(now) * (1 - 1e-9)).sum())
    apart = np.abs(now / m - before / n)
    most = int((apart * m).argmax())
    given = np.array(current.chances)[usable][most] / m[most]
    text = (
        f"rows with a probability of about {given:.0%} are positive in {now[most] / m[most]:.1%},"
        f" and were in {before[most] / n[most]:.1%}"
    )
    distance = float((apart * m).sum() / m.sum())
    p_value = (1 + extreme) / (1 + _DRAWS)
    return Finding("probability", "calibration", reference.error, current.error, None, distance, p_value, text)
