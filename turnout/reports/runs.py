"""The runs of a pipeline side by side: which was best, what tells them apart, their metrics and drift over time."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Callable, Sequence
from typing import Any

from turnout.plan.metric_directions import higher_is_better
from turnout.plan.model_history import day, latest_checks
from turnout.plan.run_summary import DriftCheck, RunSummary
from turnout.plan.run_table import best_run, cut, differing_parameters, metric_columns, time_text
from turnout.reports.lines import Axis, Line, plot_lines
from turnout.reports.numbers import duration, short
from turnout.reports.page import Choice, Form, Link, Mark, Number, Section, page
from turnout.spec.step_contract import State

RunLink = Callable[[RunSummary], str]
"""The address of a run's page; empty where it has none."""

MOST_PARAMETERS, MOST_RUNS, MOST_DAYS = 8, 200, 60
"""Parameters that differ that have a column of their own; runs, and days of drift, in a table, the latest."""


def runs_page(
    pipeline: str,
    runs: Sequence[RunSummary],
    *,
    run_link: RunLink = lambda run: "",
    compare: Form | None = None,
    metric: str = "",
    by_metric: Callable[[str], str] = lambda name: "",
    several: bool = False,
) -> str:
    """The page of the runs of a pipeline.

    Args:
        pipeline: its name for people.
        runs: the latest last.
        compare: where chosen runs are compared; its field is `run`, the value of each a run's id.
        metric: that decides which run is the best; that by which they were judged when empty.
        by_metric: the address of this page with another metric.
        several: whether the runs are of several pipelines, and each is told with its pipeline.
    """
    metrics = metric_columns(runs, metric)
    best = best_run(runs, metrics[0]) if metrics else None
    counts = collections.Counter(state_text(run) for run in runs)
    reasons = [
        ", ".join(f"{count} {state.lower() or 'of which the end is not known'}" for state, count in counts.items())
    ]
    good: bool | None = counts["FAILED"] < len(runs) or not runs
    checks = [(run, check) for run in runs for check in run.drift]
    if best and metrics:
        found = best.metric(metrics[0])
        verdict = f"The best run by {metrics[0]} is {best.run_id}: {short(found.value if found else None)}"
        if best.verdict:
            reasons.insert(0, f"{best.verdict.step} said: {best.verdict.text}")
    elif checks:
        last = max((check for _, check in checks), key=lambda check: (day(check), check.when))
        verdict, good = f"{day(last)}: {last.text}", not last.alert
        reasons = [*last.reasons, *reasons]
    else:
        verdict = f"{len(runs)} runs" if runs else "No runs yet"
    names = [name for name in dict.fromkeys([*metrics, *_all_metrics(runs)]) if higher_is_better(name) is not None]
    others = [Link(name, address) for name in names[:12] if (address := by_metric(name))]
    address = run_link(best) if best else ""
    sections = [
        *([Section("", links=[Link("Open the best run", address)])] if address else []),
        _table(runs, metrics, best, run_link, compare, several),
        *([Section("The best by another metric", links=others)] if len(others) > 1 else []),
        *drift_sections(checks, run_link),
        *_curves(runs, [name for name in metrics if not checks or name not in ("largest_distance", "drifted")]),
    ]
    title = f"Runs of {pipeline}" if pipeline else "Runs"
    shown = [section for section in sections if section.has_content or section.links]
    return page(title, shown, verdict=verdict, good=good, reasons=reasons if runs else [])


def state_text(run: RunSummary) -> str:
    return run.state.name if run.state else ""


def link(text: str, href: str) -> Link | str:
    """A link, or the text alone where it leads nowhere."""
    return Link(text, href) if href else text


def state_mark(run: RunSummary) -> Mark:
    if run.state is None:
        return Mark("not known")
    tones = {State.SUCCEEDED: "good", State.FAILED: "bad", State.CANCELLED: "bad", State.RUNNING: "busy"}
    return Mark(run.state.name.lower(), tones.get(run.state, "quiet"))


def verdict_mark(run: RunSummary) -> Mark | str:
    """What was decided; of a run that failed before, why."""
    if run.verdict is None:
        return next((cut(f"{step}: {error}", 100) for step, error in run.errors.items()), "")
    tone = {True: "good", False: "bad"}
    return run.verdict.text if run.verdict.good is None else Mark(run.verdict.text, tone[run.verdict.good])


def _table(
    runs: Sequence[RunSummary],
    metrics: Sequence[str],
    best: RunSummary | None,
    run_link: RunLink,
    compare: Form | None,
    several: bool,
) -> Section:
    differing = differing_parameters(runs)
    shown = list(differing)[:MOST_PARAMETERS]
    tagged, versioned = any(run.tags for run in runs), any(run.versions for run in runs)
    columns = [
        *(["compare"] if compare else []), "run", "state", *metrics, "verdict", *shown, "started (UTC)", "took",
        *(["model"] if versioned else []), *(["tags"] if tagged else []),
    ]  # fmt: skip
    rows = []
    listed = [(index, run) for index, run in enumerate(runs) if index >= len(runs) - MOST_RUNS or run is best]
    for index, run in reversed(listed):
        name = f"{run.pipeline}/{run.run_id}" if several else run.run_id
        rows.append([
            *([Choice("run", name, f"compare {name}")] if compare else []),
            link(name, run_link(run)),
            state_mark(run),
            *(_metric_cell(run, metric, best if place == 0 else None) for place, metric in enumerate(metrics)),
            verdict_mark(run),
            *(cut(differing[name][index], 40) for name in shown),
            time_text(run.started),
            "" if run.seconds is None else Number(duration(run.seconds)),
            *([_versions(run)] if versioned else []),
            *([", ".join(run.tag_texts)] if tagged else []),
        ])  # fmt: skip
    text = "The latest first. After the verdict stand the parameters that differ." if shown else "The latest first."
    if len(differing) > len(shown):
        text = f"{text[:-1]}, {len(shown)} of {len(differing)}."
    if len(listed) < len(runs):
        text += f" {len(listed):,} of {len(runs):,} runs are listed; in the curves are all."
    if compare:
        text += " Choose two or more, and compare them."
    return Section("Runs", text, columns, rows, form=compare, stacked=True)


def _metric_cell(run: RunSummary, metric: str, best: RunSummary | None) -> Any:
    found = run.metric(metric)
    text = short(found.value) if found else ""
    return Mark(f"{text} best", "good") if found and run is best else Number(text)


def _versions(run: RunSummary) -> str:
    names = [f"{event.model} {event.version} {'serves' if event.serves else 'registered'}" for event in run.versions]
    served = {(event.model, event.version) for event in run.versions if event.serves}
    return ", ".join(
        name
        for name, event in zip(names, run.versions, strict=True)
        if event.serves or (event.model, event.version) not in served
    )


def _all_metrics(runs: Sequence[RunSummary]) -> list[str]:
    return list(dict.fromkeys(item.name for run in reversed(runs) for item in run.main_metrics))


def _curves(runs: Sequence[RunSummary], metrics: Sequence[str]) -> list[Section]:
    """The metrics over the runs, each in a plot: they have units of their own."""
    figures = []
    for metric in metrics:
        found = [(run, value) for run in runs if (value := run.metric(metric))]
        if len(found) < 2:
            continue
        points = [(float(index), value.value) for index, (_, value) in enumerate(found)]
        titles = [f"{run.run_id}: {short(value.value)}" for run, value in found]
        bad = frozenset(index for index, (run, _) in enumerate(found) if run.verdict and run.verdict.good is False)
        ends = (-0.3, len(found) - 0.7)
        times = [time_text(run.started) for run, _ in found]
        one_day = len({time[:10] for time in times}) == 1
        x = Axis("runs, by time", ends, _ticks([time[11:] if one_day else time[5:10] for time in times]))
        direction = {True: "higher is better", False: "lower is better", None: ""}[higher_is_better(metric)]
        told = [text for text in (direction, "in red what a verdict was against" if bad else "") if text]
        caption = f"{metric} over {len(found)} runs{': ' if told else ''}{'; '.join(told)}."
        drawn = plot_lines([Line(metric, points, titles, bad)], x, Axis(metric), label=caption)
        figures.append((drawn, caption))
    return [Section("Metrics over runs", figures=figures)] if figures else []


def _ticks(texts: Sequence[str], most: int = 6) -> list[tuple[float, str]]:
    """Some of the texts at their places, at equal distances."""
    step = max(1, -(-len(texts) // most))
    return [(float(index), texts[index]) for index in range(0, len(texts), step)]


def drift_sections(
    checks: Sequence[tuple[RunSummary, DriftCheck]], run_link: RunLink, heading: str = "Drift over days"
) -> list[Section]:
    """The largest distance of each day that was checked, with the threshold; and the days that were told of."""
    by_day = sorted(latest_checks(sorted(checks, key=lambda pair: pair[1].when)), key=lambda pair: day(pair[1]))
    if not by_day:
        return []
    measured = [(run, check) for run, check in by_day if check.distance is not None]
    figures = []
    if len(measured) > 1:
        start = _ordinal(day(measured[0][1]))
        points = [(_ordinal(day(check)) - start, check.distance or 0.0) for _, check in measured]
        titles = [f"{day(check)}: {check.text}, {short(check.distance)}" for _, check in measured]
        bad = frozenset(index for index, (_, check) in enumerate(measured) if check.alert)
        limits = {check.threshold for _, check in measured}
        limit = limits.pop() if len(limits) == 1 else None
        across = points[-1][0] or 1.0
        ticks = [(at, day(check)[5:]) for (at, _), (_, check) in zip(points, measured, strict=True)]
        x = Axis("day of the data", (-0.02 * across, 1.02 * across), _some(ticks))
        caption = "The largest distance of each day"
        caption += f"; dashed: {limit:g}, from which on a difference counts" if limit is not None else ""
        caption += "; in red the days that were told of." if bad else "."
        figures.append((plot_lines([Line("", points, titles, bad)], x, Axis("distance"), threshold=limit), caption))
    rows = [
        [
            link(day(check), run_link(run)),
            Mark(check.text, "bad" if check.alert else "good"),
            Number(short(check.distance)),
            check.columns,
            "; ".join(check.reasons[:3]) + (f"; and {len(check.reasons) - 3} more" if len(check.reasons) > 3 else ""),
        ]
        for run, check in reversed(by_day)
    ]
    columns = ["day", "what was found", "largest distance", "columns that drifted", "why"]
    table = Section(
        "Each day", "" if len(rows) <= MOST_DAYS else f"The last {MOST_DAYS}.", columns, rows[:MOST_DAYS], stacked=True
    )
    return [Section(heading, figures=figures, parts=[table])]


def _ordinal(text: str) -> float:
    try:
        return float(datetime.date.fromisoformat(text).toordinal())
    except ValueError:
        return 0.0


def _some(ticks: Sequence[tuple[float, str]], most: int = 6) -> list[tuple[float, str]]:
    step = max(1, -(-len(ticks) // most))
    return list(ticks[::step])
