"""How sure scores are: 95 % intervals of metrics, of slices, and of differences to the champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from turnout.models.metrics import metric_function
from turnout.models.scoring import Difference, Predictions, score

RESAMPLES = 200
_ROWS = 20_000
"""Rows of a resample, fewer with more than two classes, so that a large table takes seconds and not minutes."""

_FEWEST = 2_000


@dataclass(frozen=True)
class Measured:
    """Scores by metric, with what a resample of the rows makes of them.

    Attributes:
        ours, theirs: the score and its interval; theirs is empty without a champion.
        differences: how much better ours are, on the same rows.
    """

    ours: Mapping[str, Difference]
    theirs: Mapping[str, Difference]
    differences: Mapping[str, Difference]


def measure(
    metrics: Sequence[str],
    labels: pd.Series,
    ours: Predictions,
    theirs: Predictions | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measured:
    """Metrics of one or two models with 95 % intervals, by a bootstrap over rows, which both are scored on together.

    Of a large table a resample has fewer rows than the table, and its deviations are made smaller accordingly.

    Args:
        ours, theirs: of the same classes.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; for fewer rows Bickel, Goetze
    and van Zwet, Resampling Fewer Than n Observations (Statistica Sinica 7, 1997).
    """
    models = [ours, *([theirs] if theirs else [])]
    values = np.array([[score(name, labels, model) for name in metrics] for model in models])
    truth, rng = ours.truth(labels), np.random.default_rng(seed)
    size = min(len(truth), max(_FEWEST, _ROWS // max(1, len(ours.classes) - 1)))
    drawn = np.full((resamples, len(models), len(metrics)), np.nan)
    for index in range(resamples):
        rows = rng.integers(0, len(truth), size)
        parts = [model.values[rows] for model in models]
        drawn[index] = [[metric_function(name)(truth[rows], part) for name in metrics] for part in parts]
    scale = np.sqrt(size / len(truth))
    found = [
        {name: _interval(values[model, place], drawn[:, model, place], scale) for place, name in enumerate(metrics)}
        for model in range(len(models))
    ]
    differences = {
        name: _interval(values[0, place] - values[1, place], drawn[:, 0, place] - drawn[:, 1, place], scale)
        for place, name in enumerate(metrics if theirs else ())
    }
    return Measured(found[0], found[1] if theirs else {}, differences)


def _interval(value: float, drawn: np.ndarray, scale: float) -> Difference:
    known = drawn[np.isfinite(drawn)]
    if not len(known) or not np.isfinite(value):
        return Difference(float(value), float("nan"), float("nan"))
    low, middle, high = np.percentile(known, [2.5, 50, 97.5])
    return Difference(float(value), float(value + scale * (low - middle)), float(value + scale * (high - middle)))
