"""The difference of two means of bounded values (losses, shares of classes, sales), tested as often as one likes.

A request of the version that is tried out, which has it with the known share p, counts y / p, and one of the version in
service -y / (1 - p): by the random split their mean is the difference of the two versions, at any hour. Bets on it are
placed as in Waudby-Smith and Ramdas (Estimating means of bounded random variables by betting, 2024): the capital is
multiplied by 1 + stake * (value - null), which is fair or worse while the difference is at most `null`; it is the mean
of several capitals with constant stakes, an e-process.

Values of a window are bet on together, so the order within it does not matter.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from turnout.serving.rollout.ratio import ends

Array = NDArray[np.float64]

STAKES: Array = np.geomspace(0.01, 0.8, 10)
"""Parts of the largest stake with which the capital cannot become negative."""

DIGITS = 2
"""Values are rounded to hundredths, those of both versions alike: bets on them are counted, not made one by one."""

TRIED: Array = np.concatenate([-np.geomspace(1, 1e-3, 48), [0.0], np.geomspace(1e-3, 1, 48)])
"""Differences that are tried for a confidence sequence."""

_PAID = 2.0
"""What it costs not to know the right stake: the logarithm of one in the stakes that are near."""


class Bets:
    """Bets on the difference of two means, from how often each value occurred.

    Args:
        canary: of each window, how often the version that is tried out had each of `values`; shape
            (..., windows, values).
        champion: the same of the version in service.
        values: between 0 and 1.
        share: of each window; windows with 0 or 1 only tell what values there are.
    """

    def __init__(self, canary: Array, champion: Array, values: Array, share: Array):
        says = (share > 0) & (share < 1)
        part = np.where(says, share, 0.5)[:, None]
        both = canary + champion
        sums = np.cumsum(np.stack([both @ values, both.sum(-1)]), axis=-1)
        before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
        # What is known of the values before the window is taken off: it makes the weighted values small.
        centre = np.where(before[1] > 0, before[0] / np.maximum(before[1], 1), 0.5)[..., None]
        self._weighted = np.concatenate([(values - centre) / part, (centre - values) / (1 - part)], axis=-1)
        self._counts = np.concatenate([canary, champion], axis=-1) * says[:, None]
        self._largest = 1 / (1 + np.maximum(centre, 1 - centre) / np.minimum(part, 1 - part))
        self.looks: Array = np.cumsum(self._counts.sum(-1), axis=-1)
        """Requests that were compared, after each window."""
        self.estimates: Array = np.cumsum((self._counts * self._weighted).sum(-1), axis=-1) / np.maximum(self.looks, 1)
        """The difference after each window."""
        squares = (self._counts * self._weighted**2).sum((-1, -2)) / np.maximum(self.looks[..., -1], 1)
        self.variance: Array = np.maximum(squares - self.estimates[..., -1] ** 2, 1e-9)

    def evidence(self, null: float, above: bool = True) -> Array:
        """The logarithm of the e-process against a difference of at most (else: at least) `null`, after each window."""
        won = (self._weighted - null if above else null - self._weighted) * self._largest
        growth = np.stack([(self._counts * np.log1p(stake * won)).sum(-1) for stake in STAKES], axis=-1)
        found: Array = logsumexp(np.cumsum(growth, axis=-2), axis=-1) - np.log(len(STAKES))
        return found

    def only(self, place: int) -> Bets:
        """The bets on one of several differences."""
        one = copy.copy(self)
        for name in ("_weighted", "_counts", "_largest", "looks", "estimates", "variance"):
            setattr(one, name, getattr(self, name)[place])
        return one

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """Ends of a confidence sequence, after each window; alpha is of both sides together. Of one difference only."""
        sides = [
            np.stack([np.maximum.accumulate(self.evidence(null, above)) for null in TRIED], axis=-1)
            for above in (True, False)
        ]
        return ends(TRIED, sides[0], sides[1], alpha)

    def needed(self, null: float, alpha: float) -> Array:
        """About how many requests it takes in all until the difference is told from `null`."""
        gap = np.abs(self.estimates[..., -1] - null)
        with np.errstate(divide="ignore"):
            found: Array = (np.log(1 / alpha) + _PAID) * 2 * self.variance / gap**2
        return np.where(self.looks[..., -1] > 0, found, np.inf)


def bets(canary: Sequence[Array], champion: Sequence[Array], share: Array) -> Bets:
    """Bets on the difference of values between 0 and 1, an array of them for each window and version."""
    rounded = [[np.round(np.clip(values, 0, 1), DIGITS) for values in arm] for arm in (canary, champion)]
    known = np.unique(np.concatenate([np.empty(0), *rounded[0], *rounded[1]]))
    if not len(known):
        known = np.array([0.5])
    ours, theirs = (
        np.array([np.bincount(np.searchsorted(known, values), minlength=len(known)) for values in arm], float)
        for arm in rounded
    )
    return Bets(ours, theirs, known, share)
