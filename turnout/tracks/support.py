"""What a track does with each fact of a pipeline: keeps it, lowers it, or refuses it.

A fact is a field of the spec that says something, or a key of a platform's free-form settings. Every
field stands in every track's table (a test holds the tables against the spec), and what a table does
not know is refused: nothing is dropped in silence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from turnout.errors import Fault
from turnout.spec.airflow_facts import AirflowFacts, StepFacts
from turnout.spec.document import Document

Verdict = Literal["kept", "lowered", "refused"]


@dataclass(frozen=True)
class Support:
    """What becomes of a fact, and (unless it is simply kept) how, or what to do instead."""

    verdict: Verdict
    how: str = ""


@dataclass(frozen=True)
class Fact:
    """A thing that a pipeline says: its kind, such as `RetryPolicy.max_retry_count`, and where."""

    kind: str
    where: str
    value: Any


KEPT = Support("kept")


def lowered(how: str) -> Support:
    """The same outcome by other means."""
    return Support("lowered", how)


def refused(how: str) -> Support:
    """An error that says what to do."""
    return Support("refused", how)


_NOT_YET = refused("not supported by this track yet")

STRUCTURE: dict[str, Support] = {
    # The graph and the interfaces: the plan itself.
    "PipelineSpec.*": KEPT,
    "PipelineInfo.*": KEPT,
    "ComponentSpec.*": KEPT,
    "ComponentInputsSpec.*": KEPT,
    "ComponentOutputsSpec.*": KEPT,
    "InputArtifactSpec.*": KEPT,
    "InputParameterSpec.*": KEPT,
    "OutputArtifactSpec.*": KEPT,
    "OutputParameterSpec.*": KEPT,
    "ArtifactTypeSchema.*": KEPT,
    "DagSpec.*": KEPT,
    "DagOutputsSpec.*": KEPT,
    "DagOutputArtifactSpec.*": KEPT,
    "DagOutputParameterSpec.*": KEPT,
    "ArtifactSelectorSpec.*": KEPT,
    "ParameterSelectorSpec.*": KEPT,
    "ParameterSelectorsSpec.*": KEPT,
    "PipelineTaskSpec.*": KEPT,
    "PipelineTaskInfo.*": KEPT,
    "TaskInputsSpec.*": KEPT,
    "TaskInputArtifactSpec.*": KEPT,
    "TaskInputParameterSpec.*": KEPT,
    "TaskOutputArtifactSpec.*": KEPT,
    "TaskOutputParameterSpec.*": KEPT,
    "TaskFinalStatus.*": KEPT,
    "ComponentRef.*": KEPT,
    "TriggerPolicy.*": KEPT,
    "RetryPolicy.*": KEPT,
    "IteratorPolicy.*": KEPT,
    "ParameterIteratorSpec.*": KEPT,
    "ParameterItemsSpec.*": KEPT,
    "ArtifactIteratorSpec.*": KEPT,
    "ArtifactItemsSpec.*": KEPT,
    "ValueOrRuntimeParameter.*": KEPT,
    "Value.*": KEPT,
    "PipelineDeploymentConfig.*": KEPT,
    "ExecutorSpec.*": KEPT,
    "PipelineContainerSpec.*": KEPT,
    "EnvVar.*": KEPT,
    "ImporterSpec.*": KEPT,
    "ResolverSpec.*": KEPT,
    "ArtifactQuerySpec.*": KEPT,
    "AIPlatformCustomJobSpec.*": KEPT,
    "Lifecycle.*": KEPT,
    "Exec.*": KEPT,
    "ResourceSpec.*": KEPT,
    "AcceleratorConfig.*": KEPT,
    "CachingOptions.*": KEPT,
    "TaskConfigPassthrough.*": KEPT,
    "PlatformSpec.*": KEPT,
    "SinglePlatformSpec.*": KEPT,
    "PlatformDeploymentConfig.*": KEPT,
    "PipelineConfig.*": KEPT,
    "WorkspaceConfig.*": KEPT,
    "KubernetesWorkspaceConfig.*": KEPT,
}

_NO_VOLUME = refused("a process has no volumes; pass data as artifacts, or use the pipeline's workspace")
_NO_POD = lowered("says where a pod runs; the process runs here")

# What becomes of settings with Turnout's own launcher, in a process.
PROCESS: dict[str, Support] = {
    **STRUCTURE,
    "PipelineSpec.default_pipeline_root": lowered("the root is the run's own"),
    "PipelineContainerSpec.image": lowered("the command runs in an environment of this machine"),
    "PipelineContainerSpec.lifecycle": _NOT_YET,
    "ResourceSpec.*": lowered("a process has the whole machine"),
    "AcceleratorConfig.*": lowered("a process has what accelerators the machine has"),
    "ComponentSpec.single_platform_specs": _NOT_YET,
    "ComponentSpec.task_config_passthroughs": refused("a process has no pod whose settings it could pass on"),
    "ExecutorSpec.resolver": refused("KFP itself has no resolver either; import the artifact by its URI"),
    "ExecutorSpec.custom_job": refused("a job of Vertex AI; compile with --track kfp and run it there"),
    "ImporterSpec.download_to_workspace": lowered("what a step takes is fetched to it, wherever it is"),
    "PipelineConfig.resource_ttl_on_completion": lowered("a process leaves no resources behind"),
    "PipelineConfig.resource_ttl_on_success": lowered("a process leaves no resources behind"),
    "PipelineConfig.resource_ttl_on_failure": lowered("a process leaves no resources behind"),
    "WorkspaceConfig.size": lowered("the workspace is a directory of the run"),
    "WorkspaceConfig.kubernetes": lowered("the workspace is a directory of the run"),
    "kubernetes.activeDeadlineSeconds": KEPT,
    "kubernetes.secretAsEnv": lowered("from the file of declared secrets: --secrets, or Airflow's [turnout] secrets"),
    "kubernetes.configMapAsEnv": lowered(
        "from the file of declared secrets: --secrets, or Airflow's [turnout] secrets"
    ),
    "kubernetes.nodeSelector": _NO_POD,
    "kubernetes.tolerations": _NO_POD,
    "kubernetes.nodeAffinity": _NO_POD,
    "kubernetes.podAffinity": _NO_POD,
    "kubernetes.imagePullPolicy": lowered("no image is pulled"),
    "kubernetes.imagePullSecret": lowered("no image is pulled"),
    "kubernetes.podMetadata": lowered("a process has no labels"),
    "kubernetes.securityContext": lowered("a process runs as the user who runs Turnout"),
    "kubernetes.enabledSharedMemory": lowered("a process has the machine's shared memory"),
    "kubernetes.secretAsVolume": _NO_VOLUME,
    "kubernetes.configMapAsVolume": _NO_VOLUME,
    "kubernetes.pvcMount": _NO_VOLUME,
    "kubernetes.emptyDirMounts": _NO_VOLUME,
    "kubernetes.genericEphemeralVolume": _NO_VOLUME,
    "kubernetes.fieldPathAsEnv": refused("a process has no pod whose fields it could read"),
}

LOCAL: dict[str, Support] = {
    **PROCESS,
    "airflow.*": lowered("a local run is started by hand; parameters are checked as the facts say"),
    "airflow.data_interval": lowered("the last whole interval before the run, when it is given none"),
}

AIRFLOW: dict[str, Support] = {
    **PROCESS,
    **{f"airflow.{item.name}": KEPT for kind in (AirflowFacts, StepFacts) for item in dataclasses.fields(kind)},
    "airflow.parameters": KEPT,
    "airflow.parameter_order": KEPT,
}

_RECURRING = lowered("KFP keeps schedules on its server: create a recurring run")

KFP: dict[str, Support] = {
    **STRUCTURE,
    "kubernetes.*": KEPT,
    "airflow.*": KEPT,  # a further key of the platform document, which KFP's server accepts
    **dict.fromkeys(
        ("airflow.schedule", "airflow.timezone", "airflow.start_date", "airflow.end_date", "airflow.catchup"),
        _RECURRING,
    ),
    **dict.fromkeys(("airflow.max_active_runs", "airflow.triggered_by"), _RECURRING),
    "airflow.data_interval": lowered("its parameters are given by who starts the run, or by the recurring run"),
}


def facts(document: Document) -> Iterator[Fact]:
    """Everything a document says, in its order."""
    yield from _walk(document.pipeline, document.name)
    for name, single in document.platform.platforms.items() if document.platform else ():
        where = f"platforms.{name}"
        if single.pipeline_config:
            yield from _walk(single.pipeline_config, where)
        for key, value in (single.config or {}).items():
            yield Fact(f"{name}.{key}", where, value)
        executors = single.deployment_spec.executors if single.deployment_spec else {}
        for label, settings in executors.items():
            for key, value in settings.items():
                yield Fact(f"{name}.{key}", f"{where}.{label}", value)


def support(fact: Fact, table: Mapping[str, Support]) -> Support:
    """What a track does with a fact, by its table; a fact that the table does not know is refused."""
    group = fact.kind.partition(".")[0]
    return table.get(fact.kind) or table.get(f"{group}.*") or refused("unknown to this track")


def report(document: Document, table: Mapping[str, Support]) -> dict[Verdict, list[tuple[Fact, Support]]]:
    """Every fact of a document, by what a track does with it."""
    sorted_out: dict[Verdict, list[tuple[Fact, Support]]] = {"kept": [], "lowered": [], "refused": []}
    for fact in facts(document):
        decided = support(fact, table)
        sorted_out[decided.verdict].append((fact, decided))
    return sorted_out


def refusals(document: Document, table: Mapping[str, Support]) -> list[Fault]:
    """A fault for each fact that a track refuses."""
    return [Fault(f"{fact.kind} {decided.how}", fact.where) for fact, decided in report(document, table)["refused"]]


def _walk(message: Any, where: str) -> Iterator[Fact]:
    for item in dataclasses.fields(message):
        value = getattr(message, item.name)
        default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        if value == default:
            continue
        kind, here = f"{type(message).__name__}.{item.name}", f"{where}.{item.name}"
        yield Fact(kind, where, value)
        if dataclasses.is_dataclass(value):
            yield from _walk(value, here)
        elif isinstance(value, dict | list):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for key, entry in entries:
                if dataclasses.is_dataclass(entry):
                    yield from _walk(entry, f"{here}.{key}")
