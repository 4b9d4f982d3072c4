"""A comparison as a report that is read in a minute: what counts first, with a histogram in every row."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from turnout.data.times import Interval, time_zone
from turnout.monitoring.check import Settings
from turnout.monitoring.checks.drift import LEAST_VALUES
from turnout.monitoring.findings import FAIRNESS, MODEL, Check, Comparison, Finding
from turnout.monitoring.profile import Column, Profile, aligned
from turnout.reports.cells import Histogram, Mark, Number
from turnout.reports.page import Section
from turnout.reports.plots import ORANGE, PALE, plot, svg
from turnout.reports.report import Report

_PLOTS = 6
_MOST_ROWS = 200
_MOST_REASONS = 20
"""Of tables with thousands of columns, what a person reads; the artifact `findings` has all."""

_PARTS, _CATEGORIES = 12, 8
"""Parts of a small histogram; categories that have a part of their own."""

_COLORS = (PALE, ORANGE)
_OF_VALUES: tuple[Check, ...] = ("distribution", "range", "unseen")
_NAMES: Mapping[Check, str] = {
    "distribution": "values",
    "joint": "all together",
    "nulls": "missing",
    "range": "out of range",
    "unseen": "never seen",
    "duplicates": "repeated",
    "concept": "errors over time",
    "fairness": "groups",
}


def comparison_report(
    comparison: Comparison,
    reference: Profile,
    current: Profile,
    verdict: str,
    good: bool,
    reasons: Sequence[str],
    settings: Settings,
    *,
    name: str = "",
    period: str = "",
) -> Report:
    """The report, of a size that does not grow with the table's columns; those that drifted most are drawn.

    Args:
        settings: by which it was judged.
        name: what the table was held against.
        period: what the rows are of.
    """
    of_model = [item for item in comparison.findings if item.check in (*MODEL, *FAIRNESS)]
    of_data = [
        item
        for item in comparison.findings
        if item not in of_model and (item.check in ("distribution", "joint") or item.distance > 0)
    ]
    sections = []
    if comparison.faults:
        faults = [[fault] for fault in comparison.faults[:_MOST_ROWS]]
        sections.append(Section("What is broken", _shown(comparison.faults), ["fault"], faults))
    if of_model:
        text = "Distance: how much worse, or how much more often yes, in the unit of what is told."
        rows = [_row(item, None, settings) for item in of_model[:_MOST_ROWS]]
        head = ["", "of", "what was found", "distance", "p", "does it count?"]
        sections.append(Section("The model", text, head, rows, _bad(of_model), stacked=True))
    counting = [item for item in of_data if item.counts]
    others = [item for item in of_data if not item.counts]
    head = ["column", "of", "before and now", "what was found", "distance", "p", "does it count?"]
    for heading, found in (("What is different", counting), ("What does not count", others)):
        if found:
            rows = [_row(item, _histogram(item, reference, current), settings) for item in found[:_MOST_ROWS]]
            sections.append(Section(heading, _shown(found), head, rows, _bad(found), stacked=True))
    drawn = [item.column for item in comparison.drifted if item.check == "distribution"][:_PLOTS]
    if drawn:
        figures = [(_draw(reference.columns[item], current.columns[item]), item) for item in drawn]
        text = "Shares of rows: the pale blue ones are of the reference, the orange ones of now."
        sections.append(Section("The columns that drifted most", text, figures=figures))
    sections.append(Section("How to read this", _meaning(settings)))
    against = f"held against {comparison.reference_rows:,} of {name or 'the reference'}"
    about = ", ".join(filter(None, [period, f"{comparison.rows:,} rows", against]))
    columns = [item for item in of_data if item.check == "distribution"]
    drifted = sum(item.counts for item in columns)
    largest = max((item.distance for item in columns), default=0.0)
    metrics = [("rows", comparison.rows), ("columns that drifted", Number(f"{drifted:,} of {len(columns):,}")),
               ("largest distance", Number(_digits(largest)))]  # fmt: skip
    return Report("Drift check", sections, verdict, good, first_reasons(reasons), about, metrics if columns else [])


def period_of(chosen: Interval, metadata: Mapping[str, Any], timezone: str) -> str:
    """The day, or the time, that rows are of, as a person says it; nothing where it is not known.

    Args:
        chosen: the interval that was asked for.
        metadata: of the rows' artifact, whose interval it is else.
    """
    since, until = chosen.since, chosen.until
    if not chosen.bounded:
        said = metadata.get("interval") or {}
        since, until = (datetime.datetime.fromisoformat(said[key]) if key in said else None
                        for key in ("since", "until"))  # fmt: skip
    zone = time_zone(timezone)
    start, end = (bound.astimezone(zone) if bound else None for bound in (since, until))
    if start and end and start.time() == end.time() == datetime.time():
        last = (end - datetime.timedelta(days=1)).date()
        days = f"{start:%A}, {start:%Y-%m-%d}" if last == start.date() else f"{start:%Y-%m-%d} to {last}"
        return f"{days} ({timezone})"
    told = [f"{word} {bound:%Y-%m-%d %H:%M}" for word, bound in (("from", start), ("until", end)) if bound]
    return f"{' '.join(told)} ({timezone})" if told else ""


def first_reasons(reasons: Sequence[str]) -> list[str]:
    """The first of many reasons, and how many there are more."""
    more = len(reasons) - _MOST_REASONS
    return [*reasons[:_MOST_REASONS], *([f"and {more:,} more"] if more > 0 else [])]


def _row(item: Finding, histogram: Histogram | None, settings: Settings) -> list[Any]:
    numbers = [Number(_digits(item.distance)), Number(_p_value(item.adjusted))]
    counts = Mark("yes", "bad") if item.counts else _why_not(item, settings)
    picture = [histogram or ""] if item.check not in (*MODEL, *FAIRNESS) else []
    return [item.column or "all columns", _NAMES.get(item.check, item.check), *picture, item.text, *numbers, counts]


def _why_not(item: Finding, settings: Settings) -> str:
    """Why a difference does not count, in one sentence."""
    least = _least(item, settings)
    if item.adjusted > settings.rate and item.distance >= least and item.distance > 0:
        return (
            f"no: with so few independent rows, chance alone makes one as large in {_percent(item.adjusted)} of checks"
        )
    if item.adjusted > settings.rate:
        return "no: it may be chance"
    return f"no: it is surely there, but smaller than {least:g}"


def _least(item: Finding, settings: Settings) -> float:
    if item.check in MODEL:
        return settings.least_loss
    if item.check in FAIRNESS:
        return settings.least_unfairness
    return 0.0 if item.check == "duplicates" else settings.least_distance


def _meaning(settings: Settings) -> str:
    return (
        "Distance: the share of rows that would have to change for the column to be as before, between 0 and 1. p: how "
        "likely a difference as large is where nothing has changed, for so many rows, which are not taken for "
        "independent where rows of a day are alike, and for so many findings. A difference counts when p is at most "
        f"{settings.rate:g} and the distance at least {settings.least_distance:g}; of a column with fewer than "
        f"{LEAST_VALUES} values before, nothing is said."
    )


def _bad(found: Sequence[Finding]) -> frozenset[int]:
    return frozenset(index for index, item in enumerate(found[:_MOST_ROWS]) if item.counts)


def _shown(items: Sequence[Any]) -> str:
    """What is said of a list of which not all is shown."""
    if len(items) <= _MOST_ROWS:
        return ""
    return f"Shown are the first {_MOST_ROWS} of {len(items):,}, the largest first; the artifact `findings` has all."


def _p_value(value: float) -> str:
    """Two digits where it matters how large it is; else what is clear anyway."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _digits(distance: float) -> str:
    return "0" if not distance else f"{distance:.2f}" if distance >= 0.01 else f"{distance:.1g}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}"


def _histogram(item: Finding, reference: Profile, current: Profile) -> Histogram | None:
    before, now = reference.columns.get(item.column), current.columns.get(item.column)
    if before is None or now is None or not before.rows or not now.rows or item.check not in _OF_VALUES:
        return None
    shares = _shares(before, now, _PARTS, _CATEGORIES)[1]
    label = f"{item.column}: shares of rows, before (filled) and now (line)"
    return Histogram([float(share) for share in shares[1]], [float(share) for share in shares[0]], label)


def _shares(reference: Column, current: Column, parts: int, categories: int) -> tuple[Any, list[Any]]:
    """What the parts of a histogram are, and the shares of rows in each, of both.

    The parts are names of categories, the few values that there are, or the edges between equal parts of a range.
    """
    cells, *counts = aligned(reference, current)
    shares = [of / max(1, of.sum()) for of in counts]
    if reference.kind == "category":
        chosen = np.argsort(-(shares[0] + shares[1]), kind="stable")[:categories]
        labels = [[*cells, "others"][index] for index in chosen]
        return labels, [share[chosen] for share in shares]
    marks = np.array(reference.cells, float)
    if len(marks) <= max(parts, 20):
        return [f"{mark:g}" for mark in marks], [share[1::2] for share in shares]
    inner = marks[int(0.01 * len(marks)) : int(np.ceil(0.99 * len(marks)))]
    edges = np.linspace(inner[0], inner[-1], parts + 1)
    return edges, [np.diff(np.interp(edges, marks, np.cumsum(share)[1::2])) for share in shares]


def _draw(reference: Column, current: Column) -> str:
    figure, axes = plot("", "share of rows", height=2.6)
    parts, shares = _shares(reference, current, 30, 12)
    if isinstance(parts, np.ndarray):
        for share, color in zip(shares, _COLORS, strict=True):
            axes.stairs(share, parts, color=color, linewidth=2, fill=color == PALE)
        return svg(figure)
    for offset, share, color in zip((-0.2, 0.2), shares, _COLORS, strict=True):
        axes.bar(np.arange(len(parts)) + offset, share, 0.4, color=color)
    axes.set_xticks(range(len(parts)), [label[:12] for label in parts], rotation=45, ha="right")
    return svg(figure)
