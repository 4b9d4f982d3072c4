"""The page and KFP metrics of a model's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.calibration import calibration_curve

from turnout.models.estimators import Task
from turnout.models.scoring import Predictions, calibration_error, slice_scores
from turnout.reports.page import Section, page, svg

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "turnout"
from matplotlib.figure import Figure  # noqa: E402 - after the backend is chosen

CURVE_POINTS = 100


def log_classification(artifact: Any, labels: pd.Series, found: Predictions) -> None:
    """Write the ROC curve (at most 100 points) and the confusion matrix at one half into KFP's artifact."""
    truth = found.truth(labels)
    if len(np.unique(truth)) == 2:
        false, true, thresholds = metrics.roc_curve(truth, found.values)
        chosen = np.unique(np.linspace(0, len(false) - 1, CURVE_POINTS).round().astype(int))
        finite = np.minimum(thresholds, 1.0)  # the first is infinite, which JSON cannot say
        artifact.log_roc_curve(false[chosen].tolist(), true[chosen].tolist(), finite[chosen].tolist())
    matrix = metrics.confusion_matrix(truth, found.values >= 0.5, labels=[0, 1])
    artifact.log_confusion_matrix([str(item) for item in found.classes], matrix.tolist())


def evaluation_page(
    table: pd.DataFrame,
    labels: pd.Series,
    found: Predictions,
    *,
    task: Task,
    metric: str,
    slices: Sequence[str],
    scores: Mapping[str, float],
    champion_scores: Mapping[str, float],
    baseline: float,
    promote: bool,
    reasons: Sequence[str],
) -> str:
    """The evaluation as an HTML page."""
    rows = [[name, value, *([champion_scores[name]] if champion_scores else [])] for name, value in scores.items()]
    columns = ["metric", "this model", *(["champion"] if champion_scores else [])]
    truth = found.truth(labels)
    text = f"{len(labels):,} rows; higher is better. Predicting the mean for every row has {metric} {baseline:.4g}."
    sections = [Section("Scores", text, columns, rows)]
    plots = (
        _classification_plots(truth, found.values)
        if task == "classification"
        else _regression_plots(truth, found.values)
    )
    sections.extend(plots)
    if slices:
        by_slice = slice_scores(metric, table, slices, labels, found)
        sections.append(Section("Slices", "", list(by_slice.columns), by_slice.values.tolist()))
    verdict = "Promote: this model becomes the champion" if promote else "Do not promote"
    return page("Evaluation", sections, verdict=verdict, good=promote, reasons=reasons)


def _axes(x: str, y: str, diagonal: tuple[float, float] | None = None) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 3.8))
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    if diagonal:
        axes.plot(diagonal, diagonal, color="#999", linewidth=1, linestyle="--")
    return figure, axes


def _classification_plots(truth: np.ndarray, values: np.ndarray) -> list[Section]:
    sections = []
    if len(np.unique(truth)) == 2:
        false, true, _ = metrics.roc_curve(truth, values)
        chosen = np.unique(np.linspace(0, len(false) - 1, 400).round().astype(int))
        roc, axes = _axes("false positive rate", "true positive rate", (0, 1))
        axes.plot(false[chosen], true[chosen], color="#1f6fb2")
        sections.append(Section("ROC curve", figures=[(svg(roc), "Dashed: guessing.")]))
    observed, predicted = calibration_curve(truth, values, n_bins=10, strategy="quantile")
    calibration, axes = _axes("predicted probability", "observed share", (0, 1))
    axes.plot(predicted, observed, marker="o", color="#1f6fb2")
    histogram, bars = _axes("predicted probability", "rows")
    bars.hist([values[truth == 0], values[truth == 1]], bins=30, stacked=True, color=["#9db8d2", "#d9822b"])
    bars.legend(["negative", "positive"], frameon=False)
    error = calibration_error(truth, values)
    text = f"Expected calibration error {error:.4f}: how far, on average, a predicted probability "
    figures = [
        (svg(calibration), "Ten groups of equal size; dashed: perfect."),
        (svg(histogram), "How sure the model is."),
    ]
    sections.append(Section("Calibration", text + "is from the share that was observed.", figures=figures))
    return sections


def _regression_plots(truth: np.ndarray, values: np.ndarray) -> list[Section]:
    shown = np.random.default_rng(0).choice(len(truth), min(2000, len(truth)), replace=False)
    ends = (float(min(truth.min(), values.min())), float(max(truth.max(), values.max())))
    scatter, axes = _axes("predicted", "observed", ends)
    axes.scatter(values[shown], truth[shown], s=6, alpha=0.4, color="#1f6fb2", linewidths=0)
    residuals, bars = _axes("observed - predicted", "rows")
    bars.hist(truth - values, bins=40, color="#9db8d2")
    return [Section("Residuals", figures=[(svg(scatter), "At most 2,000 rows."), (svg(residuals), "All rows.")])]
