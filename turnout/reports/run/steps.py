"""The steps of a run as a table: those of a loop in one row, with what they come to, and unfolded below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from turnout.plan.results import StepResult
from turnout.reports.numbers import duration
from turnout.reports.page import Link, Mark, Section, Span
from turnout.reports.run.shown import ShownRun
from turnout.reports.run.values import short
from turnout.reports.run.verdicts import TONES
from turnout.spec.step_contract import State

_MOST = 300
"""Iterations of a step that are listed."""

_LAST = (State.FAILED, State.CANCELLED, State.RUNNING)
"""What is listed first when not all can be."""


def steps_section(run: ShownRun) -> Section:
    """A row for each step; the iterations of a loop folded below the table."""
    groups: dict[str, list[StepResult]] = {}
    for step in run.steps:
        groups.setdefault(step.name, []).append(step)
    rows: list[tuple[Any, ...]] = []
    bad: list[int] = []
    parts: list[Section] = []
    for steps in groups.values():
        if any(step.state in (State.FAILED, State.CANCELLED) for step in steps):
            bad.append(len(rows))
        if steps[0].iteration:
            anchor = f"iterations-{len(parts) + 1}"
            rows.append(_folded(run, steps, anchor))
            parts.append(_iterations(run, steps, anchor))
        else:
            rows.append(_row(run, steps[0]))
    table = Section("Steps", run.links.note, _COLUMNS, rows, frozenset(bad), parts=parts, stacked=True)
    return table.without_empty(2)


_COLUMNS = ("step", "state", "time", "attempts", "gave", "")


def _row(run: ShownRun, step: StepResult) -> tuple[Any, ...]:
    parameters = step.outcome.parameters if step.outcome else {}
    gave = ", ".join(f"{name} = {short(value, 60)}" for name, value in parameters.items())
    log = run.links.log(step) if step.outcome and step.outcome.log else ""
    attempts = step.attempts if step.attempts > 1 else ""
    return (
        run.linked(step),
        status(step),
        _time(run, [step]),
        attempts,
        short(gave, 120),
        Link("log", log) if log else "",
    )


def status(step: StepResult) -> Mark:
    """The state of a step as a cell."""
    return Mark(step.state.label, TONES.get(step.state, "quiet"))


def _folded(run: ShownRun, steps: Sequence[StepResult], anchor: str) -> tuple[Any, ...]:
    counts = Counter(step.state for step in steps)
    worst = next((state for state in _WORST if state in counts), State.PENDING)
    told = ", ".join(f"{count:,} {state.label}" for state, count in counts.items())
    cached = sum(step.cached for step in steps)
    told += f", {cached:,} of them from the cache" if cached else ""
    link = Link(f"{steps[0].title or steps[0].name}, {len(steps):,} iterations", f"#{anchor}")
    attempts = sum(step.attempts for step in steps)
    return (
        link,
        Mark(told, TONES.get(worst, "quiet")),
        _time(run, steps),
        attempts if attempts > len(steps) else "",
        "",
        "",
    )


_WORST = (
    State.FAILED,
    State.CANCELLED,
    State.NOT_TRIGGERED,
    State.RUNNING,
    State.PENDING,
    State.SUCCEEDED,
    State.SKIPPED,
)


def _iterations(run: ShownRun, steps: Sequence[StepResult], anchor: str) -> Section:
    shown = sorted(steps, key=lambda step: step.state not in _LAST)[:_MOST] if len(steps) > _MOST else steps
    words = f"{len(shown):,} of {len(steps):,} are listed, those that failed first." if len(shown) < len(steps) else ""
    rows = [_row(run, step) for step in shown]
    bad = frozenset(place for place, step in enumerate(shown) if step.state in (State.FAILED, State.CANCELLED))
    folded = f"The {len(steps):,} iterations of {steps[0].title or steps[0].name}"
    return Section("", words, _COLUMNS, rows, bad, folded=folded, anchor=anchor, stacked=True).without_empty(2)


def _time(run: ShownRun, steps: Sequence[StepResult]) -> Any:
    """How long steps took together, and when that was."""
    if all(step.cached for step in steps):
        return "from the cache"
    ran = [step for step in steps if step.attempts and not step.cached and step.duration_s]
    if not ran:
        return ""
    first = min(map(run.start, ran))
    last = max(run.start(step) + step.duration_s for step in ran)
    total = duration(sum(step.duration_s for step in ran))
    whole = run.seconds or 1.0
    return Span(first / whole, (last - first) / whole, total)
