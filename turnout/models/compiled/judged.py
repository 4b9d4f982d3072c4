"""What an evaluation keeps with the model's run: rows, their labels, and the metric that decides."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

_DIRECTORY, _ROWS, _LABELS, _METRIC = "evaluation", "rows.parquet", "labels.parquet", "metric.json"

_MOST_ROWS = 5_000
"""Rows of an evaluation that are kept to prove a compiled form on."""


@dataclass(frozen=True)
class Judged:
    """Some rows of an evaluation.

    Attributes:
        inputs: the columns that the model takes.
        labels: of the same rows; None where none were kept.
        metric: that decided; empty without labels.
    """

    inputs: pd.DataFrame
    labels: pd.Series | None = None
    metric: str = ""


def keep_rows(run_id: str, inputs: pd.DataFrame, labels: pd.Series | None = None, metric: str = "") -> None:
    """Keep some rows of an evaluation with the model's run: those on which its compiled forms are proved.

    Args:
        inputs: the columns that the model takes.
        labels: of the same rows: forms of lower precision are judged by them.
        metric: that decides, by scikit-learn's name.
    """
    import mlflow

    rows = inputs.sample(min(len(inputs), _MOST_ROWS), random_state=0)
    with tempfile.TemporaryDirectory() as directory:
        rows.to_parquet(Path(directory, _ROWS), index=False)
        if labels is not None:
            labels.loc[rows.index].to_frame("label").to_parquet(Path(directory, _LABELS), index=False)
            Path(directory, _METRIC).write_text(json.dumps({"metric": metric}), encoding="utf-8")
        mlflow.MlflowClient().log_artifacts(run_id, directory, _DIRECTORY)


def judged_rows_of(run_id: str) -> Judged | None:
    """What `keep_rows` kept; None where nothing was."""
    import mlflow

    kept = {Path(item.path).name for item in mlflow.MlflowClient().list_artifacts(run_id, _DIRECTORY)}
    if _ROWS not in kept:
        return None
    with tempfile.TemporaryDirectory() as place:
        inputs = pd.read_parquet(artifact(run_id, f"{_DIRECTORY}/{_ROWS}", place))
        if not {_LABELS, _METRIC} <= kept:
            return Judged(inputs)
        labels = pd.read_parquet(artifact(run_id, f"{_DIRECTORY}/{_LABELS}", place))["label"]
        metric = json.loads(artifact(run_id, f"{_DIRECTORY}/{_METRIC}", place).read_text(encoding="utf-8"))["metric"]
    return Judged(inputs, labels, metric) if len(labels) == len(inputs) else Judged(inputs)


def artifact(run_id: str, path: str, directory: str) -> Path:
    """An artifact of a run, brought into a directory."""
    import mlflow.artifacts

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=directory))
