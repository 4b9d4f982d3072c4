"""Fit a model and log it to MLflow."""

from typing import Any, Literal

from turnout import Dataset, Input, Metrics, Model, Output, component
from turnout.models import outside

Derived = Literal["year", "quarter", "month", "day", "day_of_year", "weekday", "hour", "minute"]


@component(outside=outside.tracking)
def train(
    data: Input[Dataset],
    model: Output[Model],
    metrics: Output[Metrics],
    target: str,
    task: Literal["classification", "regression"] = "classification",
    estimator: str = "lightgbm.LGBMClassifier",
    hyperparameters: dict[str, Any] = {},
    ignore: list[str] = [],
    timestamp: str = "",
    drop_null_target: bool = False,
    derive: list[Derived] = [],
    timezone: str = "UTC",
    seed: int = 0,
    experiment: str = "turnout",
) -> None:
    """Fit an estimator on a table and log it to MLflow, preprocessing included.

    The MLflow run holds parameters, training metrics, the model with signature and input example, counts of the rows
    and 2,000 of them to compare later ones with (`monitor`), fingerprints of all rows, so that no model is judged by
    rows that it has learned (`evaluate`), and tags for the lineage: code (git commit), data (digest and DVC revision)
    and features (digests); and what `turnout reproduce` needs: how the rows were made, the installed packages, and
    changes of the code that are in no commit.

    Args:
        data: the rows to learn from.
        model: the fitted model, in MLflow's format; its metadata says where MLflow has it.
        metrics: the score on the training rows, and the rows and seconds it took.
        target: column to predict: classes, two or more, as texts, truth values or whole numbers; or a number.
        task: what kind of prediction it is.
        estimator: dotted path of an estimator with scikit-learn's API; those in `turnout.models.frameworks` are
            networks of TensorFlow, JAX and PyTorch.
        hyperparameters: its constructor's arguments.
        ignore: columns that are not for learning: identifiers, times, what is only known afterwards.
        timestamp: column with each row's time, where rows of a day have something in common that monitoring has to
            know: a day's weather is not the year's.
        drop_null_target: leave out rows whose target is null, and say how many; else they are refused.
        derive: calendar features that the model makes of columns of times, as whole numbers: months and days from 1,
            weekdays from 0, which is Monday. Without any, times are not for learning.
        timezone: IANA name of the zone in which they are counted.
        seed: of the estimator's random state.
        experiment: MLflow experiment to log to.
    """
    given = dict(locals())
    import time

    import mlflow
    import pandas as pd

    from turnout.data.recipe import made_by
    from turnout.data.tables import lineage, require
    from turnout.models.contract import keep_model, training_run
    from turnout.models.estimators import RARE, make_estimator, make_model, split_columns
    from turnout.models.inputs import leave_out_empty, tell_identifiers
    from turnout.models.learned import learned, row_columns
    from turnout.models.scoring import DEFAULT_METRIC, predictions, score
    from turnout.models.target import check_target, rows_with_target
    from turnout.monitoring.reference import keep_training
    from turnout.trackers.mirror import mirror
    from turnout.trackers.mlflow import require_answer
    from turnout.trackers.reproducible import keep_recipe

    require_answer()
    table = pd.read_parquet(data.path)
    require(table, [timestamp] if timestamp else [], "data")
    table = rows_with_target(table, target, drop_null_target)
    inputs, labels = split_columns(table, target, ignore, derive, timezone)
    check_target(labels, task)
    times = table[timestamp] if timestamp else None
    rows = learned(table, row_columns(data.metadata, table), times)
    inputs = leave_out_empty(inputs)
    tell_identifiers(inputs, RARE)
    fitted = make_model(inputs, make_estimator(estimator, hyperparameters, seed, task), derive, timezone)
    came_from = lineage(data.metadata)
    with training_run(experiment, came_from) as run:
        mlflow.log_params({"estimator": estimator, "task": task, "target": target, "seed": seed, "ignore": ignore})
        mlflow.log_params(fitted["estimator"].get_params())
        print(f"fitting {estimator} on {len(inputs):,} rows and {inputs.shape[1]:,} columns", flush=True)
        started = time.monotonic()
        fitted.fit(inputs, labels)
        seconds = time.monotonic() - started
        found = predictions(fitted, inputs, task)
        metric = DEFAULT_METRIC[task]
        measured = {
            f"training_{metric}": score(metric, labels, found),
            "training_rows": len(inputs),
            "training_seconds": round(seconds, 3),
        }
        mlflow.log_metrics(measured)
        keep_training(run.info.run_id, inputs, labels, times, seed)
        recipe = made_by("turnout.components.train:train", given, inputs={"data": data.metadata})
        keep_recipe(run.info.run_id, recipe, found.values)
        keep_model(
            run, fitted, model, inputs, rows, came_from=came_from,
            estimator=estimator, task=task, target=target, ignore=ignore, timestamp=timestamp, derive=derive,
            timezone=timezone,
        )  # fmt: skip
    for name, value in measured.items():
        metrics.log_metric(name, value)
    mirror(run.info.run_id)
    print(f"fitted {estimator} on {len(inputs):,} rows in {seconds:.1f} s; MLflow run {run.info.run_id}")
