"""Judge a model on rows it has not seen, beside the current champion."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from turnout import HTML, ClassificationMetrics, Dataset, Input, Metrics, Model, Output, component
from turnout.models import outside

Metric = Literal[
    "roc_auc",
    "average_precision",
    "neg_brier_score",
    "neg_log_loss",
    "accuracy",
    "f1",
    "r2",
    "neg_mean_absolute_error",
    "neg_root_mean_squared_error",
]


class Verdict(NamedTuple):
    """Whether the model should become the champion, why, and its score."""

    promote: bool
    reasons: list[str]
    score: float


@component(outside=outside.champion)
def evaluate(
    model: Input[Model],
    data: Input[Dataset],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
    registered_model: str,
    metric: Metric = "roc_auc",
    minimum_improvement: Annotated[float, Ge(0)] = 0.0,
    slices: list[str] = [],
    minimum_rows: Annotated[int, Ge(1)] = 50,
    require_champion: bool = False,
    drop_null_target: bool = False,
) -> Verdict:
    """Score a model on held-out rows and compare it with the champion on the same rows.

    A model is promoted when it scores better than the champion by more than `minimum_improvement`, or,
    while there is no champion, better than predicting the mean (of classes: their shares) for every row.

    Rows that one of the two has learned say nothing of it: they are left out for both, by the fingerprints that `train`
    keeps. When too few rows are left to compare the two, the champion stays, and the reasons say why. A model that has
    no fingerprints, since something else trained it, is compared on all rows, and the reasons say that too.

    Args:
        model: the model, as `train` gives it.
        data: rows that the model has not seen, with the target.
        metrics: the scores of the model, and of the champion when there is one.
        classification: confusion matrix, and of two classes the ROC curve; empty for a regression.
        report: the verdict and its reasons; metrics beside the champion's with intervals; curves, classes and
            thresholds; which columns matter; slices, the worst first; model, rows and parameters.
        registered_model: name in the MLflow registry whose alias `champion` is compared with.
        metric: what decides; by scikit-learn's names, higher is better. With more than two classes `roc_auc`,
            `average_precision` and `f1` are the mean over classes, each against the rest.
        minimum_improvement: how much better than the champion, in the metric's own unit.
        slices: columns by whose values the score is shown.
        minimum_rows: rows that neither has learned, below which the champion stays.
        require_champion: fail when there is no champion to compare with, or none that can be compared.
        drop_null_target: leave out rows whose target is null, and say how many; else they are refused.
    """
    import mlflow
    import pandas as pd

    from turnout import ComponentError
    from turnout.data.tables import require
    from turnout.models.compiled.judged import keep_rows
    from turnout.models.contract import check_estimator, contract_of
    from turnout.models.evaluation import log_classification
    from turnout.models.evaluation_report.document import evaluation_report
    from turnout.models.files import load
    from turnout.models.judged_rows import judged_rows
    from turnout.models.learned import load_learned
    from turnout.models.metrics import METRICS
    from turnout.models.promotion import champion
    from turnout.models.scoring import predictions
    from turnout.models.signature import columns_of, signature_of
    from turnout.models.target import plain_target, rows_with_target
    from turnout.models.verdict import compare_with_champion
    from turnout.monitoring.reference import keep_scores
    from turnout.trackers.mirror import mirror

    trained = contract_of(model)
    task, target = trained.task, trained.target
    if metric not in METRICS[task]:
        raise ComponentError(f"'{metric}' does not judge a {task}", where="metric", available=METRICS[task],
                             hint="choose one of these, or train for the other task")  # fmt: skip
    current = champion(registered_model)
    if current is None and require_champion:
        raise ComponentError(f"no champion of '{registered_model}' to compare with", where=mlflow.get_tracking_uri(),
                             hint="train without require_champion first, or set MLFLOW_TRACKING_URI")  # fmt: skip
    table = pd.read_parquet(data.path)
    require(table, slices, "data")
    table = rows_with_target(table, target, drop_null_target)
    ours, theirs = load_learned(trained.run_id), load_learned(current.run_id) if current else None
    judged = judged_rows(
        table, ours, current, theirs,
        target=target, task=task, minimum_rows=minimum_rows, timestamp=trained.timestamp,
    )  # fmt: skip
    if judged.refused and require_champion:
        raise ComponentError(judged.refused, where="data", hint="; ".join(judged.reasons))
    given = len(table)
    table = table[judged.chosen].reset_index(drop=True)
    against = f", and by version {current.version}, the champion" if current else ""
    print(f"judging {len(table):,} rows by the model{against}", flush=True)
    labels = plain_target(table[target])
    fitted = load(model.path)[1]
    check_estimator(fitted, task, model.path)
    inputs = columns_of(table, signature_of(model.path))
    found = predictions(fitted, inputs, task)
    verdict = compare_with_champion(
        found, table, labels, task=task, metric=metric, minimum_improvement=minimum_improvement,
        registered_model=registered_model, champion=current, judged=judged,
    )  # fmt: skip
    for name, value in verdict.scores.items():
        metrics.log_metric(name, value)
    for name, value in verdict.champion_scores.items():
        metrics.log_metric(f"champion_{name}", value)
    if task == "classification":
        log_classification(classification, labels, found)
    print("measuring how sure the scores are, and which columns matter", flush=True)
    told = evaluation_report(
        fitted, inputs, table, labels, verdict, task=task, metric=metric, slices=slices, said=model.metadata,
        champion=current, given=given, data=data.metadata,
    ).write(report)  # fmt: skip
    client, run_id = mlflow.MlflowClient(), trained.run_id
    for name, value in verdict.scores.items():
        client.log_metric(run_id, f"test_{name}", value)
    client.log_text(run_id, told, "evaluation/report.html")
    times = table[trained.timestamp] if trained.timestamp else None
    keep_scores(run_id, metric, found, labels, times)
    keep_rows(run_id, inputs, labels, metric)
    mirror(run_id)
    print("\n".join([f"promote: {verdict.promote}", *verdict.reasons]))
    return Verdict(verdict.promote, verdict.reasons, float(verdict.scores[metric]))
