"""The compiled form of a registered version in MLflow: made when it is registered, fetched when it is used.

Its files are artifacts of the version's run, in `compiled/`. A tag of the version, `turnout.compiled`, says `yes` or
`no`, and `turnout.compiled_reason` why; without the tag, or with another value, nothing uses the compiled form.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from turnout.models.compiled.form import DIRECTORY, PROOF, NotCompiled, read_proof
from turnout.models.files import download
from turnout.models.registry import ModelVersion
from turnout.models.signature import signature_of
from turnout.monitoring.reference import training_rows

TAG, REASON = "turnout.compiled", "turnout.compiled_reason"

_EVALUATION, _ROWS = "evaluation", "rows.parquet"

_MOST_ROWS = 5_000
"""Rows of an evaluation that are kept to prove a compiled form on."""


def keep_rows(run_id: str, inputs: pd.DataFrame) -> None:
    """Keep some rows of an evaluation with the model's run: those on which its compiled form is proved.

    Args:
        inputs: the columns that the model takes.
    """
    import mlflow

    rows = inputs.sample(min(len(inputs), _MOST_ROWS), random_state=0)
    with tempfile.TemporaryDirectory() as directory:
        rows.to_parquet(Path(directory, _ROWS), index=False)
        mlflow.MlflowClient().log_artifact(run_id, str(Path(directory, _ROWS)), _EVALUATION)


def keep_compiled(version: ModelVersion, directory: str | Path) -> str:
    """Compile the model of a version, prove it, and keep it with the version's run; once for each.

    Whatever happens, the version is as good as it was: without a compiled form the model itself answers.

    Args:
        directory: the model's files.

    Returns:
        What came of it, as a sentence; also the version's tag.
    """
    import mlflow

    client = mlflow.MlflowClient()
    tags = client.get_model_version(version.name, version.version).tags
    if tags.get(TAG) == "yes":
        return f"compiled before: {tags.get(REASON, '')}"
    try:
        if not version.run_id:
            raise NotCompiled("the version has no MLflow run to keep a compiled form with")
        reason = _known(version) or _made(version, directory)
        compiled = "yes"
    except NotCompiled as error:
        compiled, reason = "no", str(error)
    except Exception as error:  # what a model, a converter or an artifact store raises must not stop a registration
        compiled, reason = "no", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    reason = reason[:1000]
    client.set_model_version_tag(version.name, version.version, REASON, reason)
    client.set_model_version_tag(version.name, version.version, TAG, compiled)
    return f"compiled: {reason}" if compiled == "yes" else f"not compiled, the model itself answers: {reason}"


def _made(version: ModelVersion, directory: str | Path) -> str:
    import mlflow

    from turnout.models.compiled.making import compile_model

    rows, rows_of = _rows(version, directory)
    with tempfile.TemporaryDirectory() as made:
        proof = compile_model(directory, rows, rows_of, Path(made, DIRECTORY))
        mlflow.MlflowClient().log_artifacts(version.run_id, str(Path(made, DIRECTORY)), DIRECTORY)
    return proof.sentence()


def _known(version: ModelVersion) -> str:
    """What the proof says that the run has already, from a registration under another name; empty without one."""
    import mlflow

    names = [Path(item.path).name for item in mlflow.MlflowClient().list_artifacts(version.run_id, DIRECTORY)]
    if PROOF not in names:
        return ""
    with tempfile.TemporaryDirectory() as directory:
        return read_proof(_artifact(version.run_id, DIRECTORY, directory)).sentence()


def _rows(version: ModelVersion, directory: str | Path) -> tuple[pd.DataFrame, str]:
    """Rows to prove a compiled form on, and what they are of: the evaluation's, else training's, else the example's."""
    import mlflow
    from mlflow.models import Model

    names = [column.name for column in signature_of(directory)]
    kept = [Path(item.path).name for item in mlflow.MlflowClient().list_artifacts(version.run_id, _EVALUATION)]
    if _ROWS in kept:
        with tempfile.TemporaryDirectory() as place:
            rows = pd.read_parquet(_artifact(version.run_id, f"{_EVALUATION}/{_ROWS}", place))
        if set(names) <= set(rows.columns) and len(rows):
            return rows, "the evaluation"
    known = training_rows(version.run_id)
    if known is not None and set(names) <= set(known.columns) and len(known):
        return known, "the training"
    example = Model.load(str(directory)).load_input_example(str(directory))
    if example is None or not len(example):
        raise NotCompiled("no rows were kept to prove it on; evaluate the model, or log it with an input example")
    return pd.DataFrame(example), "the input example"


def _artifact(run_id: str, path: str, directory: str) -> Path:
    import mlflow.artifacts

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=directory))


def fetch(version: ModelVersion, directory: str) -> Path:
    """A version's files on this machine as `download` brings them, with its compiled form where it has one.

    A line says which of the two will answer.

    Raises:
        ComponentError: the model's files cannot be had.
    """
    import mlflow

    place = download(version, directory)
    found: Any = mlflow.MlflowClient().get_model_version(version.name, version.version)
    said, reason = found.tags.get(TAG, ""), found.tags.get(REASON, "")
    if said != "yes":
        print(f"{version.uri}: the model itself answers{f', since it is not compiled: {reason}' if reason else ''}")
        return place
    try:
        _artifact(found.run_id, DIRECTORY, str(place))
        print(f"{version.uri}: its compiled form answers, {reason}", flush=True)
    except Exception as error:  # every artifact store has its own
        print(f"{version.uri}: the model itself answers, since its compiled form cannot be had: {error}", flush=True)
    return place
