"""How good a model still is: measured where labels have arrived, estimated from its own probabilities where not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from turnout.errors import ComponentError
from turnout.models.scoring import metric_function
from turnout.monitoring.dependence import Blocks, Dependence, learn_from
from turnout.monitoring.findings import Finding

Array = NDArray[np.float64]
MOST_ROWS = 50_000
"""Rows, drawn at random, that are enough to judge a model by."""

_RESAMPLES = 100
_TWO_CLASSES = ("roc_auc", "average_precision", "neg_log_loss")
"""Metrics that are not defined where all labels are the same."""

# Metrics that can be taken over rows that are half one class and half the other, by their weights.
_WEIGHTED: dict[str, Callable[..., float]] = {
    "roc_auc": metrics.roc_auc_score,
    "average_precision": metrics.average_precision_score,
    "neg_brier_score": lambda truth, values, **weights: -metrics.brier_score_loss(truth, values, **weights),
    "neg_log_loss": lambda truth, values, **weights: -metrics.log_loss(truth, values, **weights),
    "accuracy": lambda truth, values, **weights: metrics.accuracy_score(truth, values >= 0.5, **weights),
    "f1": lambda truth, values, **weights: metrics.f1_score(truth, values >= 0.5, **weights),
}


@dataclass(frozen=True)
class Measured:
    """A metric over some rows, higher is better, and how far it would vary with others of the same kind.

    Attributes:
        error: standard error, for independent rows; of so many of them as `MOST_ROWS`, where there are more.
        estimated: without labels.
        dependence: of rows of a day; None when that is not known.
    """

    metric: str
    value: float
    error: float
    rows: int
    estimated: bool
    dependence: Dependence | None = None


def measure(metric: str, truth: Array, values: Array, blocks: Blocks = (), seed: int = 0) -> Measured:
    """A metric of predictions whose labels are known, with its error by the bootstrap.

    Args:
        metric: a name of `turnout.models.scoring.METRICS`.
        truth: 0 and 1, or numbers; shape (rows,).
        values: probabilities of 1, or predicted numbers; shape (rows,).
        blocks: rows that come together, such as those of a day.

    Raises:
        ComponentError: there is no such metric, or the labels are all the same.
    """
    if metric in _TWO_CLASSES and len(np.unique(truth)) < 2:
        hint = "take rows with both classes, such as those of a longer interval, or another metric"
        raise ComponentError("the labels are all the same", where=metric, hint=hint)
    return _measured(metric, metric_function(metric), (truth, values), blocks, seed, estimated=False)


def estimate(metric: str, probabilities: Array, blocks: Blocks = (), seed: int = 0) -> Measured:
    """A metric of a classifier whose labels are not known: what is expected if its probabilities are right.

    Source: confidence-based performance estimation, as NannyML has it: each row is of either class, by its probability.

    Raises:
        ComponentError: the metric is not one of a classifier.
    """
    if metric not in _WEIGHTED:
        hint = "give rows that have the target, or leave metric empty"
        raise ComponentError(
            f"'{metric}' cannot be estimated without labels", where="metric", available=_WEIGHTED, hint=hint
        )
    return _measured(metric, functools.partial(_expected, metric), (probabilities,), blocks, seed, estimated=True)


def _expected(metric: str, chances: Array) -> float:
    truth = np.repeat([1, 0], len(chances))
    weights = np.concatenate([chances, 1 - chances])
    return float(_WEIGHTED[metric](truth, np.concatenate([chances, chances]), sample_weight=weights))


def _measured(
    metric: str, function: Callable[..., float], of: tuple[Array, ...], blocks: Blocks, seed: int, estimated: bool
) -> Measured:
    rng, rows, whole = np.random.default_rng(seed), len(of[0]), of
    if rows > MOST_ROWS:
        chosen = rng.choice(rows, MOST_ROWS, replace=False)
        of = tuple(array[chosen] for array in of)
    found = stats.bootstrap(
        of, function, paired=len(of) > 1, vectorized=False, n_resamples=_RESAMPLES, method="percentile", rng=rng
    )
    value, error = float(function(*of)), float(found.standard_error)
    sizes, losses = [], []
    for block in blocks:
        part = [array[block] for array in whole]
        if metric in _TWO_CLASSES and not estimated and len(np.unique(part[0])) < 2:
            continue
        sizes.append(len(block))
        losses.append((value - function(*part)) / (error * np.sqrt(len(of[0]) / len(block)) or 1.0))
    dependence = learn_from(np.array(losses), np.array(sizes, float), rows, power=0.5)
    return Measured(metric, value, error, rows, estimated, dependence)


def held_against(reference: Measured, current: Measured, blocks: float = 1) -> Finding:
    """The finding of a model's performance: how much worse it is than before, and how likely that is by accident.

    Args:
        blocks: in which the current rows come, such as days, where the reference knows how these differ.
    """
    loss, dependence = reference.value - current.value, reference.dependence
    inflations = (dependence.inflation(), dependence.inflation(current.rows / blocks)) if dependence else (1.0, 1.0)
    before, now = (
        item.error * inflation**0.5 for item, inflation in zip((reference, current), inflations, strict=True)
    )
    error = float(np.hypot(before, now))
    p_value = float(stats.norm.sf(loss / error)) if error else float(loss <= 0)
    if dependence and error:
        p_value = max(p_value, dependence.p_value(loss / error))
    low, high = (current.value + sign * 1.96 * now for sign in (-1, 1))
    how = "estimated without labels" if current.estimated else "measured"
    text = f"{current.metric} went from {reference.value:.4f} to {current.value:.4f} ({low:.4f} to {high:.4f}), {how}"
    return Finding(current.metric, "performance", reference.value, current.value, None, max(0.0, loss), p_value, text)
