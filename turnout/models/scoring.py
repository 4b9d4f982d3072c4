"""How good predictions are: scores, calibration, slices, paired comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from turnout.errors import ComponentError
from turnout.models.metrics import METRICS, RANKING, metric_function, said
from turnout.models.target import Task

DEFAULT_METRIC: dict[str, str] = {"classification": "roc_auc", "regression": "r2"}


@dataclass(frozen=True)
class Predictions:
    """What a model says of rows.

    Attributes:
        values: of two classes the probability of the second, of a regression the predicted number, shape (rows,); of
            more classes the probability of each, shape (rows, classes).
        classes: in sorted order; empty for a regression.
    """

    values: np.ndarray
    classes: tuple[Any, ...] = ()

    def truth(self, labels: pd.Series) -> np.ndarray:
        """Labels in the form of the values: 0 and 1, the classes' indices, or numbers.

        With more than two classes, one that the model does not know is -1: what it says of such a row is wrong.

        Raises:
            ComponentError: there are two classes, and labels that are neither.
        """
        if not self.classes:
            return labels.to_numpy(dtype=float)
        found = _places(labels, self.classes)
        if len(self.classes) == 2 and (found < 0).any():
            others = labels[found < 0]
            raise ComponentError(
                f"{len(others):,} rows have a target that the model does not know: "
                f"{', '.join(repr(item) for item in others.unique()[:5].tolist())}",
                where=f"data.{labels.name}", available=map(str, self.classes),
                hint="leave these rows out, or train a model with them",
            )  # fmt: skip
        return found

    def part(self, rows: np.ndarray) -> Predictions:
        """Those of some rows, by a mask or indices."""
        return Predictions(self.values[rows], self.classes)

    def table(self) -> pa.Table:
        """As a table of predictions has it: the probability of the second of two classes, the class, or the number."""
        if len(self.classes) == 2:
            return pa.table({"probability": self.values})
        return pa.table({"prediction": np.asarray(self.classes)[said(self.values)] if self.classes else self.values})

    def by_class(self, truth: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Of a classifier: what a probability is of, whether it is true of a row, and the probabilities.

        `probability` of the second of two classes; with more, `probability of NAME` for each.
        """
        if len(self.classes) == 2:
            yield "probability", truth, self.values
        elif self.classes:
            for index, name in enumerate(self.classes):
                yield f"probability of {name}", (truth == index).astype(int), self.values[:, index]

    def constant(self, labels: pd.Series) -> Predictions:
        """What it is to know no more than the labels' mean: the same for each row, the shares of classes or a mean."""
        truth = self.truth(labels)
        if self.values.ndim == 1:
            return Predictions(np.full(len(truth), truth.mean()), self.classes)
        shares = np.bincount(truth[truth >= 0], minlength=len(self.classes)) / max(1, int((truth >= 0).sum()))
        return Predictions(np.tile(shares, (len(truth), 1)), self.classes)

    def of_classes(self, classes: Sequence[Any]) -> Predictions:
        """The same of other classes: 0 for one that the model does not know."""
        if self.classes == tuple(classes):
            return self
        values = self.values if self.values.ndim == 2 else np.column_stack([1 - self.values, self.values])
        wider = np.zeros((len(values), len(classes)))
        wider[:, _places(pd.Series(self.classes), classes)] = values
        return Predictions(wider if len(classes) > 2 else wider[:, 1], tuple(classes))


def _places(labels: pd.Series, classes: Sequence[Any]) -> np.ndarray:
    """Which of the classes each label is, by index; -1 for none of them."""
    places: np.ndarray = pd.Index(classes).get_indexer(pd.Index(labels.to_numpy()))
    return places


def on_the_same_classes(one: Predictions, other: Predictions) -> tuple[Predictions, Predictions]:
    """Two models' predictions, of the classes that either of them knows."""
    if one.classes == other.classes:
        return one, other
    both = sorted({*one.classes, *other.classes})
    return one.of_classes(both), other.of_classes(both)


def predictions(model: Any, inputs: pd.DataFrame, task: Task) -> Predictions:
    """A scikit-learn model's predictions for rows."""
    if task == "classification":
        classes = tuple(np.asarray(model.classes_).tolist())
        chances = np.asarray(model.predict_proba(inputs), dtype=float)
        return Predictions(chances[:, 1] if len(classes) == 2 else chances, classes)
    return Predictions(np.asarray(model.predict(inputs), dtype=float).reshape(-1))


def score(metric: str, labels: pd.Series, found: Predictions) -> float:
    """The metric of predictions; nan where it is not defined, such as ROC AUC of a single class."""
    truth = found.truth(labels)
    if found.classes and metric in RANKING and len(np.unique(truth)) < 2:
        return float("nan")
    return metric_function(metric)(truth, found.values)


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

    Both are scored on the same rows, drawn together: that these are easy, or vary little, is the same for both.

    Args:
        ours, theirs: of the same classes; see `on_the_same_classes`.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; `scipy.stats.bootstrap`.
    """
    function = metric_function(metric)
    truth = ours.truth(labels)

    def compare(rows: np.ndarray) -> float:
        return function(truth[rows], ours.values[rows]) - function(truth[rows], theirs.values[rows])

    every = np.arange(len(truth))
    value = compare(every)
    if np.array_equal(ours.values, theirs.values):
        return Difference(0.0, 0.0, 0.0)
    interval = stats.bootstrap(
        (every,), compare, vectorized=False, n_resamples=100, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return Difference(float(value), float(interval.low), float(interval.high))


def calibration_error(truth: np.ndarray, values: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal size.

    Args:
        truth: whether a row is of a class, 0 and 1; shape (rows,).
        values: the probabilities that it is; shape (rows,).

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
    """A metric by value of each column (the `most` most frequent): column, value, rows, target, score.

    Of the target the mean is told, or with more than two classes the most frequent one and its share.
    """
    rows = []
    truth, several = found.truth(labels), found.values.ndim == 2
    for column in columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > most:
            values = pd.qcut(values, 5, duplicates="drop").astype(str)
        for value in values.value_counts().index[:most]:
            chosen = (values == value).to_numpy(dtype=bool, na_value=False)
            of_target: Any = float(truth[chosen].mean())
            if several:
                counts = labels[chosen].value_counts()
                of_target = f"{counts.index[0]} ({counts.iloc[0] / counts.sum():.0%})"
            scored = score(metric, labels[chosen], found.part(chosen))
            rows.append([column, str(value), int(chosen.sum()), of_target, scored])
    return pd.DataFrame(
        rows, columns=["column", "value", "rows", "most frequent" if several else "mean target", metric]
    )
