"""The conditions of a run: what they asked, of which values, and what they let start."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import StepError
from turnout.plan.conditions import TEXT
from turnout.plan.model import Condition, Field, LoopItem, PipelineParameter, Region, Source, StepOutput
from turnout.plan.progress import Execution, Progress
from turnout.reports.page import Mark, Section
from turnout.reports.run.shown import ShownRun
from turnout.reports.run.values import short
from turnout.reports.run.verdicts import named
from turnout.spec.step_contract import State

_MOST = 50
_WORD = re.compile(rf"{TEXT}|[A-Za-z_]\w*")


@dataclass(frozen=True)
class _Gate:
    name: str
    asked: str
    values: str
    answer: Mark


def gates_section(run: ShownRun) -> Section:
    """Each condition with its values, and whether it let its steps start."""
    found: dict[str, list[_Gate]] = {}
    titles: dict[str, str] = {}
    steps: dict[str, list[str]] = {}
    for execution in _gates(run.progress) if run.progress else ():
        region = execution.node
        assert isinstance(region, Region)
        assert isinstance(run.progress, Progress)
        found.setdefault(region.path, []).append(_gate(execution, region, run.progress))
        titles[region.path] = region.label
        steps[region.path] = [step.label for step in region.steps()]
    rows: list[tuple[Any, ...]] = []
    for path, gates in found.items():
        asked = gates[0].asked
        if len(gates) == 1:
            values, answer = gates[0].values, gates[0].answer
        else:
            passed = sum(gate.answer.tone == "good" for gate in gates)
            values, answer = (
                "",
                Mark(f"passed in {passed:,} of {len(gates):,} iterations", "good" if passed else "quiet"),
            )
        rows.append((titles[path], answer, asked, values, named(steps[path])))
    text = f"{_MOST} of {len(rows)} conditions are shown." if len(rows) > _MOST else ""
    columns = ["gate", "result", "condition", "values", "decides on"]
    return Section("Gates", text, columns, rows[:_MOST], stacked=True).without_empty()


def _gates(progress: Progress) -> Iterator[Execution]:
    for execution in progress.executions():
        body = execution.parent is not None and execution.parent.node is execution.node  # an iteration of a loop
        if isinstance(execution.node, Region) and execution.node.condition and not body:
            yield execution


def _gate(execution: Execution, region: Region, progress: Progress) -> _Gate:
    condition = region.condition
    assert condition is not None
    names = {name: _source(source) or name for name, source in condition.inputs.items()}
    if execution.state in (State.PENDING, State.NOT_TRIGGERED):
        why = "an earlier step failed" if execution.state is State.NOT_TRIGGERED else "not yet"
        return _Gate(region.path, _written(condition, names), "", Mark(f"not asked: {why}", "open"))
    try:
        values: Mapping[str, Any] = progress.values.resolve_all(condition.inputs, execution.iteration)
    except (StepError, LookupError, TypeError):
        values = {}
    told = ", ".join(f"{names[name]} = {short(value, 80)}" for name, value in values.items())
    if execution.state is State.SKIPPED:
        # Skipped by what came before, it was not asked, and has no values.
        asked = all(before.state is not State.SKIPPED for before in execution.befores)
        answer = Mark("not passed" if asked else "not asked: an earlier step was skipped")
    elif execution.state is State.FAILED and execution.error:
        answer = Mark(f"could not be answered: {execution.error}", "bad")
    else:
        answer = Mark("passed", "good")
    return _Gate(region.path, _written(condition, names), told, answer)


def _written(condition: Condition, names: Mapping[str, str]) -> str:
    """The expression with the names that values have in the pipeline."""
    return _WORD.sub(lambda word: names.get(word[0], word[0]), condition.expression)


def _source(source: Source) -> str:
    match source:
        case StepOutput(step, output):
            return step if output == "Output" else f"{step}.{output}"
        case PipelineParameter(name):
            return name
        case LoopItem():
            return "item"
        case Field(inner, keys):
            return ".".join([_source(inner), *map(str, keys)]) if _source(inner) else ""
    return ""
