"""What a metric is compared by, so that other rows are not taken for another model.

A metric says something of the model and of the rows. A month's target varies less than a year's, so the same errors
give less `r2`; where fewer rows are positive, the same ranking has less average precision; on rows that are all alike
nobody ranks well. So a metric over some rows is turned into numbers that stay the same while the model does, of each
of which the reference has its own:

    scale   of `r2`: the squared errors over the variance of the reference's target; other errors have a unit already
    mix     of a classifier: the metric with as large a share of each class as the reference has, by weights
    rows    how much better the metric is than what can be expected on these very rows: of a classifier by its own
            probabilities, as sharp as they were right at the reference, and with the shares of classes that follow;
            of a regression by the errors that predictions of that size had there

`mix` is right where classes become more or less frequent and are otherwise as they were, `rows` where the rows are
others and what follows from them is not. Which of both it is cannot be told, so a loss has to show in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from turnout.models.metrics import METRICS, metric_function, precision, ranking, said

Array = NDArray[np.float64]
How = Literal["scale", "mix", "rows", "estimate"]

BINS = 10
LEAST_OF_CLASS = 5
"""Rows of a class below which they cannot stand for the reference's share of it."""

_LEAST_CHANCE = 1e-6


@dataclass(frozen=True)
class OfClasses:
    """A classifier's rows at the reference.

    Attributes:
        shares: of the rows, by class.
        sharpness: the power that makes the model's probabilities right: below 1 for a model that is too sure.
    """

    shares: tuple[float, ...]
    sharpness: float


@dataclass(frozen=True)
class OfNumbers:
    """A regression's rows at the reference.

    Attributes:
        variance: of the target.
        edges: predictions between two bins, ascending.
        squared, absolute: mean errors by bin, one more than edges.
    """

    variance: float
    edges: tuple[float, ...]
    squared: tuple[float, ...]
    absolute: tuple[float, ...]


Scale = OfClasses | OfNumbers


def scale_of(metric: str, truth: Array, values: Array) -> Scale:
    """What is to be known of the reference's rows; truth and values as in `turnout.models.metrics`."""
    if metric in METRICS["classification"]:
        classes = values.shape[1] if values.ndim == 2 else 2
        counts = np.bincount(truth[truth >= 0].astype(int), minlength=classes)
        return OfClasses(tuple((counts / max(1, counts.sum())).tolist()), _sharpness(truth, values))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins, off = np.searchsorted(edges, values, "right"), truth - values
    rows = np.maximum(np.bincount(bins, minlength=len(edges) + 1), 1)
    squared, absolute = (np.bincount(bins, of, len(edges) + 1) / rows for of in (off**2, abs(off)))
    return OfNumbers(float(truth.var()), tuple(edges.tolist()), tuple(squared.tolist()), tuple(absolute.tolist()))


def comparable(metric: str, scale: Scale, truth: Array, values: Array) -> tuple[float, dict[How, float]]:
    """The metric, of `r2` in the reference's unit, and what it is compared by; nan where these rows are too few."""
    if isinstance(scale, OfNumbers):
        value = _on_scale(metric, scale, truth, values)
        return value, {"scale": value, "rows": value - expected(metric, scale, values)}
    function = metric_function(metric)
    value = function(truth, values)

    def with_shares(shares: Sequence[float], otherwise: float) -> float:
        if metric == "roc_auc" and values.ndim == 1:
            return value  # it is about pairs of one row of each class
        weights = _weights(shares, truth)
        return otherwise if weights is None else function(truth, values, weights)

    # What is more frequent than expected is no merit: without weights it would hide that the ranking is worse.
    here = with_shares(_expected_shares(scale, values), value)
    return value, {
        "mix": with_shares(scale.shares, float("nan")),
        "rows": here - expected(metric, scale, values, np.unique(truth)),
    }


def expected(metric: str, scale: Scale, values: Array, occurring: Array | None = None) -> float:
    """A metric as it can be expected of a model as good as at the reference, without labels.

    Args:
        occurring: the classes that the mean over classes is taken of; all when None.

    Source: confidence-based and direct performance estimation, as NannyML has them; the sharpness is the temperature of
        Guo et al., On Calibration of Modern Neural Networks (2017).
    """
    if isinstance(scale, OfNumbers):
        bins = np.searchsorted(scale.edges, values, "right")
        squared, absolute = (float(np.array(of)[bins].mean()) for of in (scale.squared, scale.absolute))
        if metric == "r2":
            return 1 - squared / scale.variance if scale.variance else float("nan")
        return -absolute if metric == "neg_mean_absolute_error" else -float(np.sqrt(squared))
    binary = values.ndim == 1
    given = _of_each(values)
    chances = _sharpened(given, scale.sharpness)
    chosen = said(values)
    if metric == "accuracy":
        return float(chances[np.arange(len(chances)), chosen].mean())
    if metric == "neg_brier_score":
        whole = -float(((given**2).sum(axis=1) + 1 - 2 * (chances * given).sum(axis=1)).mean())
        return whole / 2 if binary else whole
    if metric == "neg_log_loss":
        return float((chances * np.log(np.clip(given, np.finfo(float).eps, 1))).sum(axis=1).mean())
    classes = np.arange(given.shape[1])
    if metric == "f1":
        right = np.bincount(chosen, chances[np.arange(len(chances)), chosen], len(classes))
        found = np.bincount(chosen, minlength=len(classes)) + chances.sum(axis=0)
        scores = 2 * right / np.where(found > 0, found, 1)
        if occurring is not None:
            classes = np.union1d(occurring[occurring >= 0].astype(int), np.unique(chosen))
        return float(scores[1] if binary else scores[classes].mean())
    if binary:
        classes = classes[1:]
    elif occurring is not None:
        classes = occurring[occurring >= 0].astype(int)
    function = {"roc_auc": ranking, "average_precision": precision}[metric]
    return float(np.mean([function(given[:, index], chances[:, index], 1 - chances[:, index]) for index in classes]))


def _on_scale(metric: str, scale: OfNumbers, truth: Array, values: Array) -> float:
    if metric == "r2":
        return float(1 - ((truth - values) ** 2).mean() / scale.variance) if scale.variance else float("nan")
    return metric_function(metric)(truth, values)


def _of_each(values: Array) -> Array:
    """The probabilities of each class, of two too; shape (rows, classes)."""
    return np.column_stack([1 - values, values]) if values.ndim == 1 else values


def _expected_shares(scale: OfClasses, values: Array) -> Sequence[float]:
    shares: list[float] = _sharpened(_of_each(values), scale.sharpness).mean(axis=0).tolist()
    return shares


def _weights(wanted_shares: Sequence[float], truth: Array) -> Array | None:
    """Weights that give the classes such shares of the rows; None where one has too few rows.

    Rows of classes that should have no share keep their own.
    """
    shares, known = np.array(wanted_shares), truth[truth >= 0].astype(int)
    counts = np.bincount(known, minlength=len(shares))
    wanted = shares > 0
    if (counts[wanted] < LEAST_OF_CLASS).any():
        return None
    factors = np.ones(len(shares) + 1)  # the last for classes that the model does not know, -1
    factors[:-1][wanted] = shares[wanted] * counts[wanted].sum() / counts[wanted]
    weights: Array = factors[truth.astype(int)]
    return weights


def _sharpness(truth: Array, values: Array) -> float:
    """The power of the probabilities under which the truth is most likely."""
    given = _of_each(values)
    known = truth >= 0
    given, truth = given[known], truth[known].astype(int)
    if not len(truth):
        return 1.0

    def loss(logarithm: float) -> float:
        chances = _sharpened(given, float(np.exp(logarithm)))
        return -float(np.log(chances[np.arange(len(truth)), truth]).mean())

    return float(np.exp(optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _sharpened(chances: Array, power: float) -> Array:
    if power == 1.0:
        return chances
    powers = np.clip(chances, _LEAST_CHANCE, 1) ** power
    sharpened: Array = powers / powers.sum(axis=1, keepdims=True)
    return sharpened
