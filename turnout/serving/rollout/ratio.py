"""The ratio of two rates (of errors, of slow answers), tested as often as one likes.

The router gives each request to the version that is tried out by chance, with a share p that is known. So, *given*
that a request failed, it was that version's with probability r p / (r p + 1 - p), where r is the ratio of the rates;
where they are equal that is p, whatever the rate itself does in the course of a day. The likelihood ratio of another r
against the one in question is a martingale, and so is a mean of such ratios over several r: an e-process. By Ville's
inequality it ever reaches 1 / alpha with probability at most alpha, at whatever looks. (Ramdas, Grünwald, Vovk, Shafer:
Game-theoretic statistics and safe anytime-valid inference, 2023; the likelihood is that of two Poisson counts, given
their sum.) Nothing is approximate, however rare the errors are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

Array = NDArray[np.float64]

STEPS: Array = np.geomspace(0.25, 2.5, 8)
"""How much larger or smaller the logarithm of the ratio is in the alternatives that are mixed: by 28 % to 12 times."""


def evidence(canary: ArrayLike, champion: ArrayLike, share: ArrayLike, null: float = 0.0, above: bool = True) -> Array:
    """The logarithm of the e-process after each window.

    Args:
        canary: of the events in each window, those of the version that is tried out; shape (..., windows).
        champion: those of the version in service.
        share: of each window; events of windows with 0 or 1 say nothing.
        null: logarithm of the ratio in question.
        above: evidence that the ratio is greater than that, against all smaller ones too; else that it is smaller.
    """
    steps = STEPS if above else -STEPS
    ours, theirs, odds = _compared(canary, champion, share)
    growth = _likelihood(ours, theirs, odds, null + steps) - _likelihood(ours, theirs, odds, np.array([null]))
    found: Array = logsumexp(np.cumsum(growth, axis=-2), axis=-1) - np.log(len(steps))
    return found


def estimates(canary: ArrayLike, champion: ArrayLike, share: ArrayLike) -> Array:
    """The logarithm of the ratio after each window, by Mantel and Haenszel; half an event is added to each."""
    ours, theirs, odds = _compared(canary, champion, share)
    part = expit(odds)
    found: Array = np.log(np.cumsum(ours * (1 - part), -1) + 0.5 * (1 - part)) - np.log(
        np.cumsum(theirs * part, -1) + 0.5 * part
    )
    return found


def last(share: ArrayLike) -> float:
    """The share of the last window that compares anything; one half where there is none."""
    compared = [part for part in np.asarray(share, float) if 0 < part < 1]
    return float(compared[-1]) if compared else 0.5


def interval(
    canary: ArrayLike, champion: ArrayLike, share: ArrayLike, alpha: float, grid: Array | None = None
) -> tuple[Array, Array]:
    """Ends of a confidence sequence for the logarithm of the ratio, after each window.

    Args:
        canary: as in `evidence`, shape (windows,).
        alpha: of both sides together.
        grid: of what is tried.
    """
    tried = np.linspace(-4.6, 4.6, 185) if grid is None else grid
    against = [
        np.stack([np.maximum.accumulate(evidence(canary, champion, share, null, side)) for null in tried], axis=-1)
        for side in (True, False)
    ]
    return ends(tried, against[0], against[1], alpha)


def ends(tried: Array, above: Array, below: Array, alpha: float) -> tuple[Array, Array]:
    """Where the evidence that the truth is above, and that it is below, reaches 2 / alpha.

    Args:
        tried: values in question, ascending.
        above: evidence that the truth is above each; shape (windows, values).
    """
    limit = np.log(2 / alpha)
    low = np.array([_crossing(tried, row, limit) for row in above])
    high = -np.array([_crossing(-tried[::-1], row[::-1], limit) for row in below])
    return low, high


def events_needed(ratio: float, null: float, share: float, alpha: float) -> float:
    """About how many events it takes in all until the ratio is told from `null` (logarithms); infinite: never.

    The logarithm of the e-process grows by the divergence of the two splits with each event, after it has paid for not
    knowing the ratio.
    """
    odds = np.log(share) - np.log1p(-share)
    truth, other = expit(odds + ratio), expit(odds + null)
    growth = truth * np.log(truth / other) + (1 - truth) * np.log((1 - truth) / (1 - other))
    return float((np.log(1 / alpha) + _PAID) / growth) if growth > 1e-12 else float("inf")


_PAID = 2.0
"""What the mixture costs against knowing the ratio: the logarithm of one in the alternatives that are near."""


def _compared(canary: ArrayLike, champion: ArrayLike, share: ArrayLike) -> tuple[Array, Array, Array]:
    part = np.asarray(share, float)
    says = (part > 0) & (part < 1)
    safe = np.where(says, part, 0.5)
    return np.asarray(canary, float) * says, np.asarray(champion, float) * says, np.log(safe) - np.log1p(-safe)


def _likelihood(canary: Array, champion: Array, odds: Array, ratios: Array) -> Array:
    """Of each window's events under each logarithm of the ratio; shape (..., windows, ratios)."""
    at = odds[..., None] + ratios
    found: Array = -canary[..., None] * np.logaddexp(0, -at) - champion[..., None] * np.logaddexp(0, at)
    return found


def _crossing(tried: Array, row: Array, limit: float) -> float:
    """The largest value that is refuted, and a part of the way to the next; the first where none is."""
    refuted = np.flatnonzero(row >= limit)
    if not len(refuted):
        return float(tried[0])
    last = refuted[-1]
    if last + 1 == len(tried):
        return float(tried[-1])
    step = (row[last] - limit) / max(row[last] - row[last + 1], 1e-12)
    return float(tried[last] + min(1.0, step) * (tried[last + 1] - tried[last]))
