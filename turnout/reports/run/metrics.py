"""What the steps of a run have measured: the main metrics beside the champion's, the others folded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.plan.run_summary import MetricValue
from turnout.reports.numbers import short, with_interval
from turnout.reports.page import Number, Section
from turnout.reports.run.shown import ShownRun

CHAMPION = "champion_"
"""What stands before the name of a metric of the model that this run's is held against."""

_MOST_ROWS, _MOST_COLUMNS = 20, 12


def metrics_sections(run: ShownRun) -> list[Section]:
    """The metrics of the step that decided, of all its iterations if it has some; those of the others folded."""
    groups: dict[str, list[str]] = {}
    for label in run.metrics:
        groups.setdefault(run.by_label[label].name, []).append(label)
    tables = [_table(run, name, labels) for name, labels in groups.items()]
    if not tables:
        return []
    first, *others = tables
    parts = [Section("", folded="Metrics of other steps", parts=others)] if others else []
    return [dataclasses.replace(first, heading=f"Metrics · {first.heading}", parts=parts)]


def metrics_table(run: ShownRun, label: str, heading: str) -> Section:
    """The metrics of a step as a table, each beside the champion's."""
    items = run.metrics[label]
    values = {item.name: item for item in items}
    own = [item for item in items if not item.name.startswith(CHAMPION) or item.name[len(CHAMPION) :] not in values]
    theirs = {item.name: values.get(CHAMPION + item.name) for item in own}
    decided, differences = _facts(run, label)
    told = [f"Judged by {decided}."] if decided in values else []
    told += ["In brackets 95 % intervals."] if any(item.low is not None for item in items) else []
    if not any(theirs.values()):
        return Section(heading, " ".join(told), ["metric", "value"], [(item.name, _number(item)) for item in own])
    rows: list[tuple[Any, ...]] = []
    for item in own:
        other = theirs[item.name]
        if other is None:
            rows.append((item.name, _number(item), "", ""))
            continue
        digits, difference = _digits(item, other), item.value - other.value
        if item.low is None and other.low is None:
            cells = [Number(f"{value:,.{digits}f}") for value in (item.value, other.value)]
        else:
            cells = [_number(item), _number(other)]
        sure = differences.get(item.name)
        shown = with_interval(difference, *sure, sign=True) if sure else f"{difference:+,.{digits}f}"
        rows.append((item.name, *cells, Number(shown)))
    return Section(heading, " ".join(told), ["metric", "value", "champion", "difference"], rows, stacked=True)


def _facts(run: ShownRun, label: str) -> tuple[str, Mapping[str, tuple[float, float]]]:
    """By which metric a step has judged, and how sure its differences to the champion are."""
    outcome, decided, found = run.by_label[label].outcome, "", {}
    for artifact in outcome.artifacts.values() if outcome else ():
        decided = str(artifact.metadata.get("metric") or decided)
        differences = artifact.metadata.get("differences")
        for name, ends in differences.items() if isinstance(differences, Mapping) else ():
            if isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends):
                found[name] = (float(ends[0]), float(ends[1]))
    return decided, found


def _table(run: ShownRun, name: str, labels: Sequence[str]) -> Section:
    """The metrics of a step; of a loop's step a row for each iteration."""
    if len(labels) == 1:
        return metrics_table(run, labels[0], labels[0])
    columns = list(dict.fromkeys(item.name for label in labels for item in run.metrics[label]))[:_MOST_COLUMNS]
    order = {step.label: place for place, step in enumerate(run.steps)}
    rows: list[tuple[Any, ...]] = []
    for label in sorted(labels, key=lambda label: order[label])[:_MOST_ROWS]:
        values = {item.name: _number(item) for item in run.metrics[label]}
        rows.append((run.linked(label), *(values.get(column, "") for column in columns)))
    text = f"{len(rows):,} of {len(labels):,} iterations are shown." if len(rows) < len(labels) else ""
    return Section(name, text, ["step", *columns], rows)


def _digits(*items: MetricValue) -> int:
    """Digits after the point that leave four significant ones of the larger number."""
    largest = max(abs(item.value) for item in items)
    return min(8, max(0, 3 - math.floor(math.log10(largest)))) if 0 < largest < math.inf else 0


def _number(item: MetricValue) -> Any:
    if item.low is None or item.high is None:
        return Number(short(item.value))
    return Number(with_interval(item.value, item.low, item.high))
