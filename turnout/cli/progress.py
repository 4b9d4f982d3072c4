"""A run as a person watches it: lines while steps change, a live table on a terminal, a table at the end."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from turnout.plan.model import Plan, Region
from turnout.plan.results import RunResult, StepResult, Watch
from turnout.spec.step_contract import State

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
    """Show a run's progress on standard error while it lasts: a live tree on a terminal, otherwise lines."""
    console = Console(stderr=True)
    console.print(f"[bold]{plan.name}[/bold] run {run_id}", highlight=False)
    if not console.is_terminal:
        yield lambda step, line: None if line or step.state is State.PENDING else _print_change(console, step)
        return
    progress = _Progress(plan)
    with Live(console=console, get_renderable=progress.tree, refresh_per_second=4, transient=True):
        yield progress.watch


class _Progress:
    """What is known of a run's steps, as a tree: a line a step, one for all its iterations in a loop."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.lock = threading.Lock()
        self.steps: dict[str, dict[tuple[int, ...], StepResult]] = {step.path: {} for step in plan.steps()}
        self.lines: dict[str, str] = {}
        self.since: dict[str, float] = {}

    def watch(self, step: StepResult, line: str) -> None:
        with self.lock:
            self.steps[step.name][step.iteration] = step
            if line.strip():
                self.lines[step.name] = line.strip()
            elif step.state is State.RUNNING:
                self.since.setdefault(step.name, time.monotonic())

    def tree(self) -> Tree:
        with self.lock:
            tree = Tree(self.plan.name, guide_style="dim")
            self._add(tree, self.plan.root)
            return tree

    def _add(self, tree: Tree, region: Region) -> None:
        for node in region.nodes:
            if isinstance(node, Region):
                what = " for each" if node.loop else f" if {node.condition.expression}" if node.condition else ""
                self._add(tree.add(Text.assemble(node.label, (what, "dim"))), node)
            else:
                tree.add(self._line(node.path, node.label))

    def _line(self, path: str, name: str) -> Text:
        results = list(self.steps[path].values())
        if not results:
            return Text(name, style="dim")
        counts = collections.Counter(result.state for result in results)
        shown = [(f" {count} " if len(results) > 1 else " ") + state.value for state, count in counts.items()]
        states = [(text, _STYLES.get(state, "dim")) for text, state in zip(shown, counts, strict=True)]
        details = ""
        if cached := sum(result.cached for result in results):
            details += " cached" if cached == len(results) else f" {cached} cached"
        if (attempts := max(result.attempts for result in results)) > 1:
            details += f" attempt {attempts}"
        if State.RUNNING in counts:
            details += f" {time.monotonic() - self.since[path]:.0f} s  {self.lines.get(path, '')}"
        elif seconds := sum(result.duration_s for result in results):
            details += f" {seconds:.1f} s"
        return Text.assemble(name, *states, (details, "dim"), no_wrap=True, overflow="ellipsis")


def show_result(result: RunResult) -> None:
    """Print a finished run: its steps, their errors, its outputs, and where to look next."""
    console = Console(highlight=False)
    table = Table(title=f"{result.pipeline} {result.run_id}: {result.state.value}", title_justify="left")
    for column in ("step", "state", "attempts", "seconds", "outputs"):
        table.add_column(column, justify="right" if column in ("attempts", "seconds") else "left", overflow="fold")
    for step in result.steps:
        table.add_row(step.label, _state(step.state), str(step.attempts or ""), _seconds(step), _outputs(step))
    console.print(table)
    for step in result.steps:
        if step.error:
            console.print(Text(f"{step.label}: {step.error}", style="red"))
            if step.outcome and step.outcome.log:
                console.print(Text(f"  log: {step.outcome.log}"), soft_wrap=True)
    for error in result.errors:
        console.print(Text(error, style="red"))
    for name, value in result.outputs.items():
        console.print(Text(f"{name} = {value['uri'] if isinstance(value, dict) and 'uri' in value else value}"))
    for line in _where_to_look(result):
        console.print(Text(line), soft_wrap=True)


def _where_to_look(result: RunResult) -> Iterator[str]:
    artifacts = [
        (step.label, name, artifact)
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
    if result.path:
        yield f"report: {result.path}/report.html"


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
    return "cached" if step.cached else f"{step.duration_s:.1f}" if step.duration_s else ""


def _print_change(console: Console, step: StepResult) -> None:
    seconds = f" after {step.duration_s:.1f} s" if step.duration_s and step.state.finished else ""
    cached = " from the cache" if step.cached else ""
    console.print(Text.assemble(step.label, " ", _state(step.state), cached, seconds), highlight=False)
