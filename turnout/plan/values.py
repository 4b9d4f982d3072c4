"""The values of a plan's sources while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import StepError
from turnout.plan.conditions import holds
from turnout.plan.item_labels import item_labels
from turnout.plan.model import (
    Collected,
    Condition,
    Constant,
    Field,
    FinalStatus,
    LoopItem,
    OneOf,
    PipelineParameter,
    Plan,
    Region,
    Source,
    StepOutput,
)
from turnout.spec.json_schema import whole_numbers
from turnout.spec.placeholders import resolve_template, step_values
from turnout.spec.step_contract import Artifact
from turnout.spec.values import ABSENT

Iteration = tuple[int, ...]
"""One index for each loop around a node, outermost first."""


@dataclass
class Values:
    """What is known in a run so far.

    Attributes:
        parameters: of the run, by name.
        run: values of the run's placeholders.
        outputs: of the steps that succeeded, by path and iteration.
        items: of the loops that began, by path and iteration of the loop itself.
        statuses: PipelineTaskFinalStatus of what ended, by path and iteration.
        artifact_at: the artifact that the run is given, from its name, type and URI.
    """

    plan: Plan
    parameters: Mapping[str, Any]
    run: Mapping[str, str]
    outputs: dict[tuple[str, Iteration], Mapping[str, Any]] = field(default_factory=dict)
    items: dict[tuple[str, Iteration], list[Any]] = field(default_factory=dict)
    statuses: dict[tuple[str, Iteration], Mapping[str, Any]] = field(default_factory=dict)
    artifact_at: Callable[[str, str, str], Any] = Artifact

    def __post_init__(self) -> None:
        self._depths: dict[str, int] = {}
        self._loops = [region.path for region in self.plan.root.regions() if region.loop]
        self._labels: dict[tuple[str, Iteration], list[str]] = {}
        self._measure(self.plan.root, 0)

    def _measure(self, region: Region, depth: int) -> None:
        self._depths[region.path] = depth
        for node in region.nodes:
            if isinstance(node, Region):
                self._measure(node, depth + bool(region.loop))
            else:
                self._depths[node.path] = depth + bool(region.loop)

    def resolve(self, source: Source, iteration: Iteration, step: str = "") -> Any:
        """The value of a source as seen from an iteration; ABSENT when nothing has produced it.

        Args:
            step: path of the step that the value is for, which texts may name.

        Raises:
            StepError: a struct does not have the field that the pipeline reads.
        """
        match source:
            case Constant(value):
                return whole_numbers(value)
            case PipelineParameter(name):
                return self._given(name)
            case StepOutput(step, output):
                return self.outputs.get((step, iteration[: self._depths[step]]), {}).get(output, ABSENT)
            case LoopItem(loop):
                depth = self._depths[loop]
                return self.items[loop, iteration[:depth]][iteration[depth]]
            case Field(inner, keys):
                return _field(self.resolve(inner, iteration), keys)
            case Collected(loop, item):
                outer = iteration[: self._depths[loop]]
                count = len(self.items.get((loop, outer), ()))
                values = (self.resolve(item, (*outer, index)) for index in range(count))
                return [value for value in values if value is not ABSENT]
            case OneOf(options):
                found = (self.resolve(option, iteration) for option in options)
                return next((value for value in found if value is not ABSENT), ABSENT)
            case FinalStatus(path):
                return self.statuses[path, iteration[: self._depths[path]]]
            case _:
                inputs = self.resolve_all(source.inputs, iteration)
                facts = {**self.run, **step_values(step, iteration, self.run)} if step else self.run
                return resolve_template(source.text, inputs, facts)

    def _given(self, name: str) -> Any:
        """The value of a parameter of the run; an artifact, or a list of them, for one that names those."""
        value, kind = self.parameters[name], self.plan.parameters[name].artifact
        if not kind:
            return value
        if isinstance(value, list):
            return [self._artifact(name, kind, item) for item in value]
        return ABSENT if value is None else self._artifact(name, kind, value)

    def _artifact(self, name: str, kind: str, given: Any) -> Any:
        """The artifact at a URI; one that another pipeline has made is given as it is."""
        return given if isinstance(given, Mapping) else self.artifact_at(name, kind, given)

    def resolve_all(self, sources: Mapping[str, Source], iteration: Iteration, step: str = "") -> dict[str, Any]:
        """The values of several sources, without those that nothing has produced."""
        values = {name: self.resolve(source, iteration, step) for name, source in sources.items()}
        return {name: value for name, value in values.items() if value is not ABSENT}

    def item_labels(self, path: str, iteration: Iteration) -> tuple[str, ...]:
        """What the items are called that a node works on in an iteration: one label for each loop around it."""
        loops = self._around(path, iteration)
        return tuple(self._labels_of(loop, iteration[:depth])[iteration[depth]] for depth, loop in enumerate(loops))

    def iterations(self, path: str, iteration: Iteration) -> int:
        """How many iterations the innermost loop around a node has, of which one is given; 0 outside of loops."""
        loops = self._around(path, iteration)
        return len(self.items[loops[-1], iteration[: len(loops) - 1]]) if loops else 0

    def _around(self, path: str, iteration: Iteration) -> list[str]:
        """The loops around a node, as many as have an iteration, outermost first."""
        return [loop for loop in self._loops if f"{path}.".startswith(f"{loop}.")][: len(iteration)]

    def _labels_of(self, loop: str, outer: Iteration) -> list[str]:
        key = (loop, outer)
        if key not in self._labels:
            self._labels[key] = item_labels(self.items[key])
        return self._labels[key]

    def settings(self, value: Any, iteration: Iteration) -> Any:
        """A step's settings with the sources in them resolved."""
        if isinstance(value, list):
            return [self.settings(item, iteration) for item in value]
        if isinstance(value, dict):
            return {key: self.settings(item, iteration) for key, item in value.items()}
        if isinstance(value, Source):
            return self.resolve(value, iteration)
        return value

    def holds(self, condition: Condition, iteration: Iteration) -> bool:
        """Whether a condition is true.

        Raises:
            StepError: the expression cannot be evaluated with these values.
        """
        return holds(condition, self.resolve_all(condition.inputs, iteration))


def _field(value: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        if isinstance(value, str):
            value = parsed(value)
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            if value is ABSENT:
                return ABSENT
            available = map(str, value) if isinstance(value, dict) else ()
            raise StepError(f"no field {key!r} in {_short(value)}", available=available) from error
    return value


def parsed(text: str) -> Any:
    """A text as the JSON that it holds, or as it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _short(value: Any) -> str:
    text = value.uri if isinstance(value, Artifact) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
