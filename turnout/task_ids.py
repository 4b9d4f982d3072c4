"""The ids of tasks that Airflow needs beside a plan's steps, whose ids are their paths.

A compiled file has them, and its operators find from them the node that they are for.
"""

from __future__ import annotations

from collections.abc import Container

RUN_END = "state-of-the-run"
"""The last task, whose state is the run's."""

RUN_OUTPUTS = "outputs-of-the-run"
"""The task that gives the pipeline's outputs."""

_GATE, _ITEMS, _ITERATIONS, _END = "-when", "-items", "-iterations", "-end"
EXPLAINED = f"an If has a task '{_GATE}', a loop '{_ITEMS}', an end '{_END}'"


def gate(group: str) -> str:
    """The task that lets a group start, or not."""
    return f"{group}{_GATE}"


def items(loop: str) -> str:
    """The task that gives what a loop goes over."""
    return f"{loop}{_ITEMS}"


def iterations(loop: str) -> str:
    """The task that gives all iterations of a loop that is in a loop."""
    return f"{loop}{_ITERATIONS}"


def end(group: str) -> str:
    """The task that ends as a group did; of the whole run, whose group is '', another name."""
    return f"{group}{_END}" if group else RUN_END


def group_of_gate(task_id: str) -> str:
    """The group that a gate is of."""
    return task_id.removesuffix(_GATE)


def loop_of_items(task_id: str) -> str:
    """The loop that a task gives the items of."""
    return task_id.removesuffix(_ITEMS)


def loop_of_iterations(task_id: str) -> str:
    """The loop that a task gives the iterations of."""
    return task_id.removesuffix(_ITERATIONS)


def is_gate(task_id: str, nodes: Container[str]) -> bool:
    """Whether a task is a gate, and not a node of the plan that is called like one."""
    return task_id.endswith(_GATE) and task_id not in nodes
