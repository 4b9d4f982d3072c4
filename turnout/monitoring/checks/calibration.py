"""Whether rows that get a probability are as often positive as they were for that probability at the reference."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.monitoring.dependence import Blocks, Counts, Dependence, learn
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
        dependence: of rows of a day; None when that is not known.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    positives: tuple[int, ...]
    chances: tuple[float, ...]
    dependence: Dependence | None = None

    @property
    def error(self) -> float:
        """The expected calibration error: how far a probability is from the share of positives, on average.

        Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015).
        """
        apart = np.abs(np.array(self.positives) - np.array(self.chances))
        return float(apart.sum() / max(1, sum(self.rows)))

    @property
    def tables(self) -> Counts:
        """Rows that are not positive, and those that are, by bin; shape (2, bins)."""
        positives = np.array(self.positives)
        return np.stack([np.array(self.rows) - positives, positives])


def reliability(truth: Array, chances: Array, like: Curve | None = None, blocks: Blocks = ()) -> Curve:
    """The curve of a classifier.

    Args:
        truth: 0 and 1; shape (rows,).
        chances: probabilities of 1; shape (rows,).
        like: whose bins to take; bins of equal size when None.
        blocks: rows that come together, such as those of a day.
    """
    steps = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.array(like.edges) if like else np.unique(np.quantile(chances, steps)) if len(chances) else np.array([])
    bins, size = np.searchsorted(edges, chances, "right"), len(edges) + 1
    positives = np.bincount(bins, truth, size).astype(int)
    whole = Curve(
        tuple(edges.tolist()), tuple(np.bincount(bins, minlength=size).tolist()), tuple(positives.tolist()),
        tuple(np.bincount(bins, chances, size).tolist()),
    )  # fmt: skip
    parts = [reliability(truth[block], chances[block], whole).tables for block in blocks]
    return dataclasses.replace(
        whole, dependence=learn(_mean_statistic, [(whole.tables - part, part) for part in parts])
    )


def calibration_drift(
    reference: Curve, current: Curve, blocks: float = 1, seed: int = 0, name: str = "probability"
) -> Finding:
    """The finding that the share of positives for a probability is another one.

    The statistic is the sum of the bins' chi-squares, held against samples of the same sizes: in each bin the positives
    of both are dealt out to both. So nothing is assumed of the probabilities, not even that they were right at first.

    Args:
        blocks: in which the current rows come, such as days, where the reference knows how these differ.
        name: what the probability is of.

    Source: the conditional exact test of fourfold tables; Agresti, Categorical Data Analysis (2013), section 7.3.
    """
    usable, expected, spread = _expected(reference.tables, current.tables)
    if not usable.any():
        return Finding(name, "calibration", reference.error, current.error, None, 0.0, 1.0, "nothing to compare")
    before, now = reference.tables[:, usable], current.tables[:, usable]
    n, m = before.sum(axis=0), now.sum(axis=0)
    dependence = reference.dependence
    effect = dependence.effect(m.sum(), blocks, n.sum()) if dependence else 1.0
    value = float(((now[1] - expected) ** 2 / spread).sum()) / effect
    positive = before[1] + now[1]
    drawn = np.random.default_rng(seed).hypergeometric(positive, n + m - positive, m, (_DRAWS, len(m)))
    extreme = int((((drawn - expected) ** 2 / spread).sum(axis=1) >= value * (1 - 1e-9)).sum())
    p_value = (1 + extreme) / (1 + _DRAWS)
    if dependence:
        p_value = max(p_value, dependence.p_value(value / len(m)))
    was, is_ = before[1] / n, now[1] / m
    most = int((abs(is_ - was) * m).argmax())
    given = np.array(current.chances)[usable][most] / m[most]
    text = f"rows where it is about {given:.0%} are positive in {is_[most]:.1%}, and were in {was[most]:.1%}"
    distance = float((abs(is_ - was) * m).sum() / m.sum())
    return Finding(name, "calibration", reference.error, current.error, None, distance, p_value, text)


def _expected(before: Counts, now: Counts) -> tuple[NDArray[np.bool_], Array, Array]:
    """In which bins the share of positives can differ, and there the positives expected now, and their variance."""
    n, m = before.sum(axis=0), now.sum(axis=0)
    both, positive = n + m, before[1] + now[1]
    usable = (n > 0) & (m > 0) & (positive > 0) & (positive < both)
    n, m, both, positive = n[usable], m[usable], both[usable], positive[usable]
    return usable, m * positive / both, m * positive * (both - positive) * n / (both**2 * (both - 1))


def _mean_statistic(before: Counts, now: Counts) -> float:
    """The statistic, divided by the number of bins: 1 on average for independent rows."""
    usable, expected, spread = _expected(before, now)
    return float(((now[1][usable] - expected) ** 2 / spread).mean()) if usable.any() else 1.0
