"""Whether the router splits the traffic as it was told to: if not, no comparison of versions can be trusted.

The sequential multinomial test of Lindon and Malek (Anytime-valid inference for multinomial count data, NeurIPS 2022):
the likelihood of the counts, mixed over all shares by a Beta distribution around the one that was told, against that of
the one that was told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from turnout.serving.rollout.observations import Window

CONCENTRATION = 100.0
"""Of the Beta distribution: a share of 50 % is looked for within some 10 %, and surely found further away."""


def mismatch(windows: Sequence[Window]) -> NDArray[np.float64]:
    """The logarithm of the e-process against the shares being as told, after each window.

    A shadow has a copy of each request: its windows are left out.
    """
    before, found = 0.0, []
    share, ours, theirs, now = float("nan"), 0, 0, 0.0
    for window in windows:
        if window.compared and not window.shadow:
            if window.share != share:
                before, share, ours, theirs = before + now, window.share, 0, 0
            ours, theirs = ours + window.canary.requests, theirs + window.champion.requests
            now = log_bayes_factor(ours, theirs, share)
        found.append(before + now)
    return np.array(found)


def log_bayes_factor(ours: int, theirs: int, share: float, concentration: float = CONCENTRATION) -> float:
    """The evidence in counts of two versions, of which the first should have `share`."""
    first, second = concentration * share, concentration * (1 - share)
    mixed = betaln(first + ours, second + theirs) - betaln(first, second)
    return float(mixed - ours * np.log(share) - theirs * np.log1p(-share))
