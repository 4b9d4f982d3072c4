"""The plan: a linked pipeline. Every input of every step knows where its value comes from.

    Plan
    └── root: Region                    regions keep the nesting of KFP's dags
        ├── Step                        one container execution
        └── Region (kind, condition)    a nested pipeline, or the body of an If
            └── ...

A path is the names from the root, joined by dots, such as `condition-1.register`; it is unique in a
plan, the same on every track, and Airflow's task id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.document import Document
from turnout.spec.pipeline_spec import ComponentSpec, RetryPolicy

# --- where a value comes from -------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """A value written in the pipeline."""

    value: Any


@dataclass(frozen=True)
class PipelineParameter:
    """A parameter of the run."""

    name: str


@dataclass(frozen=True)
class StepOutput:
    """An output of another step, a parameter or an artifact."""

    step: str
    output: str


@dataclass(frozen=True)
class Template:
    """Text written in the pipeline with KFP placeholders in it; `inputs` holds what they refer to."""

    text: str
    inputs: Mapping[str, Source] = field(default_factory=dict)


Source = Constant | PipelineParameter | StepOutput | Template


# --- the graph ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """A CEL expression over named values; it reads them as plain variables, by these names."""

    expression: str
    inputs: Mapping[str, Source]


@dataclass(frozen=True)
class Step:
    """One execution of a component's container.

    Attributes:
        inputs: sources of the component's inputs, parameters and artifacts alike. An optional input
            that is not given is absent.
        after: paths of steps and regions that must have succeeded before, beside those in `inputs`.
    """

    path: str
    component: ComponentSpec
    container: PipelineContainerSpec
    executor_label: str
    inputs: Mapping[str, Source]
    after: tuple[str, ...] = ()
    retry: RetryPolicy | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Region:
    """Steps and regions that belong together: the whole pipeline, a nested one, or a condition's body."""

    path: str
    kind: Literal["pipeline", "condition"]
    nodes: tuple[Step | Region, ...]
    after: tuple[str, ...] = ()
    condition: Condition | None = None

    def steps(self) -> Iterator[Step]:
        """All steps inside, in the order of the plan."""
        for node in self.nodes:
            if isinstance(node, Step):
                yield node
            else:
                yield from node.steps()


@dataclass(frozen=True)
class Parameter:
    """A parameter of a run.

    Attributes:
        schema: JSON Schema of the values it takes; its `default`, when it has one, is `default`.
        required: whether every run must give it.
    """

    name: str
    schema: Mapping[str, Any]
    required: bool
    default: Any = None
    description: str = ""


@dataclass(frozen=True)
class Plan:
    name: str
    description: str
    parameters: Mapping[str, Parameter]
    root: Region
    outputs: Mapping[str, Source]
    document: Document

    def steps(self) -> list[Step]:
        """All steps, each after those that it needs."""
        return list(self.root.steps())


def references(source: Source) -> Iterator[Source]:
    """A source and, for a template, what its placeholders refer to."""
    yield source
    if isinstance(source, Template):
        for inner in source.inputs.values():
            yield from references(inner)


def producers(sources: Mapping[str, Source]) -> list[str]:
    """The paths of the steps whose outputs are among the sources, each once, in a stable order."""
    found = (item for source in sources.values() for item in references(source))
    return list(dict.fromkeys(item.step for item in found if isinstance(item, StepOutput)))
