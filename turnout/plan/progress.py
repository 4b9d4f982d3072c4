"""How far a run is: which steps may start, and what becomes of those that may not.

A pure state machine over a plan. It starts nothing itself: a runner takes what `ready` gives, and
tells `finish` how it ended. A node starts when all it is `after` have ended; unless it is to start
`always`, it is skipped when one of them was, and not triggered when one of them failed. A region has
failed when something in it has. Independent nodes go on after a failure, also other iterations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import StepError
from turnout.plan.model import Plan, Region, Step
from turnout.plan.values import Iteration, Values, parsed
from turnout.spec.step_contract import State

_UPSTREAM_FAILED = "The DAG failed because some tasks failed."


@dataclass(eq=False)
class Execution:
    """A step or region in one iteration.

    Attributes:
        error: why it failed, when that is not an error of something inside.
    """

    node: Step | Region
    iteration: Iteration
    parent: Execution | None
    state: State = State.PENDING
    error: str = ""
    children: list[Execution] = field(default_factory=list)
    waits: int = 0
    open: int = 0
    followers: list[Execution] = field(default_factory=list)
    befores: list[Execution] = field(default_factory=list)
    next_child: int = 0
    is_loop: bool = False
    opened: bool = False

    @property
    def path(self) -> str:
        return self.node.path


class Progress:
    """The executions of a run.

    Args:
        on_change: called with each execution whose state has changed.
    """

    def __init__(self, plan: Plan, values: Values, on_change: Callable[[Execution], None] = lambda execution: None):
        self.plan, self.values, self.on_change = plan, values, on_change
        self._ready: deque[Execution] = deque()
        self._decided: deque[tuple[Execution, State]] = deque()
        self.root = Execution(plan.root, (), None)
        self._start(self.root)
        self._settle()

    @property
    def finished(self) -> bool:
        return self.root.state.finished

    def ready(self) -> Iterator[Execution]:
        """The steps that may start now, each once."""
        while self._ready:
            yield self._ready.popleft()

    def running(self, execution: Execution) -> None:
        self._change(execution, State.RUNNING)

    def finish(self, execution: Execution, state: State, outputs: Mapping[str, Any], error: str = "") -> None:
        """Tell how a step ended."""
        if state is State.SUCCEEDED:
            self.values.outputs[execution.path, execution.iteration] = outputs
        execution.error = error
        self._decided.append((execution, state))
        self._settle()

    def cancel(self, state: State = State.CANCELLED) -> None:
        """End everything that has not ended.

        Args:
            state: what all of it is from now on.
        """
        for execution in self.executions():
            if not execution.state.finished:
                self._change(execution, state)

    def executions(self) -> Iterator[Execution]:
        """All executions that there are so far, regions before what is in them."""
        stack = [self.root]
        while stack:
            execution = stack.pop()
            yield execution
            stack.extend(reversed(execution.children))

    def _settle(self) -> None:
        """Draw all conclusions from what has been decided."""
        while self._decided:
            execution, state = self._decided.popleft()
            self._change(execution, state)
            self.values.statuses[execution.path, execution.iteration] = self._final_status(execution)
            if isinstance(execution.node, Region) and not execution.opened:
                self._pass_on(execution, State.NOT_TRIGGERED if state is State.FAILED else state)
            for follower in execution.followers:
                follower.waits -= 1
                if not follower.waits:
                    self._start(follower)
            parent = execution.parent
            if parent is not None:
                parent.open -= 1
                if parent.is_loop:
                    self._more_iterations(parent)
                if not parent.open:
                    self._decided.append((parent, _region_state(parent)))

    def _start(self, execution: Execution) -> None:
        """Start what has nothing to wait for any more, or decide that it does not run."""
        node = execution.node
        before = {other.state for other in execution.befores}
        if not node.always and not before <= {State.SUCCEEDED}:
            skipped = before <= {State.SUCCEEDED, State.SKIPPED}
            self._decided.append((execution, State.SKIPPED if skipped else State.NOT_TRIGGERED))
        elif isinstance(node, Step):
            self._ready.append(execution)
        else:
            self._open(execution, node)

    def _open(self, execution: Execution, region: Region) -> None:
        try:
            if region.condition and not self.values.holds(region.condition, execution.iteration):
                self._decided.append((execution, State.SKIPPED))
                return
            if region.loop:
                self._open_loop(execution, region)
                return
        except StepError as error:
            execution.error = str(error)
            self._decided.append((execution, State.FAILED))
            return
        self._change(execution, State.RUNNING)
        self._fill(execution, region)

    def _open_loop(self, execution: Execution, region: Region) -> None:
        assert region.loop is not None
        items = self.values.resolve(region.loop.items, execution.iteration)
        if isinstance(items, str):
            items = parsed(items)
        if not isinstance(items, list):
            raise StepError(f"the loop's items are not a list: {items!r:.80}")
        self.values.items[execution.path, execution.iteration] = items
        self._change(execution, State.RUNNING)
        execution.is_loop = execution.opened = True
        execution.children = [
            Execution(region, (*execution.iteration, index), execution) for index in range(len(items))
        ]
        execution.open = len(items)
        if not items:
            self._decided.append((execution, State.SUCCEEDED))
        for _ in range(region.loop.parallelism or len(items)):
            self._more_iterations(execution)

    def _more_iterations(self, loop: Execution) -> None:
        if loop.next_child < len(loop.children):
            body = loop.children[loop.next_child]
            loop.next_child += 1
            assert isinstance(body.node, Region)
            self._change(body, State.RUNNING)
            self._fill(body, body.node)

    def _fill(self, execution: Execution, region: Region) -> None:
        """Make the executions of a region's nodes, and start those that wait for nothing."""
        execution.opened = True
        execution.children = [Execution(node, execution.iteration, execution) for node in region.nodes]
        by_path = {child.path: child for child in execution.children}
        for child in execution.children:
            child.befores = [by_path[path] for path in child.node.after]
            child.waits = len(child.befores)
            for before in child.befores:
                before.followers.append(child)
        execution.open = len(execution.children)
        if not execution.children:
            self._decided.append((execution, State.SUCCEEDED))
        for child in execution.children:
            if not child.waits:
                self._start(child)

    def _pass_on(self, execution: Execution, state: State) -> None:
        """What is inside a region that does not run does not run either."""
        assert isinstance(execution.node, Region)
        for node in execution.node.nodes:
            child = Execution(node, execution.iteration, execution)
            execution.children.append(child)
            self._change(child, state)
            self.values.statuses[child.path, child.iteration] = self._final_status(child)
            if isinstance(node, Region):
                self._pass_on(child, state)

    def _change(self, execution: Execution, state: State) -> None:
        execution.state = state
        self.on_change(execution)

    def _final_status(self, execution: Execution) -> dict[str, Any]:
        """KFP's PipelineTaskFinalStatus, in JSON."""
        status: dict[str, Any] = {
            "state": execution.state.value,
            "pipelineJobResourceName": self.values.run.get(".pipeline_job_resource_name", ""),
            "pipelineTaskName": execution.node.key or execution.node.name,
        }
        if execution.state not in (State.SUCCEEDED, State.SKIPPED):
            errors = [found.error for found in _inside(execution) if found.error]
            status["error"] = {"code": 9, "message": "\n".join(errors) or _UPSTREAM_FAILED}
        return status


def _inside(execution: Execution) -> Iterator[Execution]:
    yield execution
    for child in execution.children:
        yield from _inside(child)


def _region_state(execution: Execution) -> State:
    states = {child.state for child in execution.children}
    return State.SUCCEEDED if states <= {State.SUCCEEDED, State.SKIPPED} else State.FAILED
