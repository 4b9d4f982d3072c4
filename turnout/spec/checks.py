"""What a document says that can never run, though each field is one that the spec has.

These faults are found before the document is walked as a pipeline: what contains itself has no end, and 25 nested
pipelines that each call the next one twice have 33 million steps. Places are the file's own words.
"""

from __future__ import annotations

import graphlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from turnout.errors import Fault, did_you_mean
from turnout.spec.command import CREATE_PVC, DELETE_PVC
from turnout.spec.deployment_spec import ExecutorSpec
from turnout.spec.document import Document, to_dict
from turnout.spec.form import not_with_faults
from turnout.spec.json_schema import JSON_TYPES, convert, value_faults
from turnout.spec.json_values import TOO_LARGE, beyond_doubles, leaves
from turnout.spec.pipeline_spec import ComponentInputsSpec, ComponentSpec, PipelineTaskSpec, RetryPolicy, TaskInputsSpec
from turnout.spec.values import ABSENT, ParameterType

SCHEMA_VERSION = "2.1.0"
"""The version of the spec that KFP's SDK writes since 2.0."""

MOST_STEPS = 100_000
"""Steps that a pipeline may have, counted once for each place that they stand at."""

DEEPEST = 100
"""Levels of groups and nested pipelines that a pipeline may have."""

CHANNEL = "pipelinechannel--"
"""How KFP's compiler begins the names that it makes; a step is given some that it does not declare, for its texts."""

_DURATION = re.compile(r"\d{1,12}(\.\d{1,9})?s")
_PLACEHOLDER = "{{$"
_LEFT = re.compile(r"\{\{channel:task=(?P<task>[^;{}]*);name=(?P<name>[^;{}]*);[^{}]*\}\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def document_faults(document: Document) -> Iterator[Fault]:
    """What keeps a document from being a pipeline, each with its place."""
    parts = (_head, _names, _values, _executors, _parameter_facts)
    found = list(itertools.chain.from_iterable(part(document) for part in parts))
    for place, component in _components(document).items():
        found.extend(_component(place, component, document))
    found.extend(_nesting({"": document.pipeline.root or ComponentSpec()} | document.pipeline.components))
    for fault in dict.fromkeys(found):
        yield Fault(fault.what, f"{document.name}.{fault.where}".strip("."), fault.available, fault.hint)


def _components(document: Document) -> dict[str, ComponentSpec]:
    """The root and the components, by their places."""
    components = {f"components.{name}": component for name, component in document.pipeline.components.items()}
    return {"root": document.pipeline.root or ComponentSpec(), **components}


def _head(document: Document) -> Iterator[Fault]:
    spec = document.pipeline
    if not document.name.strip():
        yield Fault("the pipeline has no name", "pipelineInfo.name", hint="every pipeline has one")
    version, sdk = spec.schema_version, spec.sdk_version
    if version and version != SCHEMA_VERSION:
        older = _version(version) < _version(SCHEMA_VERSION)
        what = f"a pipeline of schema {version}{f' ({sdk})' if sdk else ''}; Turnout reads {SCHEMA_VERSION}"
        yield Fault(what, "schemaVersion", hint="compile it with kfp>=2" if older else "a newer Turnout may read it")
    elif not version:
        yield Fault("the schema's version is missing", "schemaVersion", hint=f"KFP's SDK writes {SCHEMA_VERSION}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text))


def _names(document: Document) -> Iterator[Fault]:
    """Names that are empty, or that have line ends and the like in them."""
    spec = document.pipeline
    groups: list[tuple[str, Iterable[str]]] = [("components", spec.components)]
    groups.append(("deploymentSpec.executors", spec.deployment_spec.executors if spec.deployment_spec else ()))
    for place, component in _components(document).items():
        if component.dag:
            groups.append((f"{place}.dag.tasks", component.dag.tasks))
        for kind, declared in (("inputDefinitions", component.input_definitions),
                               ("outputDefinitions", component.output_definitions)):  # fmt: skip
            if declared:
                groups.append((f"{place}.{kind}.parameters", declared.parameters))
                groups.append((f"{place}.{kind}.artifacts", declared.artifacts))
    for place, names in groups:
        for name in names:
            if not name.strip():
                yield Fault("an empty name", place)
            elif _CONTROL.search(name):
                yield Fault(f"the name {name!r} has a character in it that nobody can type", place)


def _values(document: Document) -> Iterator[Fault]:
    """Values that KFP would change without a word, or that its SDK has left as placeholders where it cannot put them.

    The second are environment variables, and items that are written down in a `dsl.ParallelFor` (kfp 2.17): steps would
    see the text.
    """
    said = to_dict(document.pipeline)
    yield from _large(said)
    for place, value in leaves(said):
        for match in _LEFT.finditer(value) if isinstance(value, str) else ():
            task, name = match["task"], match["name"]
            what = f"the output '{name}' of '{task}'" if task else f"the parameter '{name}'"
            hint = "give it to the step as an argument, and use it there"
            yield Fault(f"{what} cannot be a part of this text", place, hint=hint)


def _large(value: Any, where: str = "") -> Iterator[Fault]:
    for place, number in beyond_doubles(value):
        yield Fault(f"KFP cannot keep the number {number}", f"{where}{place}", hint=TOO_LARGE)


def _executors(document: Document) -> Iterator[Fault]:
    deployment = document.pipeline.deployment_spec
    known = deployment.executors if deployment else {}
    for label, executor in known.items():
        place = f"deploymentSpec.executors.{label}"
        yield from _one_kind(executor, place)
        container = executor.container
        stands_for = container is not None and container.image in (CREATE_PVC, DELETE_PVC)
        if container is not None and not (container.command or container.args or stands_for):
            hint = "KFP starts a command, not the image's entry point: write it down"
            yield Fault("a container without a command", f"{place}.container.command", hint=hint)
        if container is not None and not container.image.strip():
            yield Fault("a container without an image", f"{place}.container.image")
    for platform, single in document.platform.platforms.items() if document.platform else ():
        for label in single.deployment_spec.executors if single.deployment_spec else ():
            if label not in known:
                place = f"platforms.{platform}.deploymentSpec.executors"
                yield Fault(f"settings for an executor '{label}', which does not exist", place, tuple(known),
                            did_you_mean(label, known))  # fmt: skip


def _parameter_facts(document: Document) -> Iterator[Fault]:
    """What the platform document says of the pipeline's parameters beside their types: bounds, formats, their order."""
    config = document.platform_config("airflow")
    place = "platforms.airflow.config"
    order, checks = config.get("parameter_order", []), config.get("parameters", {})
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        yield Fault("the order of the parameters is no list of names", f"{place}.parameter_order")
    if not isinstance(checks, dict) or not all(isinstance(facets, dict) for facets in checks.values()):
        yield Fault("the parameters' checks are no mapping of mappings", f"{place}.parameters")
        return
    root = document.pipeline.root
    declared = ((root.input_definitions if root else None) or ComponentInputsSpec()).parameters
    for name, facets in checks.items():
        for key, value in facets.items():
            if key not in FACETS:
                yield Fault(f"no check '{key}'", f"{place}.parameters.{name}", tuple(FACETS), did_you_mean(key, FACETS))
            elif not isinstance(value, FACETS[key]) or isinstance(value, bool):
                yield Fault(f"{value!r} is no value of '{key}'", f"{place}.parameters.{name}")
        yield from not_with_faults(facets, declared, f"{place}.parameters.{name}")


FACETS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), (int, float)),
    "format": (str,),
    "items": (dict,),
    "title": (str,),
    "examples": (list,),
    "values_display": (dict,),
    "not_with": (dict,),
}
"""What `@pipeline` says of parameters beside KFP's types, in JSON Schema's words. Protobuf has no integers here."""


def _one_kind(executor: ExecutorSpec, place: str) -> Iterator[Fault]:
    kinds = ("container", "importer", "resolver", "custom_job")
    present = [kind for kind in kinds if getattr(executor, kind) is not None]
    if len(present) > 1:
        yield Fault(f"an executor that is a {' and a '.join(present)}", place, hint="it can be one")


def _component(place: str, component: ComponentSpec, document: Document) -> Iterator[Fault]:
    if component.dag is not None and component.executor_label is not None:
        yield Fault("a component that is a container and a group of steps", place, hint="it can be one")
    declared = component.input_definitions or ComponentInputsSpec()
    for name, parameter in declared.parameters.items():
        where = f"{place}.inputDefinitions.parameters.{name}.defaultValue"
        if parameter.default_value is not ABSENT:
            yield from _typed(parameter.default_value, parameter.parameter_type, where, parameter.is_optional)
    if component.dag is None:
        return
    if not component.dag.tasks:
        yield Fault("no steps", f"{place}.dag.tasks", hint="a pipeline has at least one")
    for name, task in component.dag.tasks.items():
        reference = task.component_ref.name if task.component_ref else ""
        yield from _task(f"{place}.dag.tasks.{name}", task, reference, document)


def _task(place: str, task: PipelineTaskSpec, reference: str, document: Document) -> Iterator[Fault]:
    if task.retry_policy:
        yield from _retries(f"{place}.retryPolicy", task.retry_policy)
    if task.iterator_policy and task.iterator_policy.parallelism_limit < 0:
        yield Fault("a negative number of iterations at once", f"{place}.iteratorPolicy.parallelismLimit")
    called = document.pipeline.components.get(reference)
    if called is None:
        return  # `link` tells it
    declared = called.input_definitions or ComponentInputsSpec()
    given = task.inputs
    for kind, names, known in (
        ("parameters", given.parameters if given else {}, declared.parameters),
        ("artifacts", given.artifacts if given else {}, declared.artifacts),
    ):
        for name in names:
            if name not in known and not name.startswith(CHANNEL) and not _is_setting(given, name):
                yield Fault(f"'{reference}' has no input '{name}'", f"{place}.inputs.{kind}", tuple(known),
                            did_you_mean(name, known))  # fmt: skip
    for name, item in given.parameters.items() if given else ():
        if name in declared.parameters and item.runtime_value is not None and item.runtime_value.known is not ABSENT:
            where = f"{place}.inputs.parameters.{name}.runtimeValue.constant"
            parameter = declared.parameters[name]
            yield from _typed(item.runtime_value.known, parameter.parameter_type, where, parameter.is_optional)
    yield from _items(place, task, declared)


def _is_setting(given: TaskInputsSpec | None, name: str) -> bool:
    """Whether an input is an image or a limit that is a parameter, such as `base_image`: no component has it."""
    item = given.parameters.get(name) if given else None
    value = item.runtime_value.known if item and item.runtime_value else None
    return isinstance(value, str) and _PLACEHOLDER in value


def _items(place: str, task: PipelineTaskSpec, declared: ComponentInputsSpec) -> Iterator[Fault]:
    iterator = task.parameter_iterator
    if iterator is None or iterator.items is None or iterator.items.raw is None:
        return
    where = f"{place}.parameterIterator.items.raw"
    try:
        items = json.loads(iterator.items.raw)
    except (ValueError, RecursionError):
        return  # `link` tells it
    if not isinstance(items, list):
        yield Fault("the loop's items are no list", where)
        return
    yield from _large(items, where)
    parameter = declared.parameters.get(iterator.item_input)
    for index, item in enumerate(items):
        if parameter is not None and (faults := list(_typed(item, parameter.parameter_type, f"{where}[{index}]"))):
            yield from faults
            return  # one tells it


def _retries(place: str, policy: RetryPolicy) -> Iterator[Fault]:
    if policy.max_retry_count < 0:
        yield Fault("a negative number of retries", f"{place}.maxRetryCount")
    if policy.backoff_factor < 0:
        yield Fault("a negative factor", f"{place}.backoffFactor")
    for key, duration in (("backoffDuration", policy.backoff_duration),
                          ("backoffMaxDuration", policy.backoff_max_duration)):  # fmt: skip
        if duration is not None and not _DURATION.fullmatch(duration):
            yield Fault(f"'{duration}' is no duration", f"{place}.{key}", hint="write seconds, such as 60s")


def _typed(value: Any, kind: ParameterType, where: str, optional: bool = False) -> Iterator[Fault]:
    """Whether a value that is written down is of its parameter's type; one with placeholders is known when it runs."""
    if kind not in JSON_TYPES or (value is None and optional):
        return
    if any(isinstance(leaf, str) and _PLACEHOLDER in leaf for _, leaf in leaves(value)):
        return
    try:
        converted = convert(value, kind)
    except ValueError as error:
        yield Fault(str(error), where)
    else:
        yield from value_faults(converted, {"type": JSON_TYPES[kind]}, where)


def _nesting(components: dict[str, ComponentSpec]) -> Iterator[Fault]:
    """Components that contain themselves, and pipelines too deep or too large to walk."""
    inside = {
        name: [task.component_ref.name for task in component.dag.tasks.values() if task.component_ref]
        for name, component in components.items()
        if component.dag
    }
    try:
        order = list(graphlib.TopologicalSorter(inside).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        yield Fault(f"a component contains itself: {circle}", "components")
        return
    steps: dict[str, int] = {}
    depths: dict[str, int] = {}
    for name in order:
        called = inside.get(name, [])
        steps[name] = sum(steps[other] for other in called) if name in inside else 1
        depths[name] = 1 + max((depths[other] for other in called), default=0)
    if steps.get("", 0) > MOST_STEPS:
        yield Fault(f"the pipeline has {steps['']:,} steps; at most {MOST_STEPS:,} are allowed", "root")
    if depths.get("", 0) > DEEPEST:
        yield Fault(f"the pipeline has {depths['']:,} levels of groups; at most {DEEPEST} are allowed", "root")
