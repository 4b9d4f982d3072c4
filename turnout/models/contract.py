"""What the catalogue's components must know of a model, and how a train step, also one of your own, says it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pandas as pd

from turnout.data.tables import lineage, require
from turnout.errors import ComponentError
from turnout.models.files import preparation_inside, requirements, save_copy
from turnout.models.frameworks.network import Network
from turnout.models.learned import Learned, keep_learned, learned, row_columns
from turnout.models.scoring import predictions
from turnout.models.target import Task, check_target, plain_target, rows_with_target
from turnout.monitoring.reference import keep_training
from turnout.trackers.mirror import mirror
from turnout.trackers.mlflow import code_revision, require_answer
from turnout.trackers.reproducible import keep_recipe

_HINT = "log it with turnout.models.log(fitted, model, table, target=..., task=...) in the step that trains it"


@dataclass(frozen=True)
class Contract:
    """What a model's artifact says of it, in its metadata.

    Attributes:
        run_id, model_uri: where MLflow has it.
        timestamp: column with each row's time; may be empty.
    """

    task: Task
    target: str
    run_id: str
    model_uri: str
    timestamp: str = ""


def contract_of(model: Any) -> Contract:
    """What a model's artifact says of it.

    Raises:
        ComponentError: something is missing.
    """
    said = model.metadata
    needed = ("task", "target", "mlflow_run_id", "mlflow_model_uri")
    if missing := [name for name in needed if not said.get(name)]:
        what = f"the model's metadata does not say {', '.join(missing)}"
        raise ComponentError(what, where=model.uri or model.name, available=sorted(said), hint=_HINT)
    if said["task"] not in get_args(Task):
        what = f"the model's metadata says the task '{said['task']}'"
        raise ComponentError(what, where=model.uri or model.name, available=get_args(Task), hint=_HINT)
    task, target, run_id, model_uri = (said[name] for name in needed)
    return Contract(task, target, run_id, model_uri, said.get("timestamp", ""))


def check_estimator(fitted: Any, task: Task, where: str) -> None:
    """Raise ComponentError unless a model has the methods by which it is judged: scikit-learn's."""
    needed = ("predict", "predict_proba", "classes_") if task == "classification" else ("predict",)
    if missing := [name for name in needed if not hasattr(fitted, name)]:
        hint = "give a fitted estimator with scikit-learn's API; a wrapper with these names is enough"
        what = f"a {type(fitted).__name__} has no {', '.join(missing)}"
        raise ComponentError(what, where=where, hint=hint)


def log(
    fitted: Any,
    model: Any,
    table: pd.DataFrame,
    *,
    target: str,
    task: Task,
    ignore: Sequence[str] = (),
    timestamp: str = "",
    data: Any = None,
    parameters: Mapping[str, Any] = {},
    pip_requirements: Sequence[str] = (),
    experiment: str = "turnout",
    seed: int = 0,
    recipe: Mapping[str, Any] = {},
) -> str:
    """Log a model that a step of yours has fitted, so that the catalogue judges, deploys, uses and watches it.

    MLflow gets the model with its signature, counts of the rows that it learned, some of them, and fingerprints of all;
    the artifact gets a copy of the model, and in its metadata what the next steps ask for. Within an MLflow run of
    yours that run is used, and else one is made.

    Args:
        fitted: an estimator with scikit-learn's API: `predict`; for a classification `predict_proba` and `classes_`.
        model: the step's output, an `Output[Model]`.
        table: the rows that it learned, with the target.
        target: column that it predicts.
        task: `classification` or `regression`.
        ignore: columns of the table that it does not take.
        timestamp: column with each row's time; empty for a table without.
        data: the step's input that the table came from, for the lineage.
        parameters: to log to MLflow.
        pip_requirements: what it needs to be loaded; found from its class when empty.
        experiment: MLflow experiment to log to, where there is no run yet.
        seed: of the rows that are kept.
        recipe: how the step makes its model, as `turnout.data.recipe.made_by` says it, for `turnout reproduce`.

    Returns:
        The MLflow run's id.

    Raises:
        ComponentError: a column is missing, the target does not fit the task, or it is no fitted estimator.
    """
    import mlflow

    require(table, [target, *ignore, *([timestamp] if timestamp else [])], "table")
    rows_with_target(table, target, drop_null=False)
    labels = plain_target(table[target])
    check_target(labels, task)
    check_estimator(fitted, task, "fitted")
    inputs = table.drop(columns=[target, *ignore])
    times = table[timestamp] if timestamp else None
    metadata: Mapping[str, Any] = data.metadata if data is not None else {}
    rows = learned(table, row_columns(metadata, table), times)
    try:
        fitted.predict(inputs.head(5))
    except Exception as error:  # a model may raise anything
        hint = "name in ignore the columns that it does not take, and give the table as it was fitted"
        raise ComponentError(f"the model fails on the first rows: {error}", where="table", hint=hint) from error
    with contextlib.ExitStack() as opened:
        run = mlflow.active_run() or opened.enter_context(training_run(experiment, lineage(metadata)))
        said = {"task": task, "target": target, "ignore": list(ignore), **parameters}
        known = mlflow.get_run(run.info.run_id).data.params  # which cannot change
        mlflow.log_params({name: value for name, value in said.items() if name not in known})
        keep_training(run.info.run_id, inputs, labels, times, seed)
        if recipe:
            keep_recipe(run.info.run_id, recipe, predictions(fitted, inputs, task).values)
        keep_model(
            run, fitted, model, inputs, rows, pip_requirements=pip_requirements, came_from=lineage(metadata),
            task=task, target=target, ignore=list(ignore), timestamp=timestamp,
            estimator=f"{type(fitted).__module__}.{type(fitted).__qualname__}",
        )  # fmt: skip
    if mlflow.active_run() is None:
        mirror(run.info.run_id)
    print(f"logged a {type(fitted).__name__} of {len(table):,} rows; MLflow run {run.info.run_id}")
    return str(run.info.run_id)


@contextlib.contextmanager
def training_run(experiment: str, came_from: Mapping[str, Any]) -> Iterator[Any]:
    """An MLflow run with tags that say from which code and data a model comes."""
    import mlflow

    require_answer()
    if "MLFLOW_RUN_ID" not in os.environ:  # set by KFP's MLflow plugin, together with the experiment
        mlflow.set_experiment(experiment)
    tags = {
        "turnout.run_id": os.environ.get("TURNOUT_RUN_ID", ""),
        "turnout.code": code_revision(),
        "turnout.data": came_from.get("data_digest", ""),
        "turnout.data_source": came_from.get("source", ""),
        "turnout.data_revision": came_from.get("revision", ""),
        "turnout.features": came_from.get("features_digest", ""),
    }
    with mlflow.start_run(tags={key: value for key, value in tags.items() if value}) as run:
        yield run


def keep_model(
    run: Any,
    fitted: Any,
    model: Any,
    inputs: pd.DataFrame,
    rows: Learned,
    *,
    came_from: Mapping[str, Any],
    pip_requirements: Sequence[str] = (),
    **said: Any,
) -> None:
    """Log a fitted model to an MLflow run, and write its artifact.

    Args:
        inputs: the columns that it learned, whose types are its signature.
        rows: what it learned, as fingerprints.
        came_from: the lineage of its rows.
        said: what the artifact's metadata says beside where MLflow has the model.
    """
    import mlflow
    from mlflow.models import infer_signature

    keep_learned(run.info.run_id, rows)
    example = inputs.head(5)
    try:
        signature = infer_signature(inputs, fitted.predict(example))
    except Exception as error:  # MLflow's, of types that it does not know
        hint = "make numbers, texts or times of the columns"
        raise ComponentError(f"the columns have no signature: {error}", where="data", hint=hint) from error
    with preparation_inside():
        logged = mlflow.sklearn.log_model(
            fitted,
            name="model",
            signature=signature,
            input_example=example,
            serialization_format="cloudpickle",
            pip_requirements=list(pip_requirements) or requirements(fitted),
        )
    last = fitted.steps[-1][1] if hasattr(fitted, "steps") else fitted
    if isinstance(last, Network):
        last.keep_in_mlflow(run.info.run_id)
    save_copy(logged.model_uri, model.path)
    model.metadata.update(came_from)
    model.metadata.update(
        framework="sklearn",
        **said,
        code_revision=code_revision(),
        mlflow_experiment_id=run.info.experiment_id,
        mlflow_run_id=run.info.run_id,
        mlflow_model_uri=logged.model_uri,
        mlflow_tracking_uri=mlflow.get_tracking_uri(),
    )
