"""What each step waits for: all that a runner of plans needs to know of nesting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from turnout.plan.model import Condition, Constant, PipelineParameter, Plan, Region, Source, Step, StepOutput, producers


@dataclass(frozen=True)
class Needs:
    """What must have ended before a step, and the conditions, outermost first, that must then hold."""

    steps: frozenset[str]
    conditions: tuple[Condition, ...]


def needs(plan: Plan) -> dict[str, Needs]:
    """For each step by path: what it waits for, in itself or through the regions around it."""
    inside = {region.path: [step.path for step in region.steps()] for region in _regions(plan.root)}
    found: dict[str, Needs] = {}

    def expand(after: tuple[str, ...]) -> set[str]:
        return {step for path in after for step in inside.get(path, [path])}

    def walk(region: Region, steps: frozenset[str], conditions: tuple[Condition, ...]) -> None:
        steps |= expand(region.after)
        if region.condition:
            steps |= set(producers(region.condition.inputs))
            conditions = (*conditions, region.condition)
        for node in region.nodes:
            if isinstance(node, Step):
                found[node.path] = Needs(steps | expand(node.after) | set(producers(node.inputs)), conditions)
            else:
                walk(node, steps, conditions)

    walk(plan.root, frozenset(), ())
    return found


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether a condition is true, given the values of its inputs.

    Raises:
        ValueError, RuntimeError: CEL cannot read or evaluate the expression.
    """
    import cel

    return bool(cel.evaluate(condition.expression, dict(values)))


def resolve(
    source: Source, parameters: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]], run: Mapping[str, str]
) -> Any:
    """The value of a source.

    Args:
        parameters: of the run.
        outputs: of the steps that ended, by path and name.
        run: values of the run's placeholders, for texts that hold some.
    """
    from turnout.runtime.placeholders import resolve_text
    from turnout.spec.json_schema import whole_numbers

    match source:
        case Constant(value):
            return whole_numbers(value)
        case PipelineParameter(name):
            return parameters[name]
        case StepOutput(step, output):
            return outputs[step][output]
        case _:
            inputs = {name: resolve(inner, parameters, outputs, run) for name, inner in source.inputs.items()}
            return resolve_text(source.text, inputs, run)


def _regions(region: Region) -> Iterator[Region]:
    yield region
    for node in region.nodes:
        if isinstance(node, Region):
            yield from _regions(node)
