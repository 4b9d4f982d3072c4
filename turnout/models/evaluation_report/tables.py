"""The tables of an evaluation's page: metrics, classes, thresholds, importance, slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from turnout.models.evaluation import class_scores, confusion
from turnout.models.evaluation_report.importance import Importance
from turnout.models.evaluation_report.intervals import RESAMPLES, Measured
from turnout.models.evaluation_report.slices import FEW_ROWS, Slice, slice_metric
from turnout.models.scoring import Difference, Predictions
from turnout.reports.numbers import NOTHING, decimals, with_interval
from turnout.reports.page import Bar, Number, Section

_MOST_CLASSES = 25
_FLAGGED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Shares of the rows that a threshold may flag; with one half as a threshold, ten rows at most."""


def metrics_section(measured: Measured, metric: str, rows: int, baseline: float, mean: str) -> Section:
    """Metrics beside the champion's, the one that decides first."""
    names = sorted(measured.ours, key=lambda name: name != metric)
    columns = ["metric", "this model", *(["champion", "difference"] if measured.theirs else [])]
    table = [
        [
            f"{name} (decides)" if name == metric else name,
            _number(measured.ours[name]),
            *([_number(measured.theirs[name]), _number(measured.differences[name], sign=True)]
              if measured.theirs else []),
        ]
        for name in names
    ]  # fmt: skip
    text = (
        f"{rows:,} rows; higher is better. In brackets 95 % intervals, from {RESAMPLES} resamples of the rows, as if "
        f"rows were independent. Predicting {mean} for every row has {metric} {baseline:.4g}."
    )
    if measured.theirs:
        text += " The difference is on the same rows, and so is surer than the two scores are."
    return Section("Metrics", text, columns, table, stacked=True)


def first_numbers(measured: Measured, metric: str) -> list[tuple[str, Number]]:
    """The metric that decides, of both models, and their difference: what is seen first."""
    numbers = [(metric, _number(measured.ours[metric]))]
    if metric in measured.theirs:
        numbers.append(("the champion's", _number(measured.theirs[metric])))
        numbers.append(("difference", _number(measured.differences[metric], sign=True)))
    return numbers


def class_sections(truth: np.ndarray, found: Predictions) -> list[Section]:
    """Each class against the others, the confusion matrix, and of two classes a table of thresholds."""
    by_class = class_scores(truth, found)
    several = len(found.classes) > 2
    frequent = np.argsort(-by_class["rows"].to_numpy(), kind="stable")[:_MOST_CLASSES]
    shown = np.sort(frequent)
    text = "Each class against the others."
    if several:
        text += " Above, roc_auc, average_precision and f1 are their mean."
    if len(shown) < len(found.classes):
        text += f" The {len(shown)} most frequent of {len(found.classes)} classes."
    if unknown := int((truth < 0).sum()):
        text += f" {unknown:,} rows are of classes that the model does not know: whatever it says of them is wrong."
    names = [str(found.classes[index]) for index in shown]
    matrix = confusion(truth, found)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    rows = [
        [name, *(Bar(shares[index, other], f"{matrix[index, other]:,}") for other in shown)]
        for name, index in zip(names, shown, strict=True)
    ]
    how = (
        "the most probable class is predicted" if several else f"{names[1]} is predicted from a probability of one half"
    )
    matrix_text = f"A row for what is true, a column for what is predicted; {how}. Bars are shares of the row."
    sections = [Section("Confusion matrix", matrix_text, ["", *names], rows)]
    if not several:
        sections.append(_thresholds(truth, found))
    classes = [
        [NOTHING if isinstance(cell, float) and np.isnan(cell) else Number(f"{cell:.3f}") if isinstance(cell, float)
         else cell for cell in row]
        for row in by_class.iloc[shown].values.tolist()
    ]  # fmt: skip
    sections.append(Section("Classes", text, list(by_class.columns), classes))
    return sections


def _thresholds(truth: np.ndarray, found: Predictions) -> Section:
    """What becomes of the rows at thresholds that flag more and more of them, at most ten."""
    quantiles = np.quantile(found.values, [1 - share for share in _FLAGGED], method="higher")
    rows, positive = [], max(1, int(truth.sum()))
    for threshold in np.unique([*quantiles, 0.5])[::-1]:
        flagged = found.values >= threshold
        count, right = int(flagged.sum()), int(truth[flagged].sum())
        rows.append([
            Number(f"{threshold:.3f}"), Number(f"{count / len(truth):.1%}"), count,
            Number(f"{right / count:.1%}" if count else "–"), Number(f"{right / positive:.1%}"),
        ])  # fmt: skip
    name = str(found.classes[1])
    text = f"A row is flagged as {name} from a probability on. Precision: the share of flagged rows that are {name}; "
    columns = ["threshold", "share flagged", "rows flagged", "precision", "recall"]
    return Section("Thresholds", f"{text}recall: the share of {name} that is flagged.", columns, rows)


def importance_section(found: Importance | None, metric: str) -> list[Section]:
    """The columns that matter most, with bars."""
    if found is None or not found.columns:
        return []
    largest = max(found.columns[0][1], 1e-12)
    rows = [
        [name, Bar(mean / largest, _signed(mean, deviation))] for name, mean, deviation in found.columns
    ]  # fmt: skip
    text = (
        f"How much {metric} falls when a column's values are mixed up between rows, and the standard deviation over "
        f"{found.repeats} repeats; on {found.rows:,} rows. Columns that say the same stand in for one another."
    )
    if found.searched:
        text += f" Of {found.searched:,} columns those were looked for that matter most, in groups that were halved."
    return [Section("Permutation importance", text, ["column", f"fall of {metric}"], rows)]


def slices_section(slices: Sequence[Slice], metric: str, whole: Difference) -> list[Section]:
    """The slices, the worst first; those that are surely worse than all rows are pointed at."""
    if not slices:
        return []
    used = slice_metric(metric)
    several = any(isinstance(item.target, str) for item in slices)
    compared = any(item.difference for item in slices)
    champion = ["against the champion"] if compared else []
    columns = ["column", "value", used, *champion, "rows", "most frequent" if several else "mean target", ""]
    rows, bad = [], set()
    for index, item in enumerate(slices):
        worse = not item.uncertain and item.score.high < whole.value
        if worse:
            bad.add(index)
        rows.append([
            item.column, item.value, _number(item.score),
            *([_number(item.difference, sign=True) if item.difference else ""] if compared else []),
            item.rows, item.target,
            "uncertain" if item.uncertain else "worse" * worse,
        ])  # fmt: skip
    all_rows = f"{whole.value:,.{decimals(whole.low, whole.high)}f}"
    text = f"The worst first, with 95 % intervals; all rows have {used} {all_rows}."
    if used != metric:
        text += f" Slices are not compared by {metric}, which depends on how much the target varies in a slice."
    if bad:
        text += " Worse are those whose whole interval is below that."
    if any(item.uncertain for item in slices):
        text += f" Uncertain are slices of fewer than {FEW_ROWS} rows, or with fewer than {FEW_ROWS // 5} of a class."
    return [Section("Slices", text, columns, rows, frozenset(bad), stacked=True)]


def _number(of: Difference, *, sign: bool = False) -> Number:
    return Number(with_interval(of.value, of.low, of.high, sign=sign))


def _signed(mean: float, deviation: float) -> str:
    places = 4 if deviation <= 0 else min(8, max(0, 1 - int(np.floor(np.log10(deviation)))))
    return f"{mean:+.{places}f} ± {deviation:.{places}f}"
