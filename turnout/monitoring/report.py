"""A comparison as a report that is read in a minute, and as metrics for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from turnout.monitoring.findings import FAIRNESS, MODEL, Comparison, Finding
from turnout.monitoring.judgement import Judgement
from turnout.monitoring.profile import Column, Profile, aligned
from turnout.monitoring.prometheus import Gauges
from turnout.reports.page import Section
from turnout.reports.plots import ORANGE, PALE, plot, svg
from turnout.reports.report import Report

_PLOTS = 8
_MOST_ROWS = 200
_MOST_REASONS = 20
"""Of tables with thousands of columns, what a person reads; the artifact `findings` has all."""

_COLORS = (PALE, ORANGE)


def comparison_report(
    comparison: Comparison, reference: Profile, current: Profile, verdict: str, good: bool, reasons: Sequence[str]
) -> Report:
    """The report, of a size that does not grow with the table's columns; those that drifted most are drawn."""
    meaning = "p: how likely a difference as large is where nothing has changed, for so many rows and findings."
    data = (
        f"{comparison.rows:,} rows, held against {comparison.reference_rows:,} of the reference. "
        f"Distance: the share of rows that would have to change, between 0 and 1. {meaning}"
    )
    model = f"Distance: how much worse, or how much more often yes, in the unit of what is told. {meaning}"
    of_model = [item for item in comparison.findings if item.check in (*MODEL, *FAIRNESS)]
    of_data = [
        item
        for item in comparison.findings
        if item not in of_model and (item.check in ("distribution", "joint") or item.distance > 0)
    ]
    sections = [_table("The model", model, of_model)] if of_model else []
    sections.append(_table("The data", data, of_data))
    if comparison.faults:
        faults = [[fault] for fault in comparison.faults[:_MOST_ROWS]]
        sections.insert(0, Section("Broken", _shown(comparison.faults), ["fault"], faults))
    drawn = [item.column for item in comparison.drifted if item.check == "distribution"][:_PLOTS]
    figures = [(_draw(reference.columns[name], current.columns[name]), name) for name in drawn]
    if figures:
        sections.append(Section("Columns that drifted", "Blue the reference, orange now.", figures=figures))
    return Report("Monitoring", sections, verdict, good, first_reasons(reasons))


def first_reasons(reasons: Sequence[str]) -> list[str]:
    """The first of many reasons, and how many there are more."""
    more = len(reasons) - _MOST_REASONS
    return [*reasons[:_MOST_REASONS], *([f"and {more:,} more"] if more > 0 else [])]


def _table(title: str, text: str, findings: Sequence[Finding]) -> Section:
    shown = findings[:_MOST_ROWS]
    rows = [
        [item.column, item.check, item.text, round(item.distance, 3), _p_value(item.adjusted), "yes" * item.counts]
        for item in shown
    ]
    bad = frozenset(index for index, item in enumerate(shown) if item.counts)
    return Section(title, f"{text} {_shown(findings)}".strip(), ["", "of", "", "distance", "p", "counts"], rows, bad)


def _shown(items: Sequence[Any]) -> str:
    """What is said of a list of which not all is shown."""
    if len(items) <= _MOST_ROWS:
        return ""
    return f"Shown are the first {_MOST_ROWS} of {len(items):,}, those that count and are largest; `findings` has all."


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _draw(reference: Column, current: Column) -> str:
    figure, axes = plot("", "share of rows", height=2.6)
    cells, *counts = aligned(reference, current)
    shares = [of / max(1, of.sum()) for of in counts]
    if reference.kind == "category":
        chosen = np.argsort(-(shares[0] + shares[1]))[:12]
        labels = [[*cells, "others"][index] for index in chosen]
        for offset, share, color in zip((-0.2, 0.2), shares, _COLORS, strict=True):
            axes.bar(np.arange(len(chosen)) + offset, share[chosen], 0.4, color=color)
        axes.set_xticks(range(len(chosen)), [label[:12] for label in labels], rotation=45, ha="right")
        return svg(figure)
    marks = np.array(reference.cells, float)
    if len(marks) <= 20:
        for offset, share, color in zip((-0.2, 0.2), shares, _COLORS, strict=True):
            axes.bar(np.arange(len(marks)) + offset, share[1::2], 0.4, color=color)
        axes.set_xticks(range(len(marks)), [f"{mark:g}" for mark in marks], rotation=45, ha="right")
        return svg(figure)
    inner = marks[int(0.01 * len(marks)) : int(np.ceil(0.99 * len(marks)))]
    edges = np.linspace(inner[0], inner[-1], 31)
    for share, color in zip(shares, _COLORS, strict=True):
        heights = np.diff(np.interp(edges, marks, np.cumsum(share)[1::2]))
        axes.stairs(heights, edges, color=color, linewidth=2)
    return svg(figure)


def findings_json(comparison: Comparison, judgement: Judgement, reference: str) -> str:
    """The findings as JSON, with what was made of them.

    Args:
        reference: the name of what the table was held against.
    """
    verdict = {"state": judgement.state, "worse": judgement.worse, "unfair": judgement.unfair}
    content = {"reference": reference, **verdict, "reasons": list(judgement.reasons), **comparison.to_dict()}
    return json.dumps(content, indent=1)


def log_metrics(artifact: Any, comparison: Comparison, rows: int, metric: str) -> None:
    """Write the check's numbers into KFP's artifact.

    Args:
        metric: the name under which the model's performance is written, where it was measured.
    """
    artifact.log_metric("rows", rows)
    artifact.log_metric("drifted", len(comparison.drifted))
    artifact.log_metric("largest_distance", max((item.distance for item in comparison.findings), default=0.0))
    for item in comparison.findings:
        if item.check == "performance":
            artifact.log_metric(metric, item.current)


def publish_metrics(
    comparison: Comparison, judgement: Judgement, target: str, name: str, model: str, version: str
) -> None:
    """Give the findings to Prometheus.

    Args:
        target: path of a text file that the node exporter collects (`.prom`), or URL of a Pushgateway.
        name: what the check is called; the label `monitor` of all metrics.
        model: name of the model, or of the table that is the reference; a label of all metrics.
        version: of the model; empty when the reference is a table.

    Raises:
        ComponentError: the file or the gateway cannot be written to.
    """
    gauges = Gauges("turnout_monitor", {"monitor": name, "model": model})
    gauges.add("info", "The version of the model, as a label.", 1, version=version)
    gauges.add("drifted", "1 when a column drifted.", judgement.state == "drifted")
    gauges.add("broken", "1 when the data is broken.", judgement.state == "broken")
    spoiled = "1 when more values are missing, out of range, repeated or never seen."
    gauges.add("spoiled", spoiled, judgement.state == "spoiled")
    gauges.add("worse", "1 when the model is worse.", judgement.worse)
    gauges.add("unfair", "1 when the model treats groups otherwise.", judgement.unfair)
    gauges.add("rows", "Rows that were compared.", comparison.rows)
    gauges.add("timestamp_seconds", "When the check ran.", time.time())
    for item in comparison.findings:
        labels = {"column": item.column, "check": item.check}
        gauges.add("distance", "Between 0 and 1: the size of a difference.", item.distance, **labels)
        gauges.add("p_value", "Adjusted p-value of a difference.", item.adjusted, **labels)
        gauges.add("value", "A median, a mean, a share or a metric, as it is now.", item.current, **labels)
    gauges.publish(target)
