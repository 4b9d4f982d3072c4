"""The plan: a linked pipeline. Every input of every step knows where its value comes from.

    Plan
    └── root: Region                    regions keep the nesting of KFP's dags
        ├── Step                        one container execution, or one import of an artifact
        └── Region                      a nested pipeline, an exit handler's body, the branches of an If
            └── ...                     with a `condition`: the body of an If; with a `loop`: of a ParallelFor

A path is the names from the root, joined by dots, such as `condition-1.register`; it is unique in a
plan, the same on every track, and Airflow's task id. Inside loops a path stands for many executions,
told apart by their iteration: one index for each loop around them, outermost first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.spec.airflow_facts import AirflowFacts, read_facts
from turnout.spec.deployment_spec import AIPlatformCustomJobSpec, ImporterSpec, PipelineContainerSpec, ResolverSpec
from turnout.spec.document import Document
from turnout.spec.pipeline_spec import CachingOptions, ComponentSpec, RetryPolicy
from turnout.spec.platform_spec import PipelineConfig

_WORDS = re.compile(r""""[^"]*"|'[^']*'|\b[A-Za-z_]\w*""")
"""The texts and the names in an expression."""

# --- where a value comes from -------------------------------------------------------------------------


@dataclass(frozen=True)
class Constant:
    """A value written in the pipeline."""

    value: Any


@dataclass(frozen=True)
class PipelineParameter:
    """A parameter of the run, or an artifact that it is given."""

    name: str


@dataclass(frozen=True)
class StepOutput:
    """An output of another step, a parameter or an artifact; in a loop, of the same iteration."""

    step: str
    output: str


@dataclass(frozen=True)
class Template:
    """Text, or a JSON value with texts in it, that holds KFP placeholders; `inputs` has what they refer to."""

    text: Any
    inputs: Mapping[str, Source] = field(default_factory=dict)


@dataclass(frozen=True)
class LoopItem:
    """The item of a loop around the step, by the loop's path."""

    loop: str


@dataclass(frozen=True)
class Field:
    """A field inside a struct: its keys, outermost first."""

    source: Source
    keys: tuple[str | int, ...]


@dataclass(frozen=True)
class Collected:
    """The list of a source's values in all iterations of a loop, without those that have none."""

    loop: str
    item: Source


@dataclass(frozen=True)
class OneOf:
    """The first of several sources that has a value: an output of whichever branch ran."""

    options: tuple[Source, ...]


@dataclass(frozen=True)
class FinalStatus:
    """How a step or region ended: KFP's PipelineTaskFinalStatus."""

    path: str


Source = Constant | PipelineParameter | StepOutput | Template | LoopItem | Field | Collected | OneOf | FinalStatus


# --- the graph ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """A CEL expression over named values; it reads them as plain variables, by these names."""

    expression: str
    inputs: Mapping[str, Source]

    @property
    def label(self) -> str:
        """The expression for people: `evaluate.promote == true`, where it says `evaluate_promote == true`."""
        names = {name: text for name, source in self.inputs.items() if (text := _named(source))}
        return _WORDS.sub(lambda found: names.get(found[0], found[0]), self.expression)


@dataclass(frozen=True)
class Loop:
    """What a region is repeated over.

    Attributes:
        items: where the list comes from: of parameters, or of artifacts.
        parallelism: how many iterations may be under way at once; 0: no limit.
    """

    items: Source
    parallelism: int = 0


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a region is made of.

    Attributes:
        after: paths of the nodes of the same region that must have ended before this one starts.
        always: start also when one of them failed or was skipped.
        title: its name for people; empty when it has none.
        key: the name of its task in the YAML, which is KFP's name for it; the root has none.
    """

    path: str
    after: tuple[str, ...] = ()
    always: bool = False
    title: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def label(self) -> str:
        """Its title, or else its name."""
        return self.title or self.name


@dataclass(frozen=True, kw_only=True)
class Step(Node):
    """One execution of a component: of its container, or an import of an artifact.

    Attributes:
        inputs: sources of the component's inputs, parameters and artifacts alike. An optional input
            that is not given is absent.
        kubernetes: kfp-kubernetes' settings of the step, with sources where they refer to values.
    """

    component: ComponentSpec
    executor: PipelineContainerSpec | ImporterSpec | ResolverSpec | AIPlatformCustomJobSpec
    executor_label: str
    inputs: Mapping[str, Source]
    retry: RetryPolicy | None = None
    caching: CachingOptions | None = None
    kubernetes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Region(Node):
    """Nodes that belong together. A condition is decided once, before the loop."""

    nodes: tuple[Step | Region, ...]
    condition: Condition | None = None
    loop: Loop | None = None

    @property
    def guarded(self) -> bool:
        """Whether something has to decide if it starts: its condition, or nodes that start whatever has failed."""
        unasked = bool(self.path) and not self.loop and any(node.always for node in self.nodes)
        return unasked or self.always or self.condition is not None

    def steps(self) -> Iterator[Step]:
        """All steps inside, in the order of the plan."""
        for node in self.nodes:
            if isinstance(node, Step):
                yield node
            else:
                yield from node.steps()

    def regions(self) -> Iterator[Region]:
        """This region and all inside, outermost first."""
        yield self
        for node in self.nodes:
            if isinstance(node, Region):
                yield from node.regions()


@dataclass(frozen=True)
class Parameter:
    """A parameter of a run, or an artifact that the run is given by its URI.

    Attributes:
        schema: JSON Schema of the values it takes; its `default`, when it has one, is `default`.
        required: whether every run must give it.
        artifact: the type of the artifact, such as `system.Dataset`; empty for a parameter.
    """

    name: str
    schema: Mapping[str, Any]
    required: bool
    default: Any = None
    description: str = ""
    artifact: str = ""


@dataclass(frozen=True)
class Plan:
    name: str
    description: str
    parameters: Mapping[str, Parameter]
    root: Region
    outputs: Mapping[str, Source]
    document: Document

    @property
    def stem(self) -> str:
        """What files that are compiled from it are called, without their endings."""
        return self.name.replace("-", "_")

    @property
    def config(self) -> PipelineConfig:
        """What the pipeline asks of every platform: a workspace, a time-out."""
        platform = self.document.platform
        single = platform.platforms.get("kubernetes") if platform else None
        return (single.pipeline_config if single else None) or PipelineConfig()

    @property
    def airflow(self) -> AirflowFacts:
        """What the pipeline says to Airflow alone."""
        return read_facts(self.document.platform_config("airflow"), f"{self.name}.airflow")

    def steps(self) -> list[Step]:
        """All steps, each after those that it needs."""
        return list(self.root.steps())

    def title(self, path: str) -> str:
        """The path of a node in its names for people; empty when it has none but those of the path."""
        labels = {node.path: node.label for region in self.root.regions() for node in region.nodes}
        names = path.split(".")
        # What the whole plan is a part of has no label here.
        title = ".".join(labels.get(".".join(names[: end + 1]), name) for end, name in enumerate(names))
        return title if title != path else ""


def _named(source: Source) -> str:
    """What the author calls a value; nothing for one that has no name."""
    match source:
        case PipelineParameter(name):
            return name
        case StepOutput(step, output):
            name = step.rpartition(".")[2]
            return name if output == "Output" else f"{name}.{output}"  # KFP's name for what a function returns
        case Field(inner, keys) if named := _named(inner):
            return ".".join([named, *map(str, keys)])
    return ""


def references(source: Source) -> Iterator[Source]:
    """A source and all the sources that it is made from."""
    yield source
    inner: tuple[Source, ...] = ()
    match source:
        case Template():
            inner = tuple(source.inputs.values())
        case Field():
            inner = (source.source,)
        case Collected():
            inner = (source.item,)
        case OneOf():
            inner = source.options
    for item in inner:
        yield from references(item)


def producers(sources: Mapping[str, Source]) -> list[str]:
    """The paths of the steps whose outputs are among the sources, each once, in a stable order."""
    found = (item for source in sources.values() for item in references(source))
    return list(dict.fromkeys(item.step for item in found if isinstance(item, StepOutput)))


def giving(plan: Plan) -> list[str]:
    """The nodes of the root that outputs of the pipeline come from."""
    paths = producers(plan.outputs)
    return [node.path for node in plan.root.nodes if any(f"{path}.".startswith(f"{node.path}.") for path in paths)]
