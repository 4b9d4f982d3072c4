"""What a step's inputs descend from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from turnout.plan.model import (
    Collected,
    Constant,
    Field,
    LoopItem,
    OneOf,
    PipelineParameter,
    Plan,
    Region,
    Source,
    Step,
    StepOutput,
    Template,
)
from turnout.spec.pipeline_spec import ComponentInputsSpec
from turnout.spec.placeholders import resolve_template


def ancestors(plan: Plan, path: str, *, conditions: bool = False) -> list[Step]:
    """The steps whose outputs went into what a step is given, in the plan's order.

    Args:
        conditions: also those that its start depended on, and theirs.
    """
    steps = {step.path: step for step in plan.steps()}
    regions = {region.path: region for region in plan.root.regions() if region.path}
    found: set[str] = set()
    left = [path]
    while left:
        step = steps[left.pop()]
        sources = [*step.inputs.values()]
        if conditions:
            around = (region for name, region in regions.items() if step.path.startswith(f"{name}."))
            sources += [source for region in around if region.condition for source in region.condition.inputs.values()]
        new = {name for name in _producers(sources, regions) if name in steps} - found
        found |= new
        left += new
    return [step for name, step in steps.items() if name in found - {path}]


def _producers(sources: Iterable[Source], regions: dict[str, Region]) -> Iterator[str]:
    for source in sources:
        match source:
            case StepOutput(step):
                yield step
            case Field(inner):
                yield from _producers([inner], regions)
            case Template(_, inputs):
                yield from _producers(inputs.values(), regions)
            case Collected(_, item):
                yield from _producers([item], regions)
            case OneOf(options):
                yield from _producers(options, regions)
            case LoopItem(loop) if found := regions[loop].loop:
                yield from _producers([found.items], regions)


def known_inputs(plan: Plan, step: Step) -> dict[str, Any]:
    """The parameters of a step in a run by the pipeline's defaults; None for what only the run knows."""
    declared = (step.component.input_definitions or ComponentInputsSpec()).parameters
    return {
        name: _known(plan, step.inputs[name]) if name in step.inputs else item.default_value
        for name, item in declared.items()
    }


def _known(plan: Plan, source: Source) -> Any:
    match source:
        case Constant(value):
            return value
        case PipelineParameter(name):
            return plan.parameters[name].default
        case Template(text, inputs):
            values = {name: _known(plan, item) for name, item in inputs.items()}
            found = None if None in values.values() else resolve_template(text, values, {})
            return None if "{{$" in str(found) else found  # facts of the run
    return None
