"""What a model version was trained and tested on, kept with its MLflow run: profiles, of a few KiB."""

from __future__ import annotations

import os

from turnout.errors import ComponentError
from turnout.inference.model import ModelVersion
from turnout.monitoring.profile import Profile

TRAINING = "monitoring/training.json"
"""Artifact of the run: the columns that the model was trained on, and its target."""

PREDICTIONS = "monitoring/predictions.json"
"""Artifact of the run: the model's predictions of rows it had not seen."""


def load_reference(version: ModelVersion) -> Profile | None:
    """The profile of what a model version was trained on, and of its predictions where they are known.

    Returns:
        None when it was trained without one.

    Raises:
        ComponentError: MLflow cannot be reached.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if not version.run_id:
        return None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        kept = {item.path for item in mlflow.MlflowClient().list_artifacts(version.run_id, "monitoring")}
        found = [
            Profile.from_json(mlflow.artifacts.load_text(f"runs:/{version.run_id}/{path}"))
            for path in (TRAINING, PREDICTIONS)
            if path in kept
        ]
    except MlflowException as error:
        raise ComponentError(f"the model's reference cannot be had: {error}", where=version.uri) from error
    return found[0] | found[-1] if found else None
