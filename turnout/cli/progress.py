"""A run as a person watches it: lines while steps change, a live table on a terminal, a table at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from turnout.plan.model import Plan
from turnout.runtime.contract import State
from turnout.tracks.results import RunResult, StepResult, Watch

_STYLES = {
    State.SUCCEEDED: "green",
    State.FAILED: "bold red",
    State.RUNNING: "cyan",
    State.SKIPPED: "yellow",
    State.NOT_TRIGGERED: "red",
    State.CANCELLED: "red",
}


@contextlib.contextmanager
def watching(plan: Plan, run_id: str) -> Iterator[Watch]:
    """Show a run's progress on standard error while it lasts."""
    console = Console(stderr=True)
    lines: dict[str, str] = {}
    results: dict[str, StepResult] = {step.path: StepResult(step.path) for step in plan.steps()}
    lock = threading.Lock()
    console.print(f"[bold]{plan.name}[/bold] run {run_id}", highlight=False)

    def table() -> Table:
        table = Table.grid(padding=(0, 2))
        with lock:
            for path, result in results.items():
                last = Text(lines.get(path, ""), style="dim", no_wrap=True, overflow="ellipsis")
                table.add_row(path, _state(result.state), _seconds(result), last)
        return table

    if not console.is_terminal:
        yield lambda step, line: None if line or step.state is State.PENDING else _print_change(console, step)
        return
    with Live(console=console, get_renderable=table, refresh_per_second=4, transient=True):

        def watch(step: StepResult, line: str) -> None:
            with lock:
                results[step.name] = step
                if line.strip():
                    lines[step.name] = line.strip()

        yield watch


def show_result(result: RunResult) -> None:
    """Print a finished run: its steps, their errors, its outputs, and where to look next."""
    console = Console(highlight=False)
    table = Table(title=f"{result.pipeline} {result.run_id}: {result.state.value}", title_justify="left")
    for column in ("step", "state", "attempts", "seconds", "outputs"):
        table.add_column(column, justify="right" if column in ("attempts", "seconds") else "left", overflow="fold")
    for step in result.steps:
        table.add_row(step.name, _state(step.state), str(step.attempts or ""), _seconds(step), _outputs(step))
    console.print(table)
    for step in result.steps:
        if step.error:
            console.print(Text(f"{step.name}: {step.error}", style="red"))
            if step.outcome and step.outcome.log:
                console.print(Text(f"  log: {step.outcome.log}"), soft_wrap=True)
    for name, value in result.outputs.items():
        console.print(Text(f"{name} = {value['uri'] if isinstance(value, dict) and 'uri' in value else value}"))
    for line in _where_to_look(result):
        console.print(Text(line), soft_wrap=True)


def _where_to_look(result: RunResult) -> Iterator[str]:
    artifacts = [
        (step.name, name, artifact)
        for step in result.steps
        if step.outcome
        for name, artifact in step.outcome.artifacts.items()
    ]
    for step, name, artifact in artifacts:
        if artifact.type == "system.HTML":
            yield f"{step}.{name}: {artifact.uri}"
    trackers = {str(uri) for _, _, artifact in artifacts if (uri := artifact.metadata.get("mlflow_tracking_uri"))}
    for uri in sorted(trackers):
        yield f"MLflow: mlflow ui --backend-store-uri {uri}"


def _outputs(step: StepResult) -> Text:
    parameters = step.outcome.parameters if step.outcome else {}
    shown = (f"{name}={_short(value)}" for name, value in parameters.items())
    return Text("\n".join(shown))


def _short(value: object, limit: int = 60) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _state(state: State) -> Text:
    return Text(state.value, style=_STYLES.get(state, "dim"))


def _seconds(step: StepResult) -> str:
    return f"{step.duration_s:.1f}" if step.duration_s else ""


def _print_change(console: Console, step: StepResult) -> None:
    seconds = f" after {step.duration_s:.1f} s" if step.duration_s and step.state.finished else ""
    console.print(Text.assemble(step.name, " ", _state(step.state), seconds))
