"""`@pipeline`: a KFP pipeline together with its facts for Airflow; and what it compiles to."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, overload

from turnout.authoring import kfp_sdk
from turnout.authoring.user_errors import defined_at, user_fault
from turnout.errors import DefinitionError, Fault, TurnoutError, did_you_mean
from turnout.spec.airflow_facts import (
    AirflowFacts,
    Asset,
    Assets,
    Deadline,
    Notifier,
    Schedule,
    StepFacts,
    facts_to_json,
)
from turnout.spec.assets import DECLARED
from turnout.spec.command import OUTSIDE, UNCACHED
from turnout.spec.deployment_spec import PipelineDeploymentConfig
from turnout.spec.document import Document, from_dict
from turnout.spec.pipeline_spec import CachingOptions, ComponentSpec, PipelineSpec
from turnout.spec.platform_spec import PlatformDeploymentConfig, PlatformSpec, SinglePlatformSpec
from turnout.spec.signature import SIGNATURES, Signature, read_signature

if TYPE_CHECKING:
    from kfp.dsl.graph_component import GraphComponent

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Facets that KFP's parameter definitions hold themselves (`literals` and the type), or that stand
# for both; everything else is a fact for the tracks that check values.
_IN_THE_SPEC = {"type", "enum", "items"}


@dataclass(frozen=True)
class Facts:
    """What a pipeline has beside its KFP spec."""

    signature: Signature
    airflow: dict[str, Any]


class AirflowArguments(TypedDict, total=False):
    """Arguments of `@pipeline` that only Airflow uses."""

    schedule: Schedule | None
    triggered_by: Asset | Assets | None
    timezone: str
    start_date: datetime.date | None
    end_date: datetime.date | None
    catchup: bool
    max_active_runs: int | None
    max_active_steps: int | None
    data_interval: tuple[str, str] | None
    timeout: datetime.timedelta | None
    deadline: Deadline | None
    on_failure: Sequence[Notifier]
    on_success: Sequence[Notifier]
    tags: Sequence[str]
    sections: Mapping[str, Sequence[str]]
    steps: StepFacts


@overload
def pipeline(function: _Function) -> GraphComponent: ...
@overload
def pipeline(
    *,
    name: str | None = None,
    description: str | None = None,
    display_name: str | None = None,
    pipeline_root: str | None = None,
    **airflow: Unpack[AirflowArguments],
) -> Callable[[_Function], GraphComponent]: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    display_name: str | None = None,
    pipeline_root: str | None = None,
    **airflow: Unpack[AirflowArguments],
) -> Any:
    """Make a KFP pipeline from a function that calls components.

    Its parameters become both KFP inputs and the trigger form of Airflow: `Literal` a drop-down,
    `annotated_types` bounds a checked number, `datetime.date` a date picker, the docstring their help.

    Args:
        function: the pipeline function; every parameter has a type and a line in the docstring.
        name: the pipeline's name; the function's, with hyphens, when None.
        description: what it does; the docstring's text when None.
        display_name: a name for people.
        pipeline_root: default URI under which KFP stores artifacts.
        airflow: facts that only Airflow uses, by the names of the attributes of `AirflowFacts`:
            `schedule`, `timezone`, `catchup`, `data_interval`, `triggered_by`, `tags`, `on_failure`, ...

    Raises:
        DefinitionError: the function cannot be a pipeline, with every reason.
    """
    if function is None:
        return functools.partial(
            pipeline,
            name=name,
            description=description,
            display_name=display_name,
            pipeline_root=pipeline_root,
            **airflow,
        )
    if os.environ.get("_KFP_RUNTIME") == "true":
        return function  # as `turnout.authoring.running`, for who imports this module itself
    from kfp import dsl

    kfp_sdk.mend()
    where = f"{function.__module__}.{function.__qualname__}"
    signature = read_signature(function, dates=True)
    name = name or function.__name__.replace("_", "-")
    decorate = dsl.pipeline(name=name, description=description, display_name=display_name, pipeline_root=pipeline_root)
    try:
        graph = decorate(signature.plain_function())
    except TurnoutError:
        raise
    except Exception as error:
        raise DefinitionError([user_fault(error, defined_at(function))]) from error
    checks = {
        parameter: facets
        for parameter, item in signature.parameters.items()
        if (facets := _facts_beside_the_spec(item.schema or {}))
    }
    facts = {
        **facts_to_json(_airflow_facts(airflow, signature, where)),
        "parameters": checks,
        "parameter_order": _in_sections(signature, airflow.get("sections", {})),
    }
    graph.turnout = Facts(signature, {key: value for key, value in facts.items() if value not in ([], {})})
    return graph


def _in_sections(signature: Signature, sections: Mapping[str, Sequence[str]]) -> list[str]:
    """The parameters in the order of the form: those without a section first, then section by section."""
    placed = list(dict.fromkeys(name for names in sections.values() for name in names if name in signature.parameters))
    return [*(name for name in signature.parameters if name not in placed), *placed]


def _airflow_facts(arguments: Mapping[str, Any], signature: Signature, where: str) -> AirflowFacts:
    names = tuple(AirflowArguments.__annotations__)
    faults = [
        Fault(f"no argument '{name}'", where, names, did_you_mean(name, names))
        for name in arguments
        if name not in names
    ]
    if faults:
        raise DefinitionError(faults)
    lists = {name: tuple(arguments[name]) for name in ("on_failure", "on_success") if name in arguments}
    tags = {"tags": tuple(sorted(arguments["tags"]))} if "tags" in arguments else {}
    sections = {title: tuple(names) for title, names in arguments.get("sections", {}).items()}
    facts = AirflowFacts(**{**arguments, **lists, **tags, "sections": sections})
    faults.extend(facts.faults(where))
    for name in [name for names in sections.values() for name in names if name not in signature.parameters]:
        hint = did_you_mean(name, signature.parameters)
        faults.append(Fault(f"no parameter '{name}' for a section", where, tuple(signature.parameters), hint))
    for name in facts.data_interval or ():
        schema = signature.parameters[name].schema if name in signature.parameters else None
        if schema is None or schema.get("format") != "date-time":
            hint = "declare it as `datetime.datetime | None = None`"
            faults.append(Fault(f"no date-time parameter '{name}' for the data interval", where, (), hint))
    if faults:
        raise DefinitionError(faults)
    return facts


def compile_pipeline(graph: GraphComponent) -> Document:
    """The document of a pipeline, made by `@pipeline` or by `kfp.dsl.pipeline`.

    KFP's compiler makes the spec; added are the `literals` of `Literal` parameters, which KFP's SDK
    does not write, and the pipeline's facts under `platforms.airflow`.
    """
    from google.protobuf import json_format

    # Protobuf's maps have no order; text that is sorted makes the same document in every process.
    pipeline_spec, platform_spec = (
        json.loads(json_format.MessageToJson(message, sort_keys=True))
        for message in (graph.pipeline_spec, graph.platform_spec)
    )
    document = from_dict(pipeline_spec, platform_spec, where=graph.name)
    facts: Facts | None = getattr(graph, "turnout", None)
    spec = document.pipeline
    assert spec.root is not None
    assert spec.deployment_spec is not None
    spec = dataclasses.replace(
        spec,
        root=_with_literals(spec.root, facts.signature) if facts else spec.root,
        components={
            label: _with_literals(item, _signature_of(item, spec.deployment_spec))
            for label, item in spec.components.items()
        },
    )
    spec = _without_caches(spec)
    docs = _said_by_components(spec)
    platform = document.platform
    if docs or (facts and facts.airflow):
        # KFP's server takes a second document only if it has the key `kubernetes`.
        kept = platform.platforms if platform else {}
        kubernetes = kept.get("kubernetes", SinglePlatformSpec())
        airflow = kept.get("airflow", SinglePlatformSpec())
        executors = airflow.deployment_spec.executors if airflow.deployment_spec else {}
        steps = {label: docs.get(label, {}) | executors.get(label, {}) for label in sorted({*docs, *executors})}
        deployment = PlatformDeploymentConfig(executors=steps) if steps else None
        config = facts.airflow if facts else None
        airflow = dataclasses.replace(airflow, config=config or None, deployment_spec=deployment)
        platform = PlatformSpec(platforms={**kept, "kubernetes": kubernetes, "airflow": airflow})
    return Document(pipeline=spec, platform=platform)


def _said_by_components(spec: PipelineSpec) -> dict[str, dict[str, Any]]:
    """The summaries of the components' docstrings, and their assets, by executor label; KFP's spec has no fields."""
    assert spec.deployment_spec is not None
    found = {}
    for component in spec.components.values():
        signature = _signature_of(component, spec.deployment_spec)
        doc = {"doc": signature.summary} if signature and signature.summary else {}
        assets = facts_to_json(DECLARED.get(_target_of(component, spec.deployment_spec), StepFacts()))
        if doc or assets:
            found[component.executor_label or ""] = doc | assets
    return found


def _without_caches(spec: PipelineSpec) -> PipelineSpec:
    """KFP's server must not reuse results of components that look at, or change, more than what passes through them."""
    executors = spec.deployment_spec.executors if spec.deployment_spec else {}
    always = {OUTSIDE, UNCACHED}
    labels = {label for label, item in executors.items() if item.container and always & {*item.container.args}}
    names = {name for name, item in spec.components.items() if item.executor_label in labels}

    def changed(component: ComponentSpec) -> ComponentSpec:
        if component.dag is None:
            return component
        tasks = {
            name: dataclasses.replace(task, caching_options=CachingOptions())
            if task.component_ref and task.component_ref.name in names
            else task
            for name, task in component.dag.tasks.items()
        }
        return dataclasses.replace(component, dag=dataclasses.replace(component.dag, tasks=tasks))

    assert spec.root is not None
    components = {name: changed(item) for name, item in spec.components.items()}
    return dataclasses.replace(spec, root=changed(spec.root), components=components)


def is_pipeline(value: object) -> bool:
    """Whether a module's attribute is a pipeline (and not a component or an instance of something else)."""
    from kfp.dsl.graph_component import GraphComponent

    return isinstance(value, GraphComponent) and not inspect.isclass(value)


def _facts_beside_the_spec(schema: dict[str, Any]) -> dict[str, Any]:
    facets = {key: value for key, value in schema.items() if key not in _IN_THE_SPEC}
    if schema.get("items", {}):
        facets["items"] = schema["items"]
    return facets


def _signature_of(component: ComponentSpec, deployment: PipelineDeploymentConfig) -> Signature | None:
    return SIGNATURES.get(_target_of(component, deployment))


def _target_of(component: ComponentSpec, deployment: PipelineDeploymentConfig) -> str:
    """`MODULE:FUNCTION` of a `@component`; empty for another."""
    executor = deployment.executors.get(component.executor_label or "")
    command = executor.container.command if executor and executor.container else []
    return command[2] if command[:2] == ["turnout", "exec"] else ""


def _with_literals(component: ComponentSpec, signature: Signature | None) -> ComponentSpec:
    inputs = component.input_definitions
    if signature is None or inputs is None:
        return component
    parameters = {
        name: dataclasses.replace(item, literals=[choice for choice in schema["enum"] if choice is not None])
        if (schema := signature.parameters[name].schema if name in signature.parameters else None) and "enum" in schema
        else item
        for name, item in inputs.parameters.items()
    }
    return dataclasses.replace(component, input_definitions=dataclasses.replace(inputs, parameters=parameters))
