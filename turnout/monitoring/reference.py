"""What a model version was trained and tested on, kept with its MLflow run: profiles, of a few KiB."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from turnout.errors import ComponentError
from turnout.estimators import plain_types
from turnout.inference.model import ModelVersion
from turnout.monitoring.performance import MOST_ROWS, Measured, estimate, measure
from turnout.monitoring.profile import Profile
from turnout.scoring import predictions
from turnout.tracking import load_version

TRAINING = "monitoring/training.json"
"""Artifact of the run: the columns that the model was trained on, and its target."""

PREDICTIONS = "monitoring/predictions.json"
"""Artifact of the run: the model's predictions of rows it had not seen."""


SCORES = "monitoring/scores.json"
"""Artifact of the run: the metric that judged the model, measured and estimated on rows that it had not seen."""


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


def load_scores(version: ModelVersion, metric: str) -> dict[bool, Measured]:
    """How good a model version was when it was judged, by whether that is estimated.

    Raises:
        ComponentError: it was not judged by that metric, or MLflow cannot be reached.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    hint = "evaluate judges a model, and keeps what is needed here"
    try:
        found = [
            Measured(**item) for item in json.loads(mlflow.artifacts.load_text(f"runs:/{version.run_id}/{SCORES}"))
        ]
    except (MlflowException, OSError) as error:
        raise ComponentError(f"the model's scores cannot be had: {error}", where=version.uri, hint=hint) from error
    if known := [item.metric for item in found if item.metric != metric]:
        raise ComponentError(f"the model was not judged by '{metric}'", where=version.uri, available=set(known))
    return {item.estimated: item for item in found}


def model_performance(version: ModelVersion, rows: ds.Dataset, metric: str, target: str, seed: int = 0) -> Measured:
    """How good a model is on rows, or on some of them where they are many; estimated where none has a label.

    Raises:
        ComponentError: the model cannot be loaded, or not be measured so.
    """
    total = rows.count_rows()
    chosen = np.sort(np.random.default_rng(seed).choice(total, min(total, MOST_ROWS), replace=False))
    table = rows.take(pa.array(chosen)).to_pandas()
    model = load_version(version)
    classes = tuple(getattr(model, "classes_", ()))
    labelled = table[table[target].notna()] if target in table else table[:0]
    inputs = (labelled if len(labelled) else table)[list(model.feature_names_in_)]
    found = predictions(model, plain_types(inputs), "classification" if classes else "regression")
    if len(labelled):
        return measure(metric, found.truth(labelled[target]), found.values)
    return estimate(metric, found.values)
