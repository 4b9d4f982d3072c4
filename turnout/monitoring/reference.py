"""What a model version was trained and tested on, kept with its MLflow run: counts, scores and a few rows."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from turnout.data.fetching import fetch
from turnout.data.parquet import open_table
from turnout.errors import ComponentError
from turnout.models.registry import ModelVersion, look_up
from turnout.models.scoring import Predictions
from turnout.monitoring.checked_table import ArrowTable
from turnout.monitoring.checks import joint
from turnout.monitoring.checks.calibration import Curve, reliability
from turnout.monitoring.checks.performance import Measured, estimate, measure
from turnout.monitoring.dependence import blocks_of
from turnout.monitoring.profile import Profile, make_profile

_DIRECTORY = "monitoring"
_TRAINING, _PREDICTIONS, _SCORES, _ROWS = "training.json", "predictions.json", "scores.json", "rows.parquet"
"""Artifacts of the run: counts of the columns that the model was trained on, and some of these rows; counts of its
predictions of rows that it had not seen, and how good they were."""


@dataclass(frozen=True)
class Scores:
    """How good a model was when it was judged, on rows that it had not seen.

    Attributes:
        measured: by its metric, with labels and, for a classifier, as if they were not known.
        calibration: of a classifier, by what the probability is of; of two classes that of the second is enough.
    """

    measured: tuple[Measured, ...]
    calibration: dict[str, Curve]

    def of(self, metric: str, estimated: bool) -> Measured | None:
        """The score that another can be held against. Raises ComponentError when the metric did not judge the model."""
        known = {item.metric for item in self.measured}
        if metric not in known:
            hint = "ask for one of these, or evaluate the model by this metric"
            raise ComponentError(f"the model was not judged by '{metric}'", where="metric", available=known, hint=hint)
        return next((item for item in self.measured if item.estimated == estimated), None)


@dataclass(frozen=True)
class Reference:
    """What a table is held against.

    Attributes:
        name: the model version's URI, or the table's.
        rows: some of the reference, drawn at random.
        version: None when the reference is a table.
        scores: None when the reference is a table, or a model that `evaluate` did not judge.
        predicted: columns of a table of predictions, by the profile's names of them.
    """

    name: str
    profile: Profile
    rows: pd.DataFrame
    version: ModelVersion | None = None
    scores: Scores | None = None
    predicted: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, str]:
        """The model's name and version; the table's name and nothing."""
        return (self.version.name, self.version.version) if self.version else (self.name, "")

    def without(self, columns: Iterable[str]) -> Reference:
        """The reference, but for some columns."""
        left = {name: column for name, column in self.profile.columns.items() if name not in set(columns)}
        rows = self.rows[[name for name in self.rows if name in left]]
        return dataclasses.replace(self, profile=dataclasses.replace(self.profile, columns=left), rows=rows)


def nothing(version: ModelVersion) -> Reference:
    """The reference of a model that was trained without one: nothing differs from it."""
    return Reference(version.uri, Profile(0, {}), pd.DataFrame(), version)


def find_reference(model: str, table: str, timestamp: str, required: bool) -> Reference:
    """The reference that a user names: what a model was trained on, or a table.

    Args:
        model: URI of a registered model; empty for a table.
        table: path or URI of Parquet; empty for a model.
        timestamp: column of the table with each row's time; may be empty.
        required: whether a model must have been trained with a reference.

    Raises:
        ComponentError: there is no such model or table, or the model has no reference and must.
    """
    if not model:
        with tempfile.TemporaryDirectory() as directory:
            return table_reference(str(fetch(table, "", Path(directory)).path), table, timestamp)
    version = look_up(model)
    known = load_reference(version)
    if known is None and required:
        hint = "train it with the catalogue's train, log it with turnout.models.log, or give a reference table"
        raise ComponentError("the model version has no reference to compare with", where=version.uri, hint=hint)
    return known or nothing(version)


def table_reference(uri: str, name: str, timestamp: str = "") -> Reference:
    """A table as the reference; with a column of times, rows of a day are not taken for independent.

    Raises:
        ComponentError: it cannot be read.
    """
    whole = open_table(uri)[0].to_table()
    times = whole[timestamp].to_pandas() if timestamp in whole.column_names else None
    profile = make_profile(whole, blocks=blocks_of(times))
    rows = ArrowTable(ds.dataset(whole)).sample(joint.MOST_ROWS)
    return Reference(name, profile, rows[list(profile.columns)])


def keep_training(
    run_id: str, inputs: pd.DataFrame, labels: pd.Series, times: pd.Series | None = None, seed: int = 0
) -> None:
    """Keep what a model was trained on with its MLflow run: counts by column, and some rows.

    Args:
        labels: by the name of the target, which later tables need not have.
        times: of the rows: those of a day are not taken for independent.
    """
    import mlflow

    client, target = mlflow.MlflowClient(), str(labels.name)
    known = pa.Table.from_pandas(inputs.assign(**{target: labels}), preserve_index=False)
    profile = make_profile(known, [target], blocks_of(times, seed), seed)
    client.log_text(run_id, profile.to_json(), f"{_DIRECTORY}/{_TRAINING}")
    compared = [name for name in inputs if name in profile.columns]  # times are not
    rows = inputs[compared].sample(min(len(inputs), joint.MOST_ROWS), random_state=seed)
    with tempfile.TemporaryDirectory() as directory:
        rows.to_parquet(Path(directory, _ROWS), index=False)
        client.log_artifact(run_id, str(Path(directory, _ROWS)), _DIRECTORY)


def training_rows(run_id: str) -> pd.DataFrame | None:
    """Some rows that a run's model was trained on, without columns of times; None where none were kept."""
    import mlflow

    kept = [Path(item.path).name for item in mlflow.MlflowClient().list_artifacts(run_id, _DIRECTORY)]
    if _ROWS not in kept:
        return None
    with tempfile.TemporaryDirectory() as directory:
        path = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path=f"{_DIRECTORY}/{_ROWS}", dst_path=directory
        )
        return pd.read_parquet(path)


def keep_scores(
    run_id: str, metric: str, found: Predictions, labels: pd.Series, times: pd.Series | None = None
) -> None:
    """Keep how good a model is on rows that it has not seen with its MLflow run, and counts of what it predicts.

    Args:
        times: of the rows: those of a day are not taken for independent.
    """
    import mlflow

    client, truth = mlflow.MlflowClient(), found.truth(labels)
    blocks, predicted = blocks_of(times), found.table()
    profile = make_profile(predicted, predicted.column_names, blocks)
    client.log_text(run_id, profile.to_json(), f"{_DIRECTORY}/{_PREDICTIONS}")
    measured = [measure(metric, truth, found.values, blocks=blocks)]
    if found.classes:
        measured.append(estimate(metric, found.values, blocks))
    curves = {name: reliability(of, chances, None, blocks) for name, of, chances in found.by_class(truth)}
    scores = Scores(tuple(measured), curves)
    client.log_text(run_id, json.dumps(dataclasses.asdict(scores)), f"{_DIRECTORY}/{_SCORES}")


def load_reference(version: ModelVersion) -> Reference | None:
    """What a model version was trained and tested on.

    Returns:
        None when it was trained without a reference.

    Raises:
        ComponentError: MLflow cannot be reached.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if not version.run_id:
        return None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as directory:
        try:
            if not mlflow.MlflowClient().list_artifacts(version.run_id, _DIRECTORY):
                return None
            uri = f"runs:/{version.run_id}/{_DIRECTORY}"
            kept = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=directory))
        except (MlflowException, OSError) as error:
            hint = "is the artifact store of the tracking server reachable?"
            raise ComponentError(
                f"the model's reference cannot be had: {error}", where=version.uri, hint=hint
            ) from error
        training, predictions = (
            Profile.from_json((kept / name).read_text()) if (kept / name).exists() else None
            for name in (_TRAINING, _PREDICTIONS)
        )
        rows = pd.read_parquet(kept / _ROWS) if (kept / _ROWS).exists() else pd.DataFrame()
        scores = _scores((kept / _SCORES).read_text(), version) if (kept / _SCORES).exists() else None
    if training is None and predictions is None:
        return None
    profile, known = training or Profile(0, {}), predictions or Profile(0, {})
    # A column of the table may have the name of a prediction.
    predicted = {f"{name} of the model" if name in profile.columns else name: name for name in known.columns}
    renamed = Profile(known.rows, {own: known.columns[name] for own, name in predicted.items()}, tuple(predicted))
    return Reference(version.uri, profile | renamed if training else renamed, rows, version, scores, predicted)


def _scores(text: str, version: ModelVersion) -> Scores:
    from cattrs import structure
    from cattrs.errors import BaseValidationError

    try:
        return structure(json.loads(text), Scores)
    except (BaseValidationError, KeyError, TypeError, ValueError) as error:
        hint = "evaluate the model again, or train another"
        what = "the model's scores were kept by another version of Turnout"
        raise ComponentError(what, where=version.uri, hint=hint) from error
