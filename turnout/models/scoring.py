"""How good predictions are: metrics (higher is better), calibration, slices, paired comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics

from turnout.errors import ComponentError, did_you_mean
from turnout.models.estimators import Task

DEFAULT_METRIC: dict[str, str] = {"classification": "roc_auc", "regression": "r2"}


@dataclass(frozen=True)
class Predictions:
    """What a model says of rows.

    Attributes:
        values: the probability of the positive class, or the predicted number; shape (rows,).
        positive: the positive class, the second in sorted order; None for regression.
    """

    values: np.ndarray
    positive: Any = None
    classes: tuple[Any, ...] = ()

    def truth(self, labels: pd.Series) -> np.ndarray:
        """Labels in the form of the values: 0 and 1, or numbers."""
        return (labels.to_numpy() == self.positive).astype(int) if self.classes else labels.to_numpy(dtype=float)


def _labels(function: Callable[..., float]) -> Callable[..., float]:
    return lambda truth, values: function(truth, values >= 0.5)


def _negative(function: Callable[..., float]) -> Callable[..., float]:
    return lambda truth, values: -function(truth, values)


# The names are scikit-learn's for scorers: with all of them, higher is better.
METRICS: dict[str, dict[str, Callable[..., float]]] = {
    "classification": {
        "roc_auc": metrics.roc_auc_score,
        "average_precision": metrics.average_precision_score,
        "neg_brier_score": _negative(metrics.brier_score_loss),
        "neg_log_loss": _negative(metrics.log_loss),
        "accuracy": _labels(metrics.accuracy_score),
        "f1": _labels(metrics.f1_score),
    },
    "regression": {
        "r2": metrics.r2_score,
        "neg_mean_absolute_error": _negative(metrics.mean_absolute_error),
        "neg_root_mean_squared_error": _negative(metrics.root_mean_squared_error),
    },
}


def metric_function(name: str) -> Callable[..., float]:
    """A metric of truth and values. Raises ComponentError when there is none of that name."""
    known = {key: function for group in METRICS.values() for key, function in group.items()}
    if name not in known:
        raise ComponentError(f"no metric '{name}'", available=known, hint=did_you_mean(name, known))
    return known[name]


def check_target(labels: pd.Series, task: Task) -> None:
    """Raise ComponentError unless the target fits the task: two classes, or numbers."""
    where = f"data.{labels.name}"
    if task == "classification":
        classes = labels.unique()
        if len(classes) != 2:
            shown = [str(item) for item in classes[:10]]
            hint = "make it a column with two values, or set task=regression for a number"
            what = f"the target has {len(classes)} classes, not two"
            raise ComponentError(what, where=where, available=shown, hint=hint)
    elif not pd.api.types.is_numeric_dtype(labels):
        raise ComponentError("the target of a regression is not a number", where=where, hint="set task=classification")


def predictions(model: Any, inputs: pd.DataFrame, task: Task) -> Predictions:
    """A scikit-learn model's predictions for rows."""
    if task == "classification":
        classes = tuple(model.classes_)
        return Predictions(model.predict_proba(inputs)[:, 1], classes[1], classes)
    return Predictions(np.asarray(model.predict(inputs), dtype=float))


def score(metric: str, labels: pd.Series, found: Predictions) -> float:
    """The metric of predictions; nan where it is not defined, such as ROC AUC of a single class."""
    truth = found.truth(labels)
    if found.classes and metric in ("roc_auc", "average_precision", "neg_log_loss") and len(np.unique(truth)) < 2:
        return float("nan")
    return float(metric_function(metric)(truth, found.values))


def all_scores(task: Task, labels: pd.Series, found: Predictions) -> dict[str, float]:
    return {name: score(name, labels, found) for name in METRICS[task]}


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another, on the same rows, with a 95 % interval."""

    value: float
    low: float
    high: float


def difference(metric: str, labels: pd.Series, ours: Predictions, theirs: Predictions, seed: int = 0) -> Difference:
    """The paired difference of a metric, with a percentile bootstrap over rows.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; `scipy.stats.bootstrap`.
    """
    function = metric_function(metric)
    truth = ours.truth(labels)

    def compare(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> float:
        return function(truth, ours) - function(truth, theirs)

    value = compare(truth, ours.values, theirs.values)
    if np.array_equal(ours.values, theirs.values):
        return Difference(0.0, 0.0, 0.0)
    interval = stats.bootstrap(
        (truth, ours.values, theirs.values),
        compare,
        paired=True,
        vectorized=False,
        n_resamples=100,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Difference(float(value), float(interval.low), float(interval.high))


def calibration_error(truth: np.ndarray, values: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal size.

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015).
    """
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, bins)
    return float(
        sum(len(part) * abs(truth[part].mean() - values[part].mean()) for part in parts if len(part)) / len(values)
    )


def slice_scores(
    metric: str, table: pd.DataFrame, columns: Sequence[str], labels: pd.Series, found: Predictions, most: int = 15
) -> pd.DataFrame:
    """A metric by value of each column (the `most` most frequent): column, value, rows, mean target, score."""
    rows = []
    for column in columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > most:
            values = pd.qcut(values, 5, duplicates="drop").astype(str)
        for value in values.value_counts().index[:most]:
            chosen = (values == value).to_numpy()
            part = Predictions(found.values[chosen], found.positive, found.classes)
            mean = float(found.truth(labels)[chosen].mean())
            rows.append([column, str(value), int(chosen.sum()), mean, score(metric, labels[chosen], part)])
    return pd.DataFrame(rows, columns=["column", "value", "rows", "mean target", metric])
