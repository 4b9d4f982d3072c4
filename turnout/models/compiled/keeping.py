"""The compiled form of a registered version in MLflow: made when it is registered, fetched when it is used.

Its files are artifacts of the version's run, in `compiled/`; those of a form in lower precision in `compiled_int8/` or
`compiled_float16/`. Tags of the version: `turnout.compiled` says `yes` or `no`, `turnout.precision` which form is used,
and `turnout.compiled_reason` why; without the first tag, or with another value, nothing uses a compiled form.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from turnout.models.compiled.answering import MODEL, PRECISION, REASON, TAG, Answering, of_tags
from turnout.models.compiled.form import DIRECTORY, PROOF, WHY, NotCompiled, Precision, Proof, read_proof
from turnout.models.compiled.judged import artifact, judged_rows_of
from turnout.models.files import download
from turnout.models.registry import ModelVersion
from turnout.models.signature import signature_of
from turnout.monitoring.reference import training_rows


def keep_compiled(
    version: ModelVersion, directory: str | Path, precision: Precision = "exact", maximum_loss: float = 0.01
) -> str:
    """Compile the model of a version, prove it, and keep it with the version's run; once for each.

    Whatever happens, the version is as good as it was: without a compiled form the model itself answers, and where one
    of lower precision loses too much, the exact one.

    Args:
        directory: the model's files.
        precision: of the form that is used.
        maximum_loss: what may be lost of the metric of the evaluation, in its own unit.

    Returns:
        What came of it, as a sentence; also the version's tag.
    """
    import mlflow

    client = mlflow.MlflowClient()
    tags = client.get_model_version(version.name, version.version).tags
    used, before = "exact", tags.get(TAG) == "yes"
    if before and precision == "exact" == tags.get(PRECISION, "exact"):
        return f"compiled before: {tags.get(REASON, '')}"
    try:
        if not version.run_id:
            raise NotCompiled("the version has no MLflow run to keep a compiled form with")
        reason = _known(version) or _made(version, directory)
        compiled = "yes"
    except Exception as error:  # what a model, a converter or an artifact store raises must not stop a registration
        compiled, reason = "no", _why(error)
    if precision != "exact" and compiled == "yes":
        try:
            reason, used = _lower(version, directory, precision, maximum_loss), precision
        except Exception as error:  # as above
            reason = f"{reason}; {precision} is not used: {_why(error)}"
    elif precision != "exact":
        reason = f"{reason}; so there is no form in {precision}"
    reason = reason[:1000]
    client.set_model_version_tag(version.name, version.version, REASON, reason)
    client.set_model_version_tag(version.name, version.version, PRECISION, used)
    client.set_model_version_tag(version.name, version.version, TAG, compiled)
    return f"compiled: {reason}" if compiled == "yes" else f"not compiled, the model itself answers: {reason}"


def _why(error: Exception) -> str:
    if isinstance(error, NotCompiled):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _place(precision: str) -> str:
    """Where a form is among the artifacts of the run."""
    return DIRECTORY if precision == "exact" else f"{DIRECTORY}_{precision}"


def _lower(version: ModelVersion, directory: str | Path, precision: str, maximum_loss: float) -> str:
    """The sentence about a form of lower precision that loses no more than is allowed, kept with the run."""
    import mlflow

    from turnout.models.compiled.reduced import reduce_model, within

    judged = judged_rows_of(version.run_id)
    if judged is None or judged.labels is None:
        raise NotCompiled("no labels were kept to judge it by: evaluate the model before it is registered")
    proof = _proof(version, precision)
    if proof is None or proof.reduced is None or proof.reduced.metric != judged.metric:
        with tempfile.TemporaryDirectory() as made:
            exact, target = artifact(version.run_id, DIRECTORY, made), Path(made, _place(precision))
            proof = reduce_model(directory, exact, precision, judged, training_rows(version.run_id), target)
            mlflow.MlflowClient().log_artifacts(version.run_id, str(target), _place(precision))
    if proof.reduced is not None and (why := within(proof.reduced, maximum_loss)):
        raise NotCompiled(why)
    return proof.sentence()


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
    proof = _proof(version, "exact")
    return "" if proof is None else proof.sentence()


def _proof(version: ModelVersion, precision: str) -> Proof | None:
    """The proof of a form that the run has already."""
    import mlflow

    names = [Path(item.path).name for item in mlflow.MlflowClient().list_artifacts(version.run_id, _place(precision))]
    if PROOF not in names:
        return None
    with tempfile.TemporaryDirectory() as directory:
        return read_proof(artifact(version.run_id, _place(precision), directory))


def _rows(version: ModelVersion, directory: str | Path) -> tuple[pd.DataFrame, str]:
    """Rows to prove a compiled form on, and what they are of: the evaluation's, else training's, else the example's."""
    from mlflow.models import Model

    names = {column.name for column in signature_of(directory)}
    judged = judged_rows_of(version.run_id)
    if judged is not None and names <= set(judged.inputs.columns) and len(judged.inputs):
        return judged.inputs, "the evaluation"
    known = training_rows(version.run_id)
    if known is not None and names <= set(known.columns) and len(known):
        return known, "the training"
    example = Model.load(str(directory)).load_input_example(str(directory))
    if example is None or not len(example):
        raise NotCompiled("no rows were kept to prove it on; evaluate the model, or log it with an input example")
    return pd.DataFrame(example), "the input example"


def fetch(version: ModelVersion, directory: str) -> Path:
    """A version's files on this machine as `download` brings them, with its compiled form where it has one.

    A line says which of the two will answer.

    Raises:
        ComponentError: the model's files cannot be had.
    """
    import mlflow

    place = download(version, directory)
    found: Any = mlflow.MlflowClient().get_model_version(version.name, version.version)
    said = of_tags(found.tags)
    if said.form != MODEL:
        try:
            form = _place(found.tags.get(PRECISION, "exact"))
            artifact(found.run_id, form, str(place))
            if form != DIRECTORY:
                shutil.move(place / form, place / DIRECTORY)
        except Exception as error:  # every artifact store has its own
            said = Answering(MODEL, f"its compiled form cannot be had: {error}")
    (place / WHY).write_text(said.why, encoding="utf-8")
    print(f"{version.uri}: {said.sentence}", flush=True)
    return place


def answering(version: ModelVersion) -> Answering:
    """The form of a version that is to be used, as the registry says."""
    import mlflow

    return of_tags(mlflow.MlflowClient().get_model_version(version.name, version.version).tags)
