"""A finished run for a person: how it ended, its steps, what failed and why, what it gave, where to look next.

Nothing of it is cut: on a terminal, long lines are wrapped under their beginnings; a path or an address stands on a
line of its own, as it is. What goes into a file or a pipe is not wrapped.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from turnout.cli.progress import STYLES
from turnout.plan.results import RunResult, StepResult

_MANY = 8
"""Iterations of a step above which they share a row."""

_WIDE = 200


def show_result(result: RunResult) -> None:
    """Print a finished run."""
    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console = Console(highlight=False, width=_WIDE)
    style = STYLES.get(result.state, "")
    seconds = max((step.start_s + step.duration_s for step in result.steps), default=0.0)
    took = f" in {seconds:,.1f} s" if seconds and result.state.finished else ""
    _say(console, Text.assemble(f"{result.pipeline} {result.run_id}: ", (result.state.label, style or "bold"), took))
    if result.steps:
        console.print(_table(result.steps))
    for step in (step for step in result.steps if step.error):
        tries = f" after {step.attempts} attempts" if step.attempts > 1 else ""
        _say(console, Text(f"{step.label}: {step.state.label}{tries}", style="bold red"))
        _error(console, step.error, 2)
        if step.outcome and step.outcome.log:
            _place(console, "log", step.outcome.log, 2)
    for error in result.errors:
        _error(console, error, 0)
    for step in _few(result.steps):
        _outputs(console, f"{step.label}.", step.outcome.parameters if step.outcome else {})
    _outputs(console, "", result.outputs)
    for what, place in _where_to_look(result):
        _place(console, what, place)


def _table(steps: Sequence[StepResult]) -> Table:
    tried = any(step.attempts > 1 for step in steps)
    table = Table(show_edge=False, pad_edge=False, box=None, header_style="dim")
    table.add_column("step", overflow="fold")
    table.add_column("state", overflow="fold")
    if tried:
        table.add_column("attempts", justify="right")
    table.add_column("seconds", justify="right")
    for group in _rows(steps):
        counts = collections.Counter(step.state for step in group)
        states = [
            Text(f"{count} {state.label}" if len(group) > 1 else state.label, style=STYLES.get(state, "dim"))
            for state, count in counts.items()
        ]
        name = group[0].label if len(group) == 1 else f"{group[0].title or group[0].name} ×{len(group)}"
        attempts = [str(max(step.attempts for step in group) or "")] if tried else []
        table.add_row(name, Text(", ").join(states), *attempts, _seconds(group))
    return table


def _rows(steps: Sequence[StepResult]) -> Iterator[list[StepResult]]:
    """What shares a row: a step by itself, or the many iterations of one."""
    by_name: dict[str, list[StepResult]] = {}
    for step in steps:
        by_name.setdefault(step.name, []).append(step)
    for group in by_name.values():
        if len(group) > _MANY:
            yield group
        else:
            yield from ([step] for step in group)


def _few(steps: Sequence[StepResult]) -> list[StepResult]:
    """The steps whose outputs are told: not those of many iterations."""
    return [group[0] for group in _rows(steps) if len(group) == 1]


def _seconds(group: Sequence[StepResult]) -> str:
    if all(step.cached for step in group):
        return "cached"
    seconds = sum(step.duration_s for step in group)
    return f"{seconds:.1f}" if seconds else ""


def _outputs(console: Console, prefix: str, outputs: Any) -> None:
    """A line for each output; for each of the texts of a list."""
    for name, value in outputs.items():
        given = value["uri"] if isinstance(value, dict) and "uri" in value else value
        if isinstance(given, list) and given and all(isinstance(item, str) and " " in item for item in given):
            _say(console, Text(f"{prefix}{name}:"))
            for item in given:
                _say(console, Text(item), 2)
        else:
            text = f"{given:.6g}" if isinstance(given, float) else str(given)
            _say(console, Text(f"{prefix}{name} = {text}"))


def _where_to_look(result: RunResult) -> Iterator[tuple[str, str]]:
    artifacts = [
        (step.label, name, artifact)
        for step in _few(result.steps)
        if step.outcome
        for name, artifact in step.outcome.artifacts.items()
    ]
    for step, name, artifact in artifacts:
        if artifact.type == "system.HTML":
            yield f"{step}.{name}", artifact.uri
    trackers = {str(uri) for _, _, artifact in artifacts if (uri := artifact.metadata.get("mlflow_tracking_uri"))}
    for uri in sorted(trackers):
        yield "MLflow", f"mlflow ui --backend-store-uri {uri}"
    if result.path:
        yield "report", f"{result.path}/report.html"


def _error(console: Console, error: str, indent: int) -> None:
    """The lines of an error, each as far to the right as it is."""
    for line in error.splitlines():
        text = line.lstrip()
        _say(console, Text(text, style="red"), indent + len(line) - len(text))


def _say(console: Console, text: Text, indent: int = 0) -> None:
    """A line; on a terminal, what does not fit goes on below its beginning."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent), expand=False))
    else:
        console.print(Text(" " * indent).append_text(text), soft_wrap=True)


def _place(console: Console, what: str, place: str, indent: int = 0) -> None:
    """A path, an address or a command, alone on its line: no wrap comes into it, and a click or a copy takes it all."""
    _say(console, Text(f"{what}:"), indent)
    console.print(Text(place), soft_wrap=True)
