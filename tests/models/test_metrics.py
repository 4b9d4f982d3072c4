"""Metrics are scikit-learn's, of two classes and of more, also by weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from turnout.models.metrics import METRICS

Arrays = tuple[np.ndarray, np.ndarray]
MACRO: dict[str, Any] = {"average": "macro"}


def two(rows: int, rng: np.random.Generator) -> Arrays:
    values = rng.random(rows).round(2)  # some are equal
    return (rng.random(rows) < values).astype(int), values


def three(rows: int, rng: np.random.Generator) -> Arrays:
    values = rng.dirichlet([1, 2, 3], rows)
    return (values.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1), values


def one_hot(truth: np.ndarray) -> np.ndarray:
    return np.eye(3)[truth]


EXPECTED: dict[str, tuple[Any, Any]] = {
    "roc_auc": (
        metrics.roc_auc_score,
        lambda truth, values, **more: metrics.roc_auc_score(truth, values, multi_class="ovr", **MACRO, **more),
    ),
    "average_precision": (
        metrics.average_precision_score,
        lambda truth, values, **more: metrics.average_precision_score(one_hot(truth), values, **MACRO, **more),
    ),
    "neg_brier_score": (
        lambda *of, **more: -metrics.brier_score_loss(*of, **more),
        lambda *of, **more: -metrics.brier_score_loss(*of, **more),
    ),
    "neg_log_loss": (
        lambda *of, **more: -metrics.log_loss(*of, **more),
        lambda *of, **more: -metrics.log_loss(*of, **more),
    ),
    "accuracy": (
        lambda truth, values, **more: metrics.accuracy_score(truth, values >= 0.5, **more),
        lambda truth, values, **more: metrics.accuracy_score(truth, values.argmax(axis=1), **more),
    ),
    "f1": (
        lambda truth, values, **more: metrics.f1_score(truth, values >= 0.5, **more),
        lambda truth, values, **more: metrics.f1_score(truth, values.argmax(axis=1), **MACRO, **more),
    ),
}


@pytest.mark.parametrize("name", METRICS["classification"])
def test_metrics_of_classes_are_scikit_learn_s(name: str) -> None:
    rng = np.random.default_rng(0)
    for rows, draw, expected in ((500, two, EXPECTED[name][0]), (500, three, EXPECTED[name][1])):
        truth, values = draw(rows, rng)
        weights = rng.random(rows)
        found = METRICS["classification"][name]
        assert found(truth, values) == pytest.approx(expected(truth, values), abs=1e-12)
        assert found(truth, values, weights) == pytest.approx(expected(truth, values, sample_weight=weights), abs=1e-12)


def test_metrics_of_numbers_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    truth, weights = rng.normal(3, 2, 500), rng.random(500)
    values = truth + rng.normal(size=500)
    theirs = (metrics.r2_score, metrics.mean_absolute_error, metrics.root_mean_squared_error)
    for (name, metric), expected in zip(METRICS["regression"].items(), theirs, strict=True):
        sign = -1 if name.startswith("neg_") else 1
        assert metric(truth, values) == pytest.approx(sign * expected(truth, values), abs=1e-12)
        found = expected(truth, values, sample_weight=weights)
        assert metric(truth, values, weights) == pytest.approx(sign * found, abs=1e-12)
    for constant in (np.ones(5), np.arange(5.0)):
        assert METRICS["regression"]["r2"](np.ones(5), constant) == metrics.r2_score(np.ones(5), constant)


def test_a_row_of_a_class_that_the_model_does_not_know_is_wrong() -> None:
    truth, values = three(400, np.random.default_rng(0))
    strange = truth.copy()
    strange[:100] = -1
    known = np.arange(400) >= 100
    for name, metric in METRICS["classification"].items():
        assert metric(strange, values) < metric(truth[known], values[known]), name


def test_the_mean_is_over_the_classes_that_occur() -> None:
    truth, values = three(400, np.random.default_rng(0))
    known = truth != 1
    expected = np.mean([metrics.roc_auc_score(truth[known] == index, values[known, index]) for index in (0, 2)])
    assert METRICS["classification"]["roc_auc"](truth[known], values[known]) == pytest.approx(expected)
    assert np.isnan(METRICS["classification"]["roc_auc"](truth[truth == 1], values[truth == 1]))
