"""Runs compared, as a page: parameters, metrics, curves in one plot, confusion matrices, steps and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.plan.comparison import Comparison, MetricRow, Points
from turnout.plan.run_table import cut, time_text
from turnout.reports.lines import Axis, Line, plot_lines
from turnout.reports.numbers import duration, short
from turnout.reports.page import Bar, Link, Mark, Number, Section, page
from turnout.reports.runs import RunLink, link, state_mark, verdict_mark

_MOST_CLASSES = 12


def compare_page(comparison: Comparison, *, run_link: RunLink = lambda run: "", links: Sequence[Link] = ()) -> str:
    """The page of a comparison.

    Args:
        links: to the pages around this one.
    """
    names = [comparison.name(index) for index in range(len(comparison.runs))]
    verdict, good = best_text(comparison)
    sections = [
        _runs(comparison, names, run_link),
        _parameters(comparison, names),
        *_metrics(comparison, names),
        *_curves(comparison, names),
        *_confusion(comparison, names),
        _steps(comparison, names),
        _data(comparison, names),
    ]
    return page(
        f"{len(names)} runs compared", sections, about=", ".join(names), verdict=verdict, good=good,
        reasons=[*_surely(comparison, names), *comparison.notes], links=links,
    )  # fmt: skip


def best_text(comparison: Comparison) -> tuple[str, bool | None]:
    """Which run is best by what decides, in a line; and whether that is good to know."""
    rows = [row for row in comparison.metrics if row.best is not None]
    if not rows or rows[0].best is None:
        return "No metric tells which run is better", None
    row, best = rows[0], rows[0].best
    value = row.values[best]
    return f"{comparison.name(best)} is the best by {row.name}: {short(value.value if value else None)}", True


def _surely(comparison: Comparison, names: Sequence[str]) -> list[str]:
    """Whether what is best is surely better than the first run."""
    row = next((row for row in comparison.metrics if row.best is not None), None)
    if row is None or not row.best:
        return []
    difference, within = row.difference(row.best), row.within_interval(row.best)
    told = f"{row.name} differs by {signed(difference)} from {names[0]}"
    if within is None:
        return [told]
    surely = "as if on different rows, that may be an accident" if within else "that is more than chance"
    return [f"{told}; {surely}"]


def signed(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:+.4f}" if abs(value) < 10 and value != int(value) else f"{'+' if value > 0 else ''}{short(value)}"


def _runs(comparison: Comparison, names: Sequence[str], run_link: RunLink) -> Section:
    rows = [
        [
            link(name, run_link(run)), state_mark(run), verdict_mark(run), time_text(run.started),
            "" if run.seconds is None else Number(duration(run.seconds)), run.track, ", ".join(run.tag_texts),
        ]
        for name, run in zip(names, comparison.runs, strict=True)
    ]  # fmt: skip
    columns = ["run", "state", "verdict", "started (UTC)", "took", "track", "tags"]
    return Section(
        "Runs", "The first is what the others are held against.", columns, rows, stacked=True
    ).without_empty()


def _parameters(comparison: Comparison, names: Sequence[str]) -> Section:
    rows = [[item.name, *(cut(value, 200) for value in item.values)] for item in comparison.parameters]
    return Section("Parameters that differ", "" if rows else "None.", ["parameter", *names], rows)


def _metrics(comparison: Comparison, names: Sequence[str]) -> list[Section]:
    if not comparison.metrics:
        return []
    columns = ["metric", "better", names[0]]
    for name in names[1:]:
        columns += [name, "difference"]
    rows = [_metric_row(row) for row in comparison.metrics]
    text = "The difference is to the first run."
    if any(row.within_interval(index) is not None for row in comparison.metrics for index in range(len(names))):
        text += (
            " In brackets 95 % intervals. A difference within them may be an accident, as if the runs were measured on"
            " different rows; on the same rows it is surer than that."
        )
    return [Section("Metrics", text, columns, rows, stacked=True)]


def _metric_row(row: MetricRow) -> list[Any]:
    better = {True: "higher", False: "lower", None: ""}[row.higher]
    cells: list[Any] = [row.name, better, _value(row, 0)]
    for index in range(1, len(row.values)):
        cells += [_value(row, index), _difference(row, index)]
    return cells


def _value(row: MetricRow, index: int) -> Any:
    found = row.values[index]
    if found is None:
        return ""
    interval = f" ({short(found.low)} to {short(found.high)})" if found.low is not None else ""
    text = f"{short(found.value)}{interval}"
    return Mark(text, "good") if row.best == index else Number(text)


def _difference(row: MetricRow, index: int) -> Any:
    difference = row.difference(index)
    if difference is None:
        return ""
    return Number(f"{signed(difference)}{' within' if row.within_interval(index) else ''}")


def _curves(comparison: Comparison, names: Sequence[str]) -> list[Section]:
    figures = []
    unit = (0.0, 1.0)
    if comparison.roc:
        drawn = plot_lines(
            _lines(comparison.roc, names, marked=False), Axis("false positive rate", unit),
            Axis("true positive rate", unit), diagonal=True, label="ROC curves",
        )  # fmt: skip
        figures.append((drawn, "ROC curves; dashed: guessing."))
    if comparison.calibration:
        drawn = plot_lines(
            _lines(comparison.calibration, names, marked=True), Axis("predicted probability", unit),
            Axis("observed share", unit), diagonal=True, label="Calibration",
        )  # fmt: skip
        figures.append((drawn, "Calibration, in ten groups of equal size; dashed: perfect."))
    return [Section("Curves", figures=figures)] if figures else []


def _lines(curves: Mapping[int, Points], names: Sequence[str], *, marked: bool) -> list[Line]:
    """A line for each run, in the colour of its place among all of them."""
    return [Line(names[index], points, marked=marked, colour=index) for index, points in curves.items()]


def _confusion(comparison: Comparison, names: Sequence[str]) -> list[Section]:
    """The matrices one beside the other: a column of each run for each class that can be predicted."""
    matrices = comparison.confusion
    if not matrices:
        return []
    classes = list(dict.fromkeys(name for found in matrices.values() for name in found.classes))[:_MOST_CLASSES]
    columns, rows = ["actual"], []
    for index in matrices:
        columns += [f"{names[index]}: {name}" for name in classes]
    for actual in classes:
        cells: list[Any] = [actual]
        for found in matrices.values():
            row = (
                dict(zip(found.classes, found.matrix[found.classes.index(actual)], strict=True))
                if (actual in found.classes)
                else {}
            )
            total = max(1, sum(row.values()))
            cells += [Bar(row[name] / total, f"{row[name]:,}") if name in row else "" for name in classes]
        rows.append(cells)
    text = "A row for what is true, a column for what a run predicts. Bars are shares of the row."
    return [Section("Confusion matrices", text, columns, rows)]


def _steps(comparison: Comparison, names: Sequence[str]) -> Section:
    columns = ["step", "differs in", *names]
    rows = []
    for row in sorted(comparison.steps, key=lambda row: not row.differs):
        rows.append([row.name, Mark(", ".join(row.differs), "busy") if row.differs else "", *row.ends])
    return Section("Steps", "Those that differ first.", columns, rows)


def _data(comparison: Comparison, names: Sequence[str]) -> Section:
    rows = [[item.name, *item.values] for item in comparison.data]
    return Section("Data that differs", "" if rows else "None.", ["table", *names], rows)
