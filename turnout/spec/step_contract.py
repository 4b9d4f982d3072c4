"""The contract of a running step: KFP's ExecutorInput and executor output, and the record of its outcome.

Source: `ExecutorInput`, `ExecutorOutput`, `RuntimeArtifact` and `PipelineStateEnum` in KFP's
`pipeline_spec.proto`; in JSON, as KFP's launcher hands them to the executor.
"""

from __future__ import annotations

import datetime
import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from turnout.spec.deployment_spec import ImporterSpec, PipelineContainerSpec
from turnout.spec.pipeline_spec import ComponentSpec

if TYPE_CHECKING:
    from upath import UPath


class State(enum.StrEnum):
    """States of steps and runs, by KFP's names (`PipelineTaskState`)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING_EXECUTOR"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    NOT_TRIGGERED = "NOT_TRIGGERED"
    """An upstream step failed."""
    CANCELLED = "CANCELLED"

    @property
    def finished(self) -> bool:
        return self not in (State.PENDING, State.RUNNING)

    @property
    def label(self) -> str:
        """Its name for people."""
        return _LABELS.get(self, self.value)


_LABELS = {State.RUNNING: "RUNNING", State.NOT_TRIGGERED: "NOT STARTED"}


@dataclass(frozen=True)
class Artifact:
    """A reference to data: small, and all that ever travels between steps.

    Attributes:
        digest: of the content when it was stored, `sha256:...`; another sign of it for what lives
            elsewhere; empty when nothing was written.
    """

    name: str
    type: str
    uri: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def path(self) -> UPath:
        """Where it is, to read from: a file or directory here, or in an object store."""
        from upath import UPath

        return UPath(self.uri)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "uri": self.uri,
            "metadata": dict(self.metadata),
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Artifact:
        return cls(data["name"], data["type"], data["uri"], data.get("metadata", {}), data.get("digest", ""))


@dataclass(frozen=True)
class Run:
    """One run of a pipeline; times are ISO 8601 in UTC.

    Attributes:
        workspace: local directory that the steps of the run share; empty when it has none.
    """

    pipeline: str
    run_id: str
    create_time: str
    schedule_time: str = ""
    workspace: str = ""


@dataclass(frozen=True)
class Task:
    """A step with all its inputs known: what a launcher launches.

    Attributes:
        parameters: values by name; an optional parameter that is not given is absent.
        artifacts: lists of artifacts by name, of length one for an input that is not a list.
        iteration: one index for each loop around the step, outermost first.
        attempt: from 1.
        environment: variables beside those that the container names.
        timeout: seconds that one attempt may take; None: no limit.
        items: what the items of the loops around the step are called, outermost first.
    """

    run: Run
    path: str
    component: ComponentSpec
    executor: PipelineContainerSpec | ImporterSpec
    parameters: Mapping[str, Any]
    artifacts: Mapping[str, tuple[Artifact, ...]]
    iteration: tuple[int, ...] = ()
    attempt: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    items: tuple[str, ...] = ()

    @property
    def inputs_digest(self) -> str:
        """What its inputs are: the same for the same values and the same content, wherever the content lies."""
        artifacts = {
            name: [[item.type, dict(item.metadata), item.digest or item.uri] for item in items]
            for name, items in self.artifacts.items()
        }
        text = json.dumps([dict(self.parameters), artifacts], sort_keys=True, default=str)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """How a step ended, written last and atomically: what is not in it has not happened.

    Attributes:
        artifacts: by output name. Those of a failed step, such as a validation report, are for people
            to look at; no step ever takes them.
        started, ended: ISO 8601 in UTC.
        log: URI of the log of the attempt.
        cached: whether an earlier execution's results were taken.
        memory: the most bytes that a process of the step had in memory; 0 when that is not known.
        inputs: digest of what the step was given; empty in records of earlier versions.
        other_code: whether the component's code was not that which the pipeline was compiled with.
        items: what the items of the loops around the step are called, outermost first; empty in records of earlier
            versions.
    """

    state: State
    attempt: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    started: str = ""
    ended: str = ""
    error: str = ""
    log: str = ""
    cached: bool = False
    memory: int = 0
    inputs: str = ""
    other_code: bool = False
    items: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the attempt took; 0 when that is not known."""
        if not self.started or not self.ended:
            return 0.0
        started, ended = map(datetime.datetime.fromisoformat, (self.started, self.ended))
        return (ended - started).total_seconds()

    @property
    def outputs(self) -> dict[str, Any]:
        """Parameters and artifacts by name."""
        return {**self.parameters, **self.artifacts}

    def to_dict(self) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "attempt": self.attempt,
            "parameters": dict(self.parameters),
            "artifacts": {name: artifact.to_dict() for name, artifact in self.artifacts.items()},
            "started": self.started,
            "ended": self.ended,
            "error": self.error,
            "log": self.log,
            "cached": self.cached,
            "memory": self.memory,
            "inputs": self.inputs,
            "other_code": self.other_code,
            "items": list(self.items),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        artifacts = {name: Artifact.from_dict(item) for name, item in data["artifacts"].items()}
        items = tuple(data.get("items", ()))
        return cls(**{**data, "state": State(data["state"]), "artifacts": artifacts, "items": items})


def executor_input(
    task: Task,
    local_inputs: Mapping[str, str],
    outputs: Mapping[str, tuple[str, str]],
    parameters: Mapping[str, str],
    output: str,
) -> dict[str, Any]:
    """KFP's ExecutorInput for a task.

    Args:
        local_inputs: where each input artifact is on this machine, by its URI.
        outputs: URI and local path of each output artifact, by name.
        parameters: local path of each output parameter, by name.
        output: local path of the executor output.
    """
    return {
        "inputs": {
            "parameterValues": dict(task.parameters),
            "artifacts": {
                name: {"artifacts": [_runtime_artifact(item, local_inputs[item.uri]) for item in items]}
                for name, items in task.artifacts.items()
            },
        },
        "outputs": {
            "parameters": {name: {"outputFile": path} for name, path in parameters.items()},
            "artifacts": {
                name: {"artifacts": [_runtime_artifact(declared_output(task, name, uri), path)]}
                for name, (uri, path) in outputs.items()
            },
            "outputFile": output,
        },
    }


def declared_output(task: Task, name: str, uri: str) -> Artifact:
    """An output artifact as its component declares it, before the step has run."""
    declared = task.component.output_definitions
    metadata = declared.artifacts[name].metadata if declared else None
    return Artifact(name, output_type(task, name), uri, metadata or {})


def output_type(task: Task, name: str) -> str:
    """The schema title of an output artifact, such as `system.Dataset`."""
    declared = task.component.output_definitions
    kind = declared.artifacts[name].artifact_type if declared else None
    return (kind.schema_title if kind else None) or "system.Artifact"


def _runtime_artifact(artifact: Artifact, path: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": artifact.name,
        "type": {"schemaTitle": artifact.type, "schemaVersion": "0.0.1"},
        "uri": artifact.uri,
        "metadata": dict(artifact.metadata),
    }
    if path != artifact.uri:
        entry["customPath"] = path
    return entry
