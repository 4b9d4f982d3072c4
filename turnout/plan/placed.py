"""A plan, or one step of it, as it stands inside another graph: in a DAG that is written by hand.

There a node's task has an id that begins with the group's; the plan's paths are then these ids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from turnout.errors import TurnoutError, did_you_mean
from turnout.plan.model import (
    Collected,
    Condition,
    Field,
    FinalStatus,
    Loop,
    LoopItem,
    OneOf,
    Plan,
    Region,
    Step,
    StepOutput,
    Template,
)

Move = Callable[[str], str]


def inside(plan: Plan, group: str) -> Plan:
    """A plan in a group: all paths begin with the group's id; that of the root stays empty."""

    def move(path: str) -> str:
        return f"{group}.{path}" if path else ""

    return dataclasses.replace(plan, root=_moved(plan.root, move), outputs=_moved(dict(plan.outputs), move))


def alone(plan: Plan, path: str, task_id: str) -> Plan:
    """One step of a plan, whose inputs are given to it, and nothing else.

    Args:
        path: of the step in its plan.
        task_id: what its path is here.

    Raises:
        TurnoutError: the plan has no such step.
    """
    step = dataclasses.replace(step_of(plan, path), path=task_id, after=(), always=False, inputs={})
    root = Region(path="", nodes=(step,))
    return dataclasses.replace(plan, root=root, parameters={}, outputs={})


def step_of(plan: Plan, path: str) -> Step:
    """A step by its path.

    Raises:
        TurnoutError: there is none.
    """
    steps = {step.path: step for step in plan.steps()}
    if path not in steps:
        hint = did_you_mean(path, steps)
        raise TurnoutError(f"no step '{path}'", where=plan.name, available=steps, hint=hint)
    return steps[path]


def _moved(value: Any, move: Move) -> Any:
    """A part of a plan with its paths moved: those of nodes, and those that sources refer to."""
    match value:
        case Region():
            return dataclasses.replace(
                value,
                path=move(value.path),
                after=tuple(map(move, value.after)),
                nodes=tuple(_moved(node, move) for node in value.nodes),
                condition=_moved(value.condition, move),
                loop=_moved(value.loop, move),
            )
        case Step():
            return dataclasses.replace(
                value,
                path=move(value.path),
                after=tuple(map(move, value.after)),
                inputs=_moved(dict(value.inputs), move),
                kubernetes=_moved(dict(value.kubernetes), move),
            )
        case Condition() | Template():
            return dataclasses.replace(value, inputs=_moved(dict(value.inputs), move))
        case Loop():
            return dataclasses.replace(value, items=_moved(value.items, move))
        case StepOutput():
            return dataclasses.replace(value, step=move(value.step))
        case LoopItem():
            return LoopItem(move(value.loop))
        case Field():
            return dataclasses.replace(value, source=_moved(value.source, move))
        case Collected():
            return Collected(move(value.loop), _moved(value.item, move))
        case OneOf():
            return OneOf(tuple(_moved(option, move) for option in value.options))
        case FinalStatus():
            return FinalStatus(move(value.path))
        case dict():
            return {key: _moved(item, move) for key, item in value.items()}
        case list():
            return [_moved(item, move) for item in value]
    return value
