"""The judgement of a release as a report, and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

from turnout.reports.cells import Mark, Number
from turnout.reports.lines import Axis, Line, plot_lines
from turnout.reports.numbers import NOTHING, short, with_interval
from turnout.reports.page import Section
from turnout.reports.report import Report
from turnout.serving.rollout.judgement import NAMES, Finding, Judgement, Settings, Verdict
from turnout.serving.rollout.observations import Window
from turnout.serving.rollout.shadow import Differences
from turnout.serving.rollout.steps import End
from turnout.serving.targets.target import Status

_TONES: dict[Verdict, str] = {"better": "good", "no worse": "good", "worse": "bad", "not yet known": "open"}
_MOST_STEPS = 50
_MOST_ROWS = 50
_LARGEST_RATIO = 8.0
"""Ratios that a plot shows; an interval is wider while little is known."""


def release_report(
    judgement: Judgement,
    windows: Sequence[Window],
    settings: Settings,
    model: str,
    version: str,
    differences: Differences | None = None,
    waiting: str = "",
) -> Report:
    """The report: the verdict, then each metric, then what it rests on.

    Args:
        judgement: with intervals.
        windows: that it was made of.
        differences: of a shadow's predictions from those of the version in service.
        waiting: until when the judge looks again; empty when it has ended.
    """
    good = None if judgement.verdict == "not yet known" else judgement.passed
    theirs, ours = judgement.requests
    metrics: list[tuple[str, Any]] = [("requests, version in service", theirs), (f"requests, version {version}", ours)]
    if judgement.more:
        metrics.append(("still needed, about", Number(f"{judgement.more:,}")))
    sections = [_metrics(judgement, settings, version)]
    drawn = [
        (_course(item), NAMES[item.metric])
        for item in judgement.findings
        if _seen(item) and sum(point[0] > 0 for point in item.course) > 1
    ]
    if drawn:
        text = ("The line is the estimate, the others the ends of its confidence sequence: in all but "
                f"{settings.alpha:.0%} of releases the truth is between them at all looks, by all metrics. Dashed: the "
                "smallest difference that matters.")  # fmt: skip
        sections.append(Section("What was known when", text, figures=drawn))
    if differences is not None and differences.rows:
        sections.append(_differences(differences, version))
    sections += [_traffic(windows, version), Section("How to read this", _meaning(settings))]
    about = f"{model}, version {version} beside the version in service"
    return Report(
        "Release", sections, f"Version {version}: {judgement.verdict}", good, judgement.reasons, about, metrics, waiting
    )


def end_report(end: End, status: Status, target: str) -> Report:
    """How a release ended, and what is served now."""
    good = {"released": True, "rolled back": False, "held": None}[end.outcome]
    rows = [
        [item.version, f"copies of {item.percent:g} %" if item.shadow else f"{item.percent:g} %"]
        for item in status.versions
    ]
    reasons = [line.strip() for line in end.text.splitlines() if not line.strip().startswith("hint:")]
    sections = [Section("What is served now", "; ".join(status.problems), ["version", "requests"], rows)]
    about = f"{status.model} on {target}"
    return Report("End of the release", sections, end.title, good, reasons, about)


def findings_json(judgement: Judgement, model: str, version: str) -> str:
    """The judgement as JSON; what is no number is null."""
    content = {"model": model, "version": version, **dataclasses.asdict(judgement)}
    return json.dumps(_finite(content), indent=1)


def log_metrics(artifact: Any, judgement: Judgement) -> None:
    """Write the judgement's numbers into KFP's artifact."""
    artifact.log_metric("requests", judgement.requests[1])
    for item in judgement.findings:
        if math.isfinite(item.estimate) and _seen(item):
            artifact.log_metric(f"{item.metric}_{'ratio' if item.is_ratio else 'difference'}", item.estimate)


def _metrics(judgement: Judgement, settings: Settings, version: str) -> Section:
    head = ["metric", "verdict", "in service", f"version {version}", "ratio or difference", "matters from", "requests",
            "still needed"]  # fmt: skip
    rows = [
        [
            NAMES[item.metric], Mark(item.verdict, _TONES[item.verdict]), _value(item, item.champion),
            _value(item, item.canary), Number(_size(item)), Number(_margin(item)), item.requests, _more(item, settings),
        ]
        for item in judgement.findings
    ]  # fmt: skip
    bad = frozenset(place for place, item in enumerate(judgement.findings) if item.verdict == "worse")
    return Section("Metrics", "", head, rows, bad, stacked=True)


def _value(item: Finding, value: float) -> Number:
    if not math.isfinite(value):
        return Number("")
    if item.metric == "errors":
        return Number(f"{value:.2%}")
    return Number(f"{short(value)} ms" if item.metric in ("p50", "p99") else short(value))


def _size(item: Finding) -> str:
    if not math.isfinite(item.estimate) or not _seen(item):
        return NOTHING
    text = with_interval(item.estimate, item.low, item.high, sign=not item.is_ratio)
    return f"×{text}" if item.is_ratio else text


def _seen(item: Finding) -> bool:
    """Whether there was something to compare: of errors, any."""
    return bool(item.requests) and (item.metric != "errors" or any((item.champion, item.canary)))


def _margin(item: Finding) -> str:
    if not math.isfinite(item.margin):
        return NOTHING
    return f"×{item.margin:g}" if item.is_ratio else f"{item.margin:g}"


def _more(item: Finding, settings: Settings) -> Any:
    if item.verdict != "not yet known":
        return Number(f"known after {item.known_after:,}") if item.known_after is not None else ""
    told = f"about {item.more:,}" if item.more else "cannot be said"
    return Number(told if item.metric in settings.needed else f"{told} (not needed)")


def _course(item: Finding) -> str:
    """The estimate and its confidence sequence, by requests; a ratio by its logarithm."""
    limit = math.log(_LARGEST_RATIO)

    def height(value: float) -> float:
        if not item.is_ratio:
            return max(-1.0, min(1.0, value))
        return max(-limit, min(limit, math.log(max(value, 1e-9))))

    course = [point for point in item.course if point[0]]
    lines = [
        Line("estimate", [(x, height(y)) for x, y, _, _ in course], marked=False, colour=0),
        Line("low end", [(x, height(low)) for x, _, low, _ in course], marked=False, colour=9),
        Line("high end", [(x, height(high)) for x, _, _, high in course], marked=False, colour=9),
    ]
    margin = -item.margin if item.metric == "business" else item.margin
    if not item.is_ratio:
        return plot_lines(lines, Axis("requests compared"), Axis("difference"), threshold=margin)
    ticks = [(math.log(tick), f"×{tick:g}") for tick in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)]
    return plot_lines(lines, Axis("requests compared"), Axis("ratio", (-limit, limit), ticks), threshold=height(margin))


def _differences(found: Differences, version: str) -> Section:
    kind = "another class" if found.classes else f"a difference of more than {found.least:g}"
    text = (f"Of {found.pairs:,} requests that both versions answered, {found.different:,} ({found.share:.2%}; "
            f"confidence sequence {found.low:.2%} to {found.high:.2%}) have {kind}. "
            "Shown are the largest differences; the artifact `differences` has all.")  # fmt: skip
    rows = [[*row] for row in found.rows[:_MOST_ROWS]]
    return Section("Row by row", text, ["request", "in service", f"version {version}", "difference"], rows)


def _traffic(windows: Sequence[Window], version: str) -> Section:
    """Requests by version, a row for each time in which the shares stayed."""
    rows: list[list[Any]] = []
    before: tuple[float, bool] | None = None
    for window in windows:
        if (window.share, window.shadow) != before:
            before = (window.share, window.shadow)
            name = "a copy of each" if window.shadow and window.compared else f"{window.share:.0%}"
            rows.append([f"{window.since:%Y-%m-%d %H:%M:%S}", "", name, 0, 0, 0, 0])
        row = rows[-1]
        row[1] = f"{window.until:%Y-%m-%d %H:%M:%S}"
        arms = (window.champion, window.canary)
        row[3:] = [a + b for a, b in zip(row[3:], (arms[0].requests, arms[1].requests, arms[0].errors, arms[1].errors),
                                         strict=True)]  # fmt: skip
    head = ["from (UTC)", "until", f"share of version {version}", "requests, in service", f"version {version}",
            "errors, in service", f"errors, version {version}"]  # fmt: skip
    text = f"Shown are the last {_MOST_STEPS} of {len(rows)}." if len(rows) > _MOST_STEPS else ""
    return Section("Traffic", text, head, rows[-_MOST_STEPS:], stacked=True)


def _meaning(settings: Settings) -> str:
    return (
        "Worse: surely not as good, and by the estimate by as much as matters. No worse: surely not worse by what "
        "matters. Better: surely better. Not yet known: neither can be said so far; that is no reason to go back. All "
        "this holds at however many looks: the probability that a version that is as good is ever called worse, by any "
        f"metric, is at most {settings.alpha:.0%}, and that one that is worse by what matters ever passes is too. An "
        "error is an answer 5xx, or none. Latencies are of answers without error."
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
