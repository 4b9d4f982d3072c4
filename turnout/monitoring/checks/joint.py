"""Whether rows of two tables can be told apart by all columns together, where each column alone may look the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from turnout.models.inputs import kind_of, plain_types
from turnout.monitoring.findings import Finding

LEAST_ROWS = 40
"""Of either table, below which a classifier learns nothing."""

MOST_ROWS = 2_000
_CATEGORIES = 50
_BINS = 255
"""Of a number, as scikit-learn has it."""

_ASKED = 32
"""Columns of which it is asked whether rows are told by them; each costs a look at all rows."""

Rows = NDArray[np.float64]


def told_apart(reference: pd.DataFrame, current: pd.DataFrame, seed: int = 0) -> Finding | None:
    """The finding of a classifier that learns which table a row is of.

    It learns from one half of the rows and is asked for the other, twice: so the Mann-Whitney test of its answers holds
    whatever it learned. The distance is 2 AUC - 1: no more than the share of rows that would have to change.

    Args:
        reference, current: rows; columns that are not in both are left out.

    Returns:
        None when there are too few rows or no columns.

    Source: Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests (2017).
    """
    names = [str(name) for name in reference if name in current]
    if min(len(reference), len(current)) < LEAST_ROWS or not names:
        return None
    # In one form: what is a truth value or a whole number here may be a number or a text there.
    texts = [name for name in names if kind_of(reference[name]) == "text" and kind_of(current[name]) == "number"]
    current = current.astype(dict.fromkeys(texts, "string"))
    parts = [
        plain_types(table[names].sample(min(len(table), MOST_ROWS), random_state=seed))
        for table in (reference, current)
    ]
    rows, names, categories = _encoded(pd.concat(parts, ignore_index=True))
    side = np.repeat([0, 1], [len(part) for part in parts])
    half = np.concatenate([np.arange(len(part)) % 2 for part in parts])  # of rows in random order
    p_values, areas, drops = [], [], np.zeros(len(names))
    with threadpool_limits(1):  # so few rows that threads only wait for each other
        for asked in (0, 1):
            learned, held = half != asked, half == asked
            binned = _binned(rows, categories, learned, side)
            model = _fit(binned[learned], side[learned], categories, seed)
            area, p_value = _told(model, binned[held], side[held])
            areas.append(area)
            p_values.append(p_value)
            if p_value < 0.05:
                for index in _used(model, len(names)):
                    drops[index] += area - _told(model, _shuffled(binned[held], index, seed), side[held])[0]
    area = float(np.mean(areas))
    distance = max(0.0, 2 * area - 1)
    by = [names[index] for index in np.argsort(-drops, kind="stable")[:3] if drops[index] > 0.01]
    text = f"rows can be told from the reference's with an AUC of {area:.3f}" + (f", by {', '.join(by)}" if by else "")
    return Finding("all columns", "joint", 0.5, area, None, distance, min(1.0, 2 * min(p_values)), text)


def _encoded(rows: pd.DataFrame) -> tuple[Rows, list[str], int]:
    """Numbers as they are; of the rest the most frequent values, by number; the columns' names, and how many are such.

    Those come first, as scikit-learn puts them, so that the trees count columns as we do.
    """
    numbers, categories = {}, {}
    for name in map(str, rows):
        values = rows[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            plain = values.to_numpy(float, na_value=np.nan)
            numbers[name] = np.where(np.isfinite(plain), plain, np.nan)
            continue
        texts = values.astype("string")
        kept = texts.value_counts().index[:_CATEGORIES]
        codes = texts.map(dict(zip(kept, range(len(kept)), strict=True)))
        categories[name] = codes.to_numpy(float, na_value=np.nan)
    ordered = categories | numbers
    return np.column_stack(list(ordered.values())), list(ordered), len(categories)


def _binned(rows: Rows, categories: int, learned: NDArray[np.bool_], side: NDArray[np.int64]) -> Rows:
    """Numbers of many values by the number of their quantile among the learned rows, where both tables weigh as much.

    It is what scikit-learn does with them, in a hundredth of the time: with weights it takes each quantile by itself.
    """
    binned = rows.copy(order="F")
    weights = 1 / np.bincount(side[learned])[side[learned]]
    for index in range(categories, rows.shape[1]):
        values = rows[learned, index]
        known = ~np.isnan(values)
        if len(np.unique(values[known])) <= _BINS:
            continue
        order = np.argsort(values[known], kind="stable")
        ordered, below = values[known][order], np.cumsum(weights[known][order])
        wanted = np.arange(1, _BINS) / _BINS * below[-1]
        at = np.searchsorted(below, wanted * (1 - 1e-12))
        after = np.minimum(at + np.isclose(below[at], wanted, rtol=1e-12, atol=0), len(ordered) - 1)
        marks = np.unique((ordered[at] + ordered[after]) / 2)
        binned[:, index] = np.where(np.isnan(rows[:, index]), np.nan, np.searchsorted(marks, rows[:, index]))
    return binned


def _fit(rows: Rows, side: NDArray[np.int64], categories: int, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=15, min_samples_leaf=10, early_stopping=False,
        categorical_features=np.arange(categories), class_weight="balanced", random_state=seed,
    )  # fmt: skip
    return model.fit(rows, side)


def _used(model: Any, columns: int) -> NDArray[np.int64]:
    """The columns by which trees divided with the most gain; without one that was not used the answers are the same."""
    gains = np.zeros(columns)
    for tree in model._predictors:
        nodes = tree[0].nodes
        inner = nodes[nodes["is_leaf"] == 0]
        np.add.at(gains, inner["feature_idx"], inner["gain"])
    most = np.argsort(-gains, kind="stable")[:_ASKED]
    return most[gains[most] > 0]


def _told(model: Any, rows: Rows, side: NDArray[np.int64]) -> tuple[float, float]:
    """The area under the curve, and how likely one as large is by guessing."""
    answers = model.predict_proba(rows)[:, 1]
    found = stats.mannwhitneyu(answers[side == 1], answers[side == 0], alternative="greater")
    return float(found.statistic / ((side == 1).sum() * (side == 0).sum())), float(found.pvalue)


def _shuffled(rows: Rows, index: int, seed: int) -> Rows:
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = rows.copy(order="K")
    shuffled[:, index] = rows[order, index]
    return shuffled
