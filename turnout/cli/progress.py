"""A run while it lasts, as a person watches it: a live tree on a terminal, otherwise a line for each change."""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from turnout.plan.model import Plan, Region
from turnout.plan.results import StepResult, Watch
from turnout.spec.step_contract import State

STYLES = {
    State.SUCCEEDED: "green",
    State.FAILED: "bold red",
    State.RUNNING: "cyan",
    State.SKIPPED: "yellow",
    State.NOT_TRIGGERED: "red",
    State.CANCELLED: "red",
}

_GUIDE, _DETAILS = 4, 28
"""Columns that a level of the tree takes; that a name leaves to what follows it."""


@contextlib.contextmanager
def watching(plan: Plan, run_id: str) -> Iterator[Watch]:
    """Show a run's progress on standard error while it lasts."""
    console = Console(stderr=True, highlight=False)
    console.print(Text.assemble((plan.name, "bold"), f" run {run_id}"), soft_wrap=True)
    if not console.is_terminal:
        yield lambda step, line: _print(console, step, line)
        return
    progress = Progress(plan, console)
    with Live(console=console, get_renderable=progress.tree, refresh_per_second=4, transient=True):
        yield progress.watch


class Progress:
    """What is known of a run's steps, as a tree: a line a step, one for all its iterations in a loop."""

    def __init__(self, plan: Plan, console: Console):
        self.plan, self.console = plan, console
        self.lock = threading.Lock()
        self.steps: dict[str, dict[tuple[int, ...], StepResult]] = {step.path: {} for step in plan.steps()}
        self.lines: dict[str, str] = {}
        self.since: dict[str, float] = {}

    def watch(self, step: StepResult, line: str) -> None:
        with self.lock:
            self.steps[step.name][step.iteration] = step
            if line.strip():
                self.lines[step.name] = line.strip()
            if step.state is State.RUNNING:
                self.since.setdefault(step.name, time.monotonic())

    def tree(self) -> Tree:
        """The run as it is now: groups in which nothing goes on are one line, when the screen has no room for more."""
        with self.lock:
            room = self.console.height - 2
            closed: set[str] = set()
            for quiet in (State.SUCCEEDED, State.PENDING):
                if self._height(self.plan.root, closed) <= room:
                    break
                closed |= {region.path for region in self.plan.root.regions() if self._is(region, quiet)}
            tree = Tree(self.plan.name, guide_style="dim")
            self._add(tree, self.plan.root, closed, 1)
            return tree

    def _height(self, region: Region, closed: set[str]) -> int:
        inside = 0 if region.path in closed else sum(
            self._height(node, closed) if isinstance(node, Region) else 1 for node in region.nodes
        )  # fmt: skip
        return 1 + inside

    def _is(self, region: Region, quiet: State) -> bool:
        """Whether all of a group has succeeded or been skipped; or has not begun."""
        states = {self._state(step.path) for step in region.steps()}
        return bool(region.path) and states <= {quiet, *([State.SKIPPED] if quiet is State.SUCCEEDED else [])}

    def _state(self, path: str) -> State:
        """The state of a step over its iterations, the liveliest first."""
        states = {result.state for result in self.steps[path].values()} or {State.PENDING}
        order = (State.RUNNING, State.FAILED, State.CANCELLED, State.NOT_TRIGGERED, State.PENDING, State.SUCCEEDED)
        return next((state for state in order if state in states), State.SKIPPED)

    def _add(self, tree: Tree, region: Region, closed: set[str], depth: int) -> None:
        for node in region.nodes:
            if not isinstance(node, Region):
                tree.add(self._line(node.path, node.label, depth))
            elif node.path in closed:
                begun = any(self.steps[step.path] for step in node.steps())
                what = f" {len(list(node.steps()))} steps" + (" done" if begun else " to come")
                tree.add(self._fitted(Text.assemble(self._cut(node.label, depth), (what, "dim"))))
            else:
                what = " for each" if node.loop else f" if {node.condition.label}" if node.condition else ""
                heading = self._fitted(Text.assemble(self._cut(node.label, depth), (what, "dim")))
                self._add(tree.add(heading), node, closed, depth + 1)

    def _line(self, path: str, name: str, depth: int) -> Text:
        results = list(self.steps[path].values())
        name = self._cut(name, depth)
        if not results:
            return self._fitted(Text(name, style="dim"))
        count, total = sum(result.state.finished for result in results), _total(results)
        looped = [f" {count}/{total}"] if results[0].iteration else []
        states = [(f" {text}", STYLES.get(state, "dim")) for text, state in _states(results)]
        return self._fitted(Text.assemble(name, *looped, *states, (self._details(path, results), "dim")))

    def _details(self, path: str, results: Sequence[StepResult]) -> str:
        running = [result for result in results if result.state is State.RUNNING]
        told = []
        if cached := sum(result.cached for result in results):
            told.append("cached" if cached == len(results) else f"{cached} cached")
        if len(running) == 1 and running[0].items:
            told.append(", ".join(running[0].items))
        if (attempts := max(result.attempts for result in running or results)) > 1:
            told.append(f"attempt {attempts}")
        if running:
            told.append(f"{time.monotonic() - self.since.get(path, time.monotonic()):.0f} s")
            told.append(self.lines.get(path, "") if len(running) == 1 else "")
        elif seconds := sum(result.duration_s for result in results):
            told.append(f"{seconds:.1f} s")
        elif self._is_pending(results):
            told.append(self.lines.get(path, ""))
        again = [result for result in results if result.state is State.PENDING and result.error]
        if again:
            told.append(f"tries again after: {again[0].error.splitlines()[0]}")
        return "".join(f"  {text}" for text in told if text)

    @staticmethod
    def _is_pending(results: Sequence[StepResult]) -> bool:
        """Whether no attempt of a step has begun: what is told of it then is how it is prepared."""
        return all(result.state is State.PENDING and not result.attempts for result in results)

    def _cut(self, name: str, depth: int) -> str:
        """A name that leaves room for what is said of it; the rest of a long one is in the table at the end."""
        room = max(16, self.console.width - _GUIDE * depth - _DETAILS)
        return name if cell_len(name) <= room else f"{name[: room // 2]}…{name[len(name) - (room - 1) // 2 :]}"

    def _fitted(self, line: Text) -> Text:
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


def _states(results: Sequence[StepResult]) -> Iterator[tuple[str, State]]:
    """The states of a step's iterations, each with how many have it; of a step that has none, its own."""
    counts = collections.Counter(result.state for result in results)
    if not results[0].iteration:
        yield results[0].state.label, results[0].state
        return
    if len(results) == counts[State.SUCCEEDED] == _total(results):
        yield State.SUCCEEDED.label, State.SUCCEEDED
        return
    for state in (State.RUNNING, State.FAILED, State.NOT_TRIGGERED, State.CANCELLED, State.SKIPPED):
        if counts[state]:
            yield f"{counts[state]} {state.label}", state


def _total(results: Sequence[StepResult]) -> int:
    """How many iterations of a step there will be, as far as its loops have begun."""
    sizes = {result.iteration[:-1]: result.total for result in results}
    return max(sum(sizes.values()), len(results))


def _print(console: Console, step: StepResult, line: str) -> None:
    """What has changed; and what is done for a step before it starts, such as to make its environment."""
    if line and step.state is State.PENDING:
        console.print(Text.assemble(step.label, ": ", (line, "dim")), soft_wrap=True)
    elif not line and step.state is not State.PENDING:
        _print_change(console, step)


def _print_change(console: Console, step: StepResult) -> None:
    seconds = f" after {step.duration_s:.1f} s" if step.duration_s and step.state.finished else ""
    cached = " from the cache" if step.cached else ""
    again = f" attempt {step.attempts}" if step.state is State.RUNNING and step.attempts > 1 else ""
    state = Text(step.state.label, style=STYLES.get(step.state, "dim"))
    console.print(Text.assemble(step.label, " ", state, again, cached, seconds), soft_wrap=True)
