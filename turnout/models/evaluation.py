"""The page and KFP metrics of a model's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.calibration import calibration_curve

from turnout.models.metrics import average_precision, roc_auc, said
from turnout.models.scoring import Predictions, calibration_error, slice_scores
from turnout.models.target import Task
from turnout.reports.page import Section, page
from turnout.reports.plots import plot as _axes
from turnout.reports.plots import svg

CURVE_POINTS = 100


DRAWN_CLASSES = 10
"""Classes that are drawn, the most frequent ones; the tables have all."""


def log_classification(artifact: Any, labels: pd.Series, found: Predictions) -> None:
    """Write the confusion matrix, and of two classes the ROC curve (at most 100 points), into KFP's artifact."""
    truth = found.truth(labels)
    if len(found.classes) == 2 and len(np.unique(truth)) == 2:
        false, true, thresholds = metrics.roc_curve(truth, found.values)
        chosen = np.unique(np.linspace(0, len(false) - 1, CURVE_POINTS).round().astype(int))
        finite = np.minimum(thresholds, 1.0)  # the first is infinite, which JSON cannot say
        artifact.log_roc_curve(false[chosen].tolist(), true[chosen].tolist(), finite[chosen].tolist())
    artifact.log_confusion_matrix([str(item) for item in found.classes], confusion(truth, found).tolist())


def confusion(truth: np.ndarray, found: Predictions) -> np.ndarray:
    """Rows by their class and by what the model says, at one half or the most probable; shape (classes, classes).

    Rows of classes that the model does not know are left out.
    """
    known, classes = truth >= 0, np.arange(len(found.classes))
    matrix: np.ndarray = metrics.confusion_matrix(truth[known], said(found.values)[known], labels=classes)
    return matrix


def class_scores(truth: np.ndarray, found: Predictions) -> pd.DataFrame:
    """A row for each class against the others: how many there are and are said to be, and how good that is."""
    matrix = confusion(truth, found)
    chosen = said(found.values)
    chances = np.column_stack([1 - found.values, found.values]) if found.values.ndim == 1 else found.values
    rows = []
    for index, name in enumerate(found.classes):
        of_class, value = (truth == index).astype(int), chances[:, index]
        here, told, right = int(of_class.sum()), int((chosen == index).sum()), int(matrix[index, index])
        varied = 0 < here < len(truth)
        rows.append([
            str(name), here, told,
            right / told if told else float("nan"), right / here if here else float("nan"),
            2 * right / (here + told) if here + told else float("nan"),
            roc_auc(of_class, value) if varied else float("nan"),
            average_precision(of_class, value) if varied else float("nan"),
            calibration_error(of_class, value),
        ])  # fmt: skip
    names = ["class", "rows", "predicted", "precision", "recall", "f1", "roc_auc", "average_precision"]
    return pd.DataFrame(rows, columns=[*names, "calibration error"])


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
    mean = "the classes' shares" if len(found.classes) > 2 else "the mean"
    text = f"{len(labels):,} rows; higher is better. Predicting {mean} for every row has {metric} {baseline:.4g}."
    sections = [Section("Scores", text, columns, rows)]
    if task == "regression":
        sections += _regression_plots(truth, found.values)
    else:
        sections += _classes(truth, found)
        sections += _two_classes(truth, found.values) if len(found.classes) == 2 else _several_classes(truth, found)
    if slices:
        by_slice = slice_scores(metric, table, slices, labels, found)
        sections.append(Section("Slices", "", list(by_slice.columns), by_slice.values.tolist()))
    verdict = "Promote: this model becomes the champion" if promote else "Do not promote"
    return page("Evaluation", sections, verdict=verdict, good=promote, reasons=reasons)


def _classes(truth: np.ndarray, found: Predictions) -> list[Section]:
    by_class = class_scores(truth, found)
    several = len(found.classes) > 2
    text = "Each class against the others." + (
        " Above, roc_auc, average_precision and f1 are the mean over classes." if several else ""
    )
    if unknown := int((truth < 0).sum()):
        text += f" {unknown:,} rows are of classes that the model does not know: whatever it says of them is wrong."
    names = [str(name) for name in found.classes]
    rows = [[name, *row] for name, row in zip(names, confusion(truth, found).tolist(), strict=True)]
    how = (
        "the most probable class is predicted" if several else f"{names[1]} is predicted from a probability of one half"
    )
    return [
        Section("Classes", text, list(by_class.columns), by_class.values.tolist()),
        Section("Confusion matrix", f"A row for what is true, a column for what is predicted; {how}.",
                ["", *names], rows),
    ]  # fmt: skip


def _several_classes(truth: np.ndarray, found: Predictions) -> list[Section]:
    counts = np.bincount(truth[truth >= 0], minlength=len(found.classes))
    drawn = [
        int(index) for index in np.argsort(-counts, kind="stable")[:DRAWN_CLASSES] if 0 < counts[index] < len(truth)
    ]
    roc, lines = _axes("false positive rate", "true positive rate", diagonal=(0, 1))
    calibration, marks = _axes("predicted probability", "observed share", diagonal=(0, 1))
    for index in drawn:
        of_class, values, name = (truth == index).astype(int), found.values[:, index], str(found.classes[index])
        false, true, _ = metrics.roc_curve(of_class, values)
        chosen = np.unique(np.linspace(0, len(false) - 1, 400).round().astype(int))
        lines.plot(false[chosen], true[chosen], label=name, linewidth=1)
        observed, predicted = calibration_curve(of_class, values, n_bins=10, strategy="quantile")
        marks.plot(predicted, observed, marker="o", markersize=3, label=name, linewidth=1)
    for axes in (lines, marks):
        axes.legend(frameon=False, fontsize="small")
    few = f" The {len(drawn)} most frequent classes." if len(drawn) < len(found.classes) else ""
    return [
        Section("ROC curves", figures=[(svg(roc), f"Each class against the others; dashed: guessing.{few}")]),
        Section("Calibration", "How often a class is true where it gets a probability.",
                figures=[(svg(calibration), f"Ten groups of equal size; dashed: perfect.{few}")]),
    ]  # fmt: skip


def _two_classes(truth: np.ndarray, values: np.ndarray) -> list[Section]:
    sections = []
    if len(np.unique(truth)) == 2:
        false, true, _ = metrics.roc_curve(truth, values)
        chosen = np.unique(np.linspace(0, len(false) - 1, 400).round().astype(int))
        roc, axes = _axes("false positive rate", "true positive rate", diagonal=(0, 1))
        axes.plot(false[chosen], true[chosen], color="#1f6fb2")
        sections.append(Section("ROC curve", figures=[(svg(roc), "Dashed: guessing.")]))
    observed, predicted = calibration_curve(truth, values, n_bins=10, strategy="quantile")
    calibration, axes = _axes("predicted probability", "observed share", diagonal=(0, 1))
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
    scatter, axes = _axes("predicted", "observed", diagonal=ends)
    axes.scatter(values[shown], truth[shown], s=6, alpha=0.4, color="#1f6fb2", linewidths=0)
    residuals, bars = _axes("observed - predicted", "rows")
    bars.hist(truth - values, bins=40, color="#9db8d2")
    return [Section("Residuals", figures=[(svg(scatter), "At most 2,000 rows."), (svg(residuals), "All rows.")])]
