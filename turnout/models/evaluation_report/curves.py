"""The curves of a model and of the champion, as sections of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

from turnout.models.scoring import Predictions, calibration_error
from turnout.reports.page import Section
from turnout.reports.plots import BLUE, ORANGE, PALE, SEVERAL, plot, svg

DRAWN_CLASSES = 10
"""Classes that are drawn, the most frequent ones; the tables have all."""

_POINTS = 200
_SCATTERED = 2_000

Model = tuple[str, np.ndarray]
"""The name of a model and what it says of the rows."""


def two_classes(truth: np.ndarray, ours: Predictions, theirs: Predictions | None) -> list[Section]:
    """ROC and precision-recall curves, and calibration, of both models."""
    models: list[Model] = [("this model", ours.values), *([("champion", theirs.values)] if theirs else [])]
    sections = []
    if len(np.unique(truth)) == 2:
        roc, precision = _curve_axes(float(truth.mean()))
        for (name, values), style in zip(models, _styles(), strict=False):
            _draw_curves(roc[1], precision[1], truth, values, label=name, **style)
        _legend(roc[1], precision[1])
        sections.append(Section("Curves", figures=[
            (svg(roc[0]), "ROC curve; dashed: guessing."),
            (svg(precision[0]), "Precision and recall; dashed: guessing."),
        ]))  # fmt: skip
    calibration, axes = plot("predicted probability", "observed share", diagonal=(0, 1))
    for (name, values), style in zip(models, _styles(), strict=False):
        _draw_calibration(axes, truth, values, label=name, **style)
    _legend(axes)
    histogram, bars = plot("predicted probability", "rows")
    names = [str(name) for name in ours.classes]
    bars.hist([ours.values[truth == 0], ours.values[truth == 1]], bins=30, stacked=True, color=[PALE, ORANGE])
    bars.legend(names, frameon=False)
    errors = ", ".join(f"{calibration_error(truth, values):.3f} for {_the(name)}" for name, values in models)
    text = f"How far a predicted probability is from the share that was observed, on average: {errors}."
    sections.append(Section("Calibration", text, figures=[
        (svg(calibration), "Ten groups of equal size; dashed: perfect."),
        (svg(histogram), "How sure this model is, by what was true."),
    ]))  # fmt: skip
    return sections


def several_classes(truth: np.ndarray, ours: Predictions, theirs: Predictions | None) -> list[Section]:
    """The curves of each class against the others, of both models."""
    counts = np.bincount(truth[truth >= 0], minlength=len(ours.classes))
    frequent = np.argsort(-counts, kind="stable")[:DRAWN_CLASSES]
    drawn = [int(index) for index in frequent if 0 < counts[index] < len(truth)]
    roc, precision = _curve_axes(None)
    calibration, marks = plot("predicted probability", "observed share", diagonal=(0, 1))
    for place, index in enumerate(drawn):
        of_class, colour, name = (truth == index).astype(int), SEVERAL[place], str(ours.classes[index])
        _draw_curves(roc[1], precision[1], of_class, ours.values[:, index], label=name, color=colour, linewidth=1.4)
        _draw_calibration(marks, of_class, ours.values[:, index], label=name, color=colour, linewidth=1.4)
        if theirs:
            dotted: dict[str, Any] = {"color": colour, "linestyle": ":", "linewidth": 1.2}
            _draw_curves(roc[1], precision[1], of_class, theirs.values[:, index], **dotted)
            _draw_calibration(marks, of_class, theirs.values[:, index], **dotted)
    _legend(roc[1], precision[1], marks, size="small")
    few = f" The {len(drawn)} most frequent classes." if len(drawn) < len(ours.classes) else ""
    both = " Dotted: the champion." if theirs else ""
    return [
        Section("Curves", f"Each class against the others.{both}{few}", figures=[
            (svg(roc[0]), "ROC curves; dashed: guessing."), (svg(precision[0]), "Precision and recall."),
        ]),
        Section("Calibration", f"How often a class is true where it gets a probability.{both}{few}", figures=[
            (svg(calibration), "Ten groups of equal size; dashed: perfect.")
        ]),
    ]  # fmt: skip


def numbers(truth: np.ndarray, ours: Predictions, theirs: Predictions | None) -> list[Section]:
    """Predicted against observed, and residuals, of both models."""
    models: list[Model] = [("this model", ours.values), *([("champion", theirs.values)] if theirs else [])]
    shown = np.random.default_rng(0).choice(len(truth), min(_SCATTERED, len(truth)), replace=False)
    every = np.concatenate([truth, *(values for _, values in models)])
    ends = (float(every.min()), float(every.max()))
    scatters = []
    for (name, values), colour in zip(models, ("#3d8fd6", ORANGE), strict=False):
        figure, axes = plot("predicted", "observed", diagonal=ends)
        axes.scatter(values[shown], truth[shown], s=7, alpha=0.5, color=colour, linewidths=0, rasterized=True)
        scatters.append((svg(figure), f"{name.capitalize()}: predicted and observed; dashed: perfect."))
    few = f" {_SCATTERED:,} rows, drawn at random." if len(truth) > _SCATTERED else ""
    residuals, bars = plot("observed - predicted", "rows")
    spread = np.concatenate([truth - values for _, values in models])
    inner = np.percentile(spread, [0.5, 99.5])
    edges = np.linspace(float(inner[0]), float(inner[1]), 41) if inner[0] < inner[1] else 10
    for (name, values), style in zip(models, _styles(), strict=False):
        bars.hist(truth - values, bins=edges, histtype="step", label=name, **style)
    _legend(bars)
    by_size, marks = plot("predicted", "observed - predicted")
    for (name, values), style in zip(models, _styles(), strict=False):
        middles, means = _by_tenth(values, truth - values)
        marks.plot(middles, means, marker="o", markersize=3, label=name, **style)
    marks.axhline(0, color="#8a919a", linewidth=1, linestyle="--")
    _legend(marks)
    return [
        Section("Predicted and observed", few.strip(), figures=scatters),
        Section("Residuals", figures=[
            (svg(residuals), "How far predictions are off; the outermost 1 % are not drawn."),
            (svg(by_size), "The mean in ten groups of equal size by prediction; dashed: no error."),
        ]),
    ]  # fmt: skip


def _by_tenth(values: np.ndarray, residuals: np.ndarray) -> tuple[list[float], list[float]]:
    parts = [part for part in np.array_split(np.argsort(values, kind="stable"), 10) if len(part)]
    return [float(values[part].mean()) for part in parts], [float(residuals[part].mean()) for part in parts]


def _styles() -> Sequence[dict[str, Any]]:
    return {"color": BLUE, "linewidth": 1.8}, {"color": ORANGE, "linewidth": 1.4}


def _curve_axes(share: float | None) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    roc = plot("false positive rate", "true positive rate", diagonal=(0, 1))
    precision = plot("recall", "precision")
    if share is not None:
        precision[1].axhline(share, color="#8a919a", linewidth=1, linestyle="--")
    precision[1].set_ylim(-0.02, 1.02)
    return roc, precision


def _draw_curves(roc: Any, precision: Any, truth: np.ndarray, values: np.ndarray, **style: Any) -> None:
    false, true, _ = metrics.roc_curve(truth, values)
    chosen = _some(len(false))
    roc.plot(false[chosen], true[chosen], **style)
    exact, recall, _ = metrics.precision_recall_curve(truth, values)
    chosen = _some(len(recall))
    precision.plot(recall[chosen], exact[chosen], **style)


def _draw_calibration(axes: Any, truth: np.ndarray, values: np.ndarray, **style: Any) -> None:
    observed, predicted = calibration_curve(truth, values, n_bins=10, strategy="quantile")
    axes.plot(predicted, observed, marker="o", markersize=3, **style)


def _legend(*plots: Any, size: str = "medium") -> None:
    for axes in plots:
        axes.legend(frameon=False, fontsize=size)


def _some(count: int) -> np.ndarray:
    """Indices of some points of a curve, at equal distances."""
    chosen: np.ndarray = np.unique(np.linspace(0, count - 1, _POINTS).round().astype(int))
    return chosen


def _the(name: str) -> str:
    return "the champion" if name == "champion" else name
