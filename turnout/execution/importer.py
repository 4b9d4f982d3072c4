"""Importers: a step that only gives an artifact elsewhere a name, as KFP's launcher does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.errors import StepError
from turnout.execution.store import ArtifactStore, local_path
from turnout.spec.deployment_spec import ImporterSpec
from turnout.spec.json_schema import whole_numbers
from turnout.spec.placeholders import resolve_text
from turnout.spec.step_contract import Artifact, Outcome, State, Task, output_type
from turnout.spec.values import ABSENT


def import_artifact(task: Task, importer: ImporterSpec, store: ArtifactStore, run: Mapping[str, str]) -> Outcome:
    """The outcome of an importer: one artifact, which stays where it is.

    Raises:
        StepError: no URI, or a path of this machine at which nothing is.
    """
    uri = _uri(task, importer, run)
    name = next(iter(task.component.output_definitions.artifacts)) if task.component.output_definitions else "artifact"
    kind = (importer.type_schema.schema_title if importer.type_schema else None) or output_type(task, name)
    metadata = _filled(importer.metadata or {}, task.parameters, run)
    artifact = artifact_at(store, name, kind, uri, whole_numbers(metadata))
    return Outcome(State.SUCCEEDED, task.attempt, artifacts={name: artifact})


def artifact_at(
    store: ArtifactStore, name: str, kind: str, uri: str, metadata: Mapping[str, Any] | None = None
) -> Artifact:
    """The artifact that is at a URI.

    Raises:
        StepError: a path of this machine at which nothing is.
    """
    path = local_path(uri)
    if path is not None and not Path(path).exists():
        raise StepError("there is nothing to import", where=uri)
    return Artifact(name, kind, uri, metadata or {}, store.digest(uri))


def _uri(task: Task, importer: ImporterSpec, run: Mapping[str, str]) -> str:
    given = importer.artifact_uri
    if given and given.runtime_parameter:
        return str(task.parameters.get(given.runtime_parameter, ""))
    if given and given.known is not ABSENT:
        return resolve_text(str(given.known), task.parameters, run)
    raise StepError("an importer without a URI", where=task.path)


def _filled(value: Any, parameters: Mapping[str, Any], run: Mapping[str, str]) -> Any:
    """Metadata with its placeholders filled in, in keys and in values."""
    if isinstance(value, str):
        return resolve_text(value, parameters, run)
    if isinstance(value, list):
        return [_filled(item, parameters, run) for item in value]
    if isinstance(value, dict):
        return {resolve_text(key, parameters, run): _filled(item, parameters, run) for key, item in value.items()}
    return value
