"""What is said of a run first: the error that matters, or what was decided and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.plan.results import StepResult
from turnout.plan.run_summary import Verdict
from turnout.reports.numbers import duration
from turnout.reports.page import Mark, Section
from turnout.reports.run.shown import ShownRun
from turnout.spec.step_contract import State

TONES = {
    State.SUCCEEDED: "good",
    State.FAILED: "bad",
    State.CANCELLED: "bad",
    State.RUNNING: "busy",
    State.PENDING: "open",
}
"""How a state is marked; the others are quiet."""

_MOST_VERDICTS, _MOST_LINES, _MOST_NAMED, _LONGEST = 20, 12, 5, 600
_HINT = re.compile(r"^\s*hint:\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Headline:
    """What is said of a run first.

    Attributes:
        step: whose verdict or error it is, by its label.
    """

    text: str
    good: bool | None
    reasons: Sequence[str] = ()
    step: str = ""


def headline(run: ShownRun) -> Headline:
    """The error that matters, or the last verdict, or else how far the run is."""
    failed = failed_steps(run.steps)
    errors = [line for error in run.record.get("errors") or () for line in error_lines(str(error))]
    code = _other_code(run.steps)
    if failed:
        first = failed[0]
        what, *more = error_lines(first.error) or ["it failed, and left no error"]
        reasons = [*more, *_besides(run, failed), *errors, *code]
        return Headline(f"{first.label} failed: {what}", False, reasons, first.label)
    if errors and run.state is not State.SUCCEEDED:
        return Headline(errors[0], False, [*errors[1:], *code])
    verdict = deciding(run)
    if verdict and run.state in (State.SUCCEEDED, None):
        return Headline(verdict.text, verdict.good, [*verdict.reasons, *code], verdict.step)
    state = _ended(run) if run.state else "The run goes on, or was interrupted"
    good = None if run.going_on or run.state is None else run.state is State.SUCCEEDED
    return Headline(state, good, [*_still(run), *code])


def about(run: ShownRun, said: Headline) -> str:
    """The state of a run, its times and its steps, in a line."""
    counts = Counter(step.state for step in run.steps)
    done = ", ".join(f"{count:,} {state.label}" for state, count in counts.items())
    ended = _ended(run) if run.state else ""
    parts = [
        ended if ended != said.text else "",
        f"started {moment(run.summary.started)}" if run.summary.started else "",
        f"{len(run.steps):,} steps: {done}" if len(run.steps) != 1 else f"1 step: {done}",
    ]
    return " · ".join(filter(None, parts))


def verdicts_section(run: ShownRun, said: Headline) -> Section:
    """What was decided beside what is said first: what is bad before what is good, iterations that agree in a row."""
    alike: dict[tuple[str, str, bool | None], list[Verdict]] = {}
    for item in run.summary.verdicts:
        if item.step != said.step:
            step = run.by_label[item.step]
            alike.setdefault((step.name if step.iteration else item.step, item.text, item.good), []).append(item)
    rows = []
    for (name, _, good), items in sorted(alike.items(), key=lambda entry: entry[0][2] is not False):
        many = len(items) > 1
        who: Any = f"{name}, {len(items):,} iterations" if many else run.linked(items[0].step)
        reasons = "" if many else "; ".join(items[0].reasons[:3])
        rows.append((who, Mark(items[0].text, "quiet" if good is None else "good" if good else "bad"), reasons))
    left = len(rows) - _MOST_VERDICTS
    text = f"{_MOST_VERDICTS} of {len(rows)} verdicts are shown, the bad ones first." if left > 0 else ""
    columns = ["step", "verdict", "reasons"]
    heading = "Further verdicts" if said.step else "Verdicts"
    return Section(heading, text, columns, rows[:_MOST_VERDICTS]).without_empty(2)


def deciding(run: ShownRun) -> Verdict | None:
    """The verdict of the run: the last one that is not of an iteration, which knows nothing of the others."""
    return next((item for item in reversed(run.summary.verdicts) if not run.by_label[item.step].iteration), None)


def failed_steps(steps: Sequence[StepResult]) -> list[StepResult]:
    """Those that failed by themselves, the first first: it is mostly what made others fail."""
    failed = [step for step in steps if step.state is State.FAILED]
    return sorted(failed, key=lambda step: (step.outcome.ended if step.outcome else "", step.start_s))


def error_lines(error: str) -> list[str]:
    """An error as lines: what is wrong, details, and what to do, as a sentence."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    shown = [_HINT.sub("What to do: ", line)[:_LONGEST] for line in lines]
    if len(shown) > _MOST_LINES:  # the end has the hint
        shown = [*shown[: _MOST_LINES - 2], f"({len(shown) - _MOST_LINES + 1} more lines are in the log)", shown[-1]]
    return [shown[0].removesuffix(":"), *shown[1:]] if shown else []


def named(labels: Sequence[str]) -> str:
    """Some names, and how many more."""
    more = f" and {len(labels) - _MOST_NAMED:,} more" if len(labels) > _MOST_NAMED else ""
    return ", ".join(labels[:_MOST_NAMED]) + more


def _besides(run: ShownRun, failed: Sequence[StepResult]) -> list[str]:
    others = [step.label for step in failed[1:]]
    waiting = [step.label for step in run.steps if step.state is State.NOT_TRIGGERED]
    return [
        *([f"Also failed: {named(others)}"] if others else []),
        *([f"Did not start, since an earlier step failed: {named(waiting)}"] if waiting else []),
    ]


def _still(run: ShownRun) -> list[str]:
    """What is going on."""
    running = [step.label for step in run.steps if step.state is State.RUNNING]
    ended = sum(step.state.finished for step in run.steps)
    if not run.going_on and run.state is not None:
        return []
    return [f"{ended:,} of {len(run.steps):,} steps have ended", *([f"Running: {named(running)}"] if running else [])]


def _other_code(steps: Sequence[StepResult]) -> list[str]:
    labels = [step.label for step in steps if step.outcome and step.outcome.other_code]
    return [f"Ran code other than the pipeline was compiled with: {named(labels)}"] if labels else []


def _ended(run: ShownRun) -> str:
    """How a run ended, and in which time."""
    label = run.state.label if run.state else ""
    return f"{label} in {duration(run.seconds)}" if run.seconds and not run.going_on else label


def moment(text: str) -> str:
    """A time to the minute."""
    return text[:16].replace("T", " ") + " UTC"
