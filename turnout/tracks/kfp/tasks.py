"""The tasks of a run on a server of KFP's kind, as the steps of the plan."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from turnout.plan.model import Plan
from turnout.plan.results import StepResult
from turnout.spec.step_contract import Outcome, State

_STATES = {
    "PENDING": State.PENDING,
    "RUNNING": State.RUNNING,
    "SUCCEEDED": State.SUCCEEDED,
    "SKIPPED": State.SKIPPED,
    "NOT_TRIGGERED": State.NOT_TRIGGERED,
    "FAILED": State.FAILED,
    "CANCELING": State.RUNNING,
    "CANCELED": State.CANCELLED,
    "PAUSED": State.RUNNING,
}


def state_of(told: Any) -> State:
    """A state of KFP's, of a run or of a task."""
    return _STATES.get(str(told), State.PENDING)


def steps_of(plan: Plan, details: Sequence[Any]) -> list[StepResult]:
    """The steps of the plan among a run's tasks; KFP's own tasks, such as drivers, are not shown.

    Args:
        details: with the attributes of KFP's `V2beta1PipelineTaskDetail`.
    """
    paths = _paths(plan, details)
    began = min((task.start_time for task in details if task.start_time), default=None)
    found: list[StepResult] = []
    loops = [region.path for region in plan.root.regions() if region.loop]
    times: collections.Counter[str] = collections.Counter()
    for task in sorted(details, key=lambda task: (task.start_time is None, task.start_time or 0)):
        if task.task_id not in paths:
            continue
        state = state_of(task.state)
        ended = task.end_time if task.end_time and task.start_time and task.end_time >= task.start_time else None
        path = paths[task.task_id]
        in_loop = any(path.startswith(f"{loop}.") for loop in loops)
        step = StepResult(
            path,
            iteration=(times[path],) if in_loop else (),
            state=state,
            attempts=1,
            duration_s=(ended - task.start_time).total_seconds() if ended else 0.0,
            start_s=(task.start_time - began).total_seconds() if began and task.start_time else 0.0,
            outcome=Outcome(state, 1, {}, {}) if state.finished else None,
            error=task.error.message if task.error and task.error.message else "",
        )
        times[path] += 1
        found.append(step)
    return found


def _paths(plan: Plan, details: Sequence[Any]) -> dict[str, str]:
    """The path of the step that each task is, by the task's id.

    Steps of nested pipelines may have one and the same key: the tasks around them tell which is meant.
    """
    keys = {node.path: node.key for region in plan.root.regions() for node in region.nodes}
    chains: dict[tuple[str, ...], str] = {}
    for step in plan.steps():
        names = step.path.split(".")
        chains[tuple(keys[".".join(names[:count])] for count in range(1, len(names) + 1))] = step.path
    by_id = {task.task_id: task for task in details}
    found = {}
    for task in details:
        chain: list[str] = []
        here: Any = task
        while here is not None and len(chain) <= len(by_id):
            chain.insert(0, here.display_name)
            here = by_id.get(here.parent_task_id)
        known = tuple(name for name in chain if name in keys.values())
        matches = [path for names, path in chains.items() if names == known or names[-1:] == tuple(chain)]
        if len(matches) == 1 and chain[-1] == keys[matches[0]]:
            found[task.task_id] = matches[0]
    return found
