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
    reasons: list
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
    require_champion: bool = False,
) -> Verdict:
    """Score a model on held-out rows and compare it with the champion on the same rows.

    A model is promoted when it scores better than the champion by more than `minimum_improvement`, or,
    while there is no champion, better than predicting the mean for every row.

    Args:
        model: the model, as `train` gives it.
        data: rows that the model has not seen, with the target.
        metrics: the scores of the model, and of the champion when there is one.
        classification: ROC curve and confusion matrix; empty for a regression.
        report: scores, comparison, calibration and slices, with plots.
        registered_model: name in the MLflow registry whose alias `champion` is compared with.
        metric: what decides; by scikit-learn's names, higher is better.
        minimum_improvement: how much better than the champion, in the metric's own unit.
        slices: columns by whose values the score is shown.
        require_champion: fail when there is no champion to compare with.
    """
    from pathlib import Path

    import mlflow.sklearn
    import pandas as pd

    from turnout import ComponentError
    from turnout.data.tables import require
    from turnout.models.estimators import split_columns
    from turnout.models.evaluation import evaluation_page, log_classification
    from turnout.models.registry import CHAMPION, load_version, version_by_alias
    from turnout.models.scoring import METRICS, Predictions, all_scores, difference, predictions, score
    from turnout.monitoring.reference import keep_scores

    told = model.metadata
    task, target = told["task"], told["target"]
    if metric not in METRICS[task]:
        raise ComponentError(f"'{metric}' does not judge a {task}", where="metric", available=METRICS[task])
    version = version_by_alias(registered_model, CHAMPION)
    if version is None and require_champion:
        raise ComponentError(f"no champion of '{registered_model}' to compare with", where=mlflow.get_tracking_uri(),
                             hint="train without require_champion first, or set MLFLOW_TRACKING_URI")  # fmt: skip
    table = pd.read_parquet(data.path)
    require(table, slices, "data")
    inputs, labels = split_columns(table, target, told.get("ignore", []))
    found = predictions(mlflow.sklearn.load_model(model.path), inputs, task)
    scores = all_scores(task, labels, found)
    mean = found.truth(labels).mean()
    baseline = score(metric, labels, Predictions(found.values * 0 + mean, found.positive, found.classes))
    compared = None
    if version is None:
        promote = scores[metric] > baseline
        reasons = [f"there is no champion of '{registered_model}' yet",
                   f"{metric} {scores[metric]:.4f} is {'better' if promote else 'not better'} than "
                   f"{baseline:.4f}, the score of predicting the mean"]  # fmt: skip
        champion_scores = {}
    else:
        champion = load_version(version)
        names = list(champion.feature_names_in_)
        require(inputs, names, f"data, for the champion (version {version.version})")
        theirs = predictions(champion, inputs[names], task)
        champion_scores = all_scores(task, labels, theirs)
        compared = difference(metric, labels, found, theirs)
        promote = compared.value > minimum_improvement
        reasons = [f"{metric} {scores[metric]:.4f} against {champion_scores[metric]:.4f} of the champion (version "
                   f"{version.version}), on the same {len(labels):,} rows",
                   f"the difference {compared.value:+.4f} (95 % interval {compared.low:+.4f} to {compared.high:+.4f}) "
                   f"is {'more' if promote else 'not more'} than the {minimum_improvement:g} asked for"]  # fmt: skip
    for name, value in scores.items():
        metrics.log_metric(name, value)
    for name, value in champion_scores.items():
        metrics.log_metric(f"champion_{name}", value)
    if task == "classification":
        log_classification(classification, labels, found)
    Path(report.path).write_text(
        evaluation_page(table, labels, found, task=task, metric=metric, slices=slices, scores=scores,
                        champion_scores=champion_scores, baseline=baseline, promote=promote, reasons=reasons)
    )  # fmt: skip
    client, run_id = mlflow.MlflowClient(), told["mlflow_run_id"]
    for name, value in scores.items():
        client.log_metric(run_id, f"test_{name}", value)
    client.log_artifact(run_id, report.path, "evaluation")
    times = table[told["timestamp"]] if told.get("timestamp") else None
    keep_scores(run_id, metric, found, labels, times)
    print("\n".join([f"promote: {promote}", *reasons]))
    return Verdict(bool(promote), reasons, float(scores[metric]))
