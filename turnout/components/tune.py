"""Search for an estimator's best hyperparameters."""

from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge

from turnout import HTML, Dataset, Input, Metrics, Output, component
from turnout.components.evaluate import Metric
from turnout.components.train import Derived
from turnout.models import outside


class Tuned(NamedTuple):
    """The best hyperparameters, as `train` takes them, and their score."""

    best: dict[str, Any]
    score: float


@component(outside=outside.tracking)
def tune(
    data: Input[Dataset],
    table: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    target: str,
    space: dict[str, Any],
    task: Literal["classification", "regression"] = "classification",
    estimator: str = "lightgbm.LGBMClassifier",
    hyperparameters: dict[str, Any] = {},
    ignore: list[str] = [],
    timestamp: str = "",
    drop_null_target: bool = False,
    derive: list[Derived] = [],
    timezone: str = "UTC",
    gap_hours: Annotated[float, Ge(0)] = 0.0,
    folds: Annotated[int, Ge(2)] = 4,
    metric: Metric = "roc_auc",
    trials: Annotated[int, Ge(1)] = 30,
    seconds: Annotated[float, Ge(0)] = 0.0,
    pruner: Literal["none", "median"] = "none",
    study: str = "",
    seed: int = 0,
    experiment: str = "turnout",
) -> Tuned:
    """Search for an estimator's best hyperparameters, with Optuna, judged by cross-validation.

    With a column of times each fold learns from the past and is judged by what came next. MLflow keeps the search: a
    run, and below it one for each trial. A step that is killed and tried again goes on after the trials that have
    ended; none counts twice, and the same seed tries the same.

    Args:
        data: the rows to learn from; not those that the model is judged by in the end.
        table: a row for each trial; its metadata has the best hyperparameters and their score.
        metrics: the best score, and how many trials there were.
        report: what was chosen, how it was judged, what mattered, all trials.
        target: column to predict, as `train` takes it.
        space: what to search, by hyperparameter: {"type": "int" or "float", "low": ..., "high": ..., "log": true,
            "step": ...}, or {"choices": [...]}; as Optuna's distributions in JSON.
        task: what kind of prediction it is.
        estimator: dotted path of an estimator with scikit-learn's API.
        hyperparameters: its arguments that are not searched. Those that are in the space are what the first trial
            tries, so that the result is never worse than they are, by these folds.
        ignore: columns that are not for learning.
        timestamp: column with each row's time; empty for folds by a hash of the rows' keys, as `split` does it.
        drop_null_target: leave out rows whose target is null, and say how many; else they are refused.
        derive: calendar features that the model makes of columns of times, as `train` does.
        timezone: IANA name of the zone in which they are counted.
        gap_hours: hours before the rows of a fold that are left out of its training.
        folds: how often each trial is fitted and judged.
        metric: what decides; by scikit-learn's names, higher is better.
        trials: how many at most.
        seconds: after which no other trial begins; 0 for no limit.
        pruner: median ends a trial after a fold when it is worse, so far, than half of the others were.
        study: name of a search to go on with, such as one of an earlier run, with more trials; it must be of the same
            data and settings. When empty, only another attempt of this run goes on.
        seed: of the search, of the folds and of the estimator's random state.
        experiment: MLflow experiment to log to.
    """
    import os
    from pathlib import Path

    import pandas as pd

    from turnout import ComponentError
    from turnout.data.digest import content_digest
    from turnout.data.tables import lineage, require, write_table
    from turnout.models.estimators import make_estimator, split_columns
    from turnout.models.folds import check_classes, keyed_folds, time_folds
    from turnout.models.inputs import leave_out_empty
    from turnout.models.learned import row_columns
    from turnout.models.metrics import METRICS
    from turnout.models.search_space import read_space
    from turnout.models.target import check_target, rows_with_target
    from turnout.models.tuning import best_of, cross_validation, search
    from turnout.models.tuning_report import trials_table, tuning_report
    from turnout.trackers.mirror import mirror
    from turnout.trackers.mlflow import code_revision
    from turnout.trackers.study import Study

    if metric not in METRICS[task]:
        raise ComponentError(f"'{metric}' does not judge a {task}", where="metric", available=METRICS[task],
                             hint="choose one of these, or tune for the other task")  # fmt: skip
    searched = read_space(space)
    start = {name: value for name, value in hyperparameters.items() if name in searched.distributions}
    fixed = {name: value for name, value in hyperparameters.items() if name not in start}
    searched.check_inside(start)
    make_estimator(estimator, {**fixed, **searched.example}, seed, task)
    rows = pd.read_parquet(data.path)
    require(rows, [timestamp] if timestamp else [], "data")
    rows = rows_with_target(rows, target, drop_null_target)
    inputs, labels = split_columns(rows, target, ignore, derive, timezone)
    check_target(labels, task)
    inputs = leave_out_empty(inputs)
    parts = (
        time_folds(rows[timestamp], folds, gap_hours)
        if timestamp
        else keyed_folds(rows, row_columns(data.metadata, rows), folds, seed)
    )
    if task == "classification":
        check_classes(parts, labels)
    facts = {
        "estimator": estimator, "hyperparameters": hyperparameters, "space": space, "task": task, "target": target,
        "drop_null_target": drop_null_target, "ignore": ignore, "derive": derive, "timezone": timezone,
        "timestamp": timestamp, "gap_hours": gap_hours, "folds": folds, "metric": metric, "pruner": pruner,
        "seed": seed, "data": content_digest(Path(data.path)),
    }  # fmt: skip
    run = os.environ.get("TURNOUT_RUN_ID", "")
    kept = Study(experiment, study, facts, {"turnout.run_id": run, "turnout.code": code_revision()}, run)
    objective = cross_validation(
        inputs,
        labels,
        parts,
        estimator=estimator,
        hyperparameters=fixed,
        seed=seed,
        task=task,
        metric=metric,
        derive=derive,
        timezone=timezone,
    )
    try:
        found = search(
            searched, objective, kept, metric=metric, folds=folds, trials=trials, seconds=seconds, seed=seed,
            start=start, pruner=pruner,
        )  # fmt: skip
    except Exception:
        kept.fail()
        raise
    chosen = best_of(found)
    best = {**fixed, **chosen.hyperparameters}
    told = tuning_report(estimator, metric, searched, found, parts, fixed, bool(start)).write(report)
    measured = {metric: chosen.score, "trials": len(found), "earlier_trials": len(kept.earlier)}
    for name, value in measured.items():
        metrics.log_metric(name, value)
    kept.close(measured, best, told)
    mirror(kept.run_id)
    table.metadata.update(lineage(data.metadata) | write_table(trials_table(searched, found, folds), table.path))
    table.metadata.update(
        estimator=estimator, hyperparameters=best, metric=metric, score=chosen.score, scores=list(chosen.folds),
        tested_on=[part.rule for part in parts], mlflow_run_id=kept.run_id,
    )  # fmt: skip
    print(f"{estimator}: trial {chosen.number} of {len(found)} is the best, {metric} {chosen.score:.6g}; "
          f"MLflow run {kept.run_id}")  # fmt: skip
    return Tuned(best, chosen.score)
