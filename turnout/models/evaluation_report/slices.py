"""How good a model is for parts of the rows: by value of a column, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from turnout.models.evaluation_report.intervals import measure
from turnout.models.scoring import Difference, Predictions

FEW_ROWS = 50
"""Fewer rows in a slice, or of its rarest class less than a fifth of them, and its score is uncertain."""

_MOST = 15


@dataclass(frozen=True)
class Slice:
    """The rows with a value in a column.

    Attributes:
        target: the mean of the target, or with more than two classes the most frequent one and its share.
        score: with its interval; nan where the metric is not defined.
        difference: to the champion on these rows; None without one.
        uncertain: there are too few rows to say much.
    """

    column: str
    value: str
    rows: int
    target: Any
    score: Difference
    difference: Difference | None
    uncertain: bool


def slice_metric(metric: str) -> str:
    """The metric that slices are compared by. `r2` divides by the variance in the slice, which is another in each."""
    return "neg_root_mean_squared_error" if metric == "r2" else metric


def slices_of(
    metric: str,
    table: pd.DataFrame,
    columns: Sequence[str],
    labels: pd.Series,
    ours: Predictions,
    theirs: Predictions | None = None,
) -> list[Slice]:
    """The slices by each column, the worst score first; those without a score last.

    Of a column the most frequent values are shown; numbers with many values are cut into five parts of equal size.
    """
    truth, found = ours.truth(labels), []
    for column, value, chosen in _parts(table, columns):
        here = labels[chosen]
        champion = theirs.part(chosen) if theirs else None
        measured = measure([metric], here, ours.part(chosen), champion, resamples=100)
        rows = int(chosen.sum())
        rarest = int(here.value_counts().min()) if ours.classes and here.nunique() > 1 else rows
        score, difference = measured.ours[metric], measured.differences.get(metric)
        uncertain = rows < FEW_ROWS or rarest < FEW_ROWS / 5
        target = _target(truth[chosen], here, ours)
        found.append(Slice(column, value, rows, target, score, difference, uncertain))
    return sorted(found, key=lambda item: (np.isnan(item.score.value), item.score.value))


def _parts(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    for column in columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > _MOST:
            parts = pd.qcut(values, 5, duplicates="drop")
            values = parts.map({item: f"{item.left:,.4g} to {item.right:,.4g}" for item in parts.cat.categories})
        for value in values.value_counts().index[:_MOST]:
            yield column, str(value), (values == value).to_numpy(dtype=bool, na_value=False)


def _target(truth: np.ndarray, labels: pd.Series, found: Predictions) -> Any:
    if found.values.ndim == 1:
        return float(truth.mean())
    counts = labels.value_counts()
    return f"{counts.index[0]} ({counts.iloc[0] / counts.sum():.0%})"
