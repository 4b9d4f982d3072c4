"""What a model's run in MLflow says of how it was trained."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError
from turnout.models.registry import ModelVersion, look_up
from turnout.trackers.reproducible import CHANGES, DIRECTORY, ENVIRONMENT, PACKAGES, PREDICTIONS, RECIPE, UNTRACKED

_PASSING = ("training_seconds",)
"""Metrics that are not of the model."""


@dataclass(frozen=True)
class Training:
    """A training as its run recorded it.

    Attributes:
        code: git commit of the code.
        changes: a diff of what was in no commit; empty when there was nothing.
        untracked: Python files that git did not know.
        recipe: how the model was made, as `turnout.data.recipe` says it; empty in a repetition.
        packages: what was installed, as `name==version`, after a comment with Python's version.
        environment: digest of the packages.
        predictions: digest of the predictions for the training rows; empty when it was not recorded.
        metrics: on the training rows.
    """

    version: ModelVersion
    code: str
    changes: bytes
    untracked: tuple[str, ...]
    recipe: Mapping[str, Any]
    packages: tuple[str, ...]
    environment: str
    predictions: str
    metrics: Mapping[str, float]


def read_training(model: str) -> Training:
    """What was recorded of the training of a model version.

    Args:
        model: `NAME/VERSION`, `NAME@ALIAS`, or these as MLflow's URIs.

    Raises:
        ComponentError: there is no such version, MLflow cannot be asked, or what was recorded does not suffice: with
            all that is missing.
    """
    version = look_up(model if model.startswith("models:/") else f"models:/{model}")
    training = read_run(version)
    missing = list(_missing(training))
    if missing:
        hint = "train it again: what `train` records now suffices"
        what = f"what was recorded does not suffice to repeat the training; missing: {'; '.join(missing)}"
        raise ComponentError(what, where=f"{version.uri}, MLflow run {version.run_id or '(none)'}", hint=hint)
    return training


def read_run(version: ModelVersion, tracking_uri: str | None = None) -> Training:
    """What a run recorded; empty where it recorded nothing.

    Args:
        tracking_uri: of the MLflow that has the run; the one of the environment when None.
    """
    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    if not version.run_id:
        return Training(version, "", b"", (), {}, (), "", "", {})
    run = client.get_run(version.run_id)
    tags, files = run.data.tags, _files(client, version.run_id)
    metrics = {key: value for key, value in run.data.metrics.items()
               if key.startswith("training_") and key not in _PASSING}  # fmt: skip
    code = tags.get("turnout.code", "")
    return Training(
        version,
        "" if code == "unknown" else code,
        files.get(CHANGES, b""),
        tuple(tags.get(UNTRACKED, "").split()),
        json.loads(files.get(RECIPE, b"{}")),
        tuple(files.get(PACKAGES, b"").decode().splitlines()),
        tags.get(ENVIRONMENT, ""),
        tags.get(PREDICTIONS, ""),
        metrics,
    )


def _files(client: Any, run_id: str) -> dict[str, bytes]:
    """The artifacts that are for reproduction, by name."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    if not any(item.path == DIRECTORY for item in client.list_artifacts(run_id)):
        return {}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(client.download_artifacts(run_id, DIRECTORY, directory))
        return {file.name: file.read_bytes() for file in place.iterdir()}


def _missing(training: Training) -> Iterator[str]:
    """What a repetition cannot do without."""
    if not training.version.run_id:
        yield "the MLflow run of the version"
        return
    if not training.code:
        yield "the git commit of the code (tag turnout.code)"
    if not training.recipe:
        yield f"how its rows were made (artifact {DIRECTORY}/{RECIPE})"
    yield from _unknown(training.recipe)
    if not training.predictions and not training.metrics:
        yield f"what the model predicts (tag {PREDICTIONS}, metrics training_*)"


def _unknown(recipe: Mapping[str, Any]) -> Iterator[str]:
    """The inputs of which nobody recorded how they were made."""
    for name, made in recipe.get("inputs", {}).items():
        if made:
            yield from _unknown(made)
        else:
            yield f"how '{name}' of {recipe['component']} was made (its step leaves no made_by in the metadata)"
