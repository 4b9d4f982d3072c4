"""Metrics of predictions, by scikit-learn's names for scorers: with all of them, higher is better.

Each is a function of the truth, the values and, where rows do not count alike, their weights:

    truth   of two classes 0 and 1; of more the class's index, or -1 for one that the model does not know; or numbers
    values  of two classes the probabilities of 1, shape (rows,); of more those of each, (rows, classes); or numbers

They are scikit-learn's to rounding, without its checks of each call, which in a bootstrap take several times as long as
the sums. With more than two classes ROC AUC, average precision and F1 are the mean over the classes that occur, each of
them against the rest (`macro`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from turnout.errors import ComponentError, did_you_mean

Metric = Callable[..., float]

RANKING = ("roc_auc", "average_precision", "neg_log_loss")
"""Metrics that are not defined where all labels are the same."""


def said(values: np.ndarray) -> np.ndarray:
    """The class that probabilities speak for, by its index; of two classes the second from one half on."""
    return (values >= 0.5).astype(int) if values.ndim == 1 else values.argmax(axis=1)


def chance_of_truth(truth: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The probability of what was true; 0 for a class that the model does not know; shape (rows,)."""
    if values.ndim == 1:
        return np.where(truth == 1, values, 1 - values)
    return np.where(truth >= 0, values[np.arange(len(truth)), truth], 0.0)


def roc_auc(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    return _one_against_rest(ranking, truth, values, weights)


def average_precision(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    return _one_against_rest(precision, truth, values, weights)


def ranking(values: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """ROC AUC of rows that count as positive by one weight and as negative by another.

    Source: Mann and Whitney (1947); of equal values half.
    """
    places = np.unique(values, return_inverse=True)[1]
    above, below = np.bincount(places, positive), np.bincount(places, negative)
    return float((above * (below.cumsum() - below / 2)).sum() / (above.sum() * below.sum()))


def precision(values: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """Average precision of rows that count as positive by one weight and as negative by another."""
    places = np.unique(-values, return_inverse=True)[1]
    right, wrong = np.bincount(places, positive), np.bincount(places, negative)
    told = right.cumsum() + wrong.cumsum()
    return float((right * np.divide(right.cumsum(), told, out=np.zeros_like(told), where=told > 0)).sum() / right.sum())


def neg_brier_score(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Of two classes the squared error of one probability; of more the sum of those of all.

    Source: Brier (Monthly Weather Review 78, 1950), halved for two classes, as scikit-learn does.
    """
    if values.ndim == 1:
        return -float(np.average((values - truth) ** 2, weights=weights))
    # (1 - p)^2 of what is true, which is a class of probability 0 where the model does not know it; p^2 of the others
    return -float(np.average((values**2).sum(axis=1) + 1 - 2 * chance_of_truth(truth, values), weights=weights))


def neg_log_loss(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    chances = np.clip(chance_of_truth(truth, values), np.finfo(float).eps, 1)
    return float(np.average(np.log(chances), weights=weights))


def accuracy(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(np.average(said(values) == truth, weights=weights))


def f1(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    chosen, size = said(values), 2 if values.ndim == 1 else values.shape[1] + 1  # the last for -1
    right = np.bincount(chosen[chosen == truth], None if weights is None else weights[chosen == truth], size)
    told, there = np.bincount(chosen, weights, size), np.bincount(truth.astype(int) % size, weights, size)
    scores = 2 * right / np.maximum(told + there, np.finfo(float).tiny)
    return float(scores[1] if values.ndim == 1 else scores[told + there > 0].mean())


def r2(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    error = float(np.average((truth - values) ** 2, weights=weights))
    variance = float(np.average((truth - np.average(truth, weights=weights)) ** 2, weights=weights))
    return 1 - error / variance if variance else float(not error)


def neg_mean_absolute_error(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    return -float(np.average(abs(truth - values), weights=weights))


def neg_root_mean_squared_error(truth: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float:
    return -float(np.sqrt(np.average((truth - values) ** 2, weights=weights)))


METRICS: dict[str, dict[str, Metric]] = {
    "classification": {
        "roc_auc": roc_auc,
        "average_precision": average_precision,
        "neg_brier_score": neg_brier_score,
        "neg_log_loss": neg_log_loss,
        "accuracy": accuracy,
        "f1": f1,
    },
    "regression": {
        "r2": r2,
        "neg_mean_absolute_error": neg_mean_absolute_error,
        "neg_root_mean_squared_error": neg_root_mean_squared_error,
    },
}


def metric_function(name: str) -> Metric:
    """A metric by its name. Raises ComponentError when there is none."""
    known = {key: function for group in METRICS.values() for key, function in group.items()}
    if name not in known:
        raise ComponentError(f"no metric '{name}'", available=known, hint=did_you_mean(name, known))
    return known[name]


def _one_against_rest(
    function: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray | None,
) -> float:
    """A metric of two classes, or its mean over the classes that occur; nan where only one class does."""
    occurring = np.unique(truth)
    if len(occurring) < 2:
        return float("nan")
    given = np.ones(len(truth)) if weights is None else weights
    columns = [(1, values)] if values.ndim == 1 else [(index, values[:, index]) for index in occurring if index >= 0]
    return float(
        np.mean([function(column, given * (truth == index), given * (truth != index)) for index, column in columns])
    )
