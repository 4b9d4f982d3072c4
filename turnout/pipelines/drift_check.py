"""Hold the rows of a data interval against what the champion was trained on; tell, and train, when they drifted."""

import datetime
from typing import Annotated

from annotated_types import Ge, Gt, Le
from kfp import dsl

from turnout import Title, pipeline
from turnout.components.cool_down import cool_down
from turnout.components.featurise import featurise
from turnout.components.ingest import ingest
from turnout.components.monitor import monitor
from turnout.components.notify import notify
from turnout.components.pin_model import pin_model
from turnout.components.require_rows import require_rows
from turnout.pipelines import _fields as fields
from turnout.pipelines.training import HYPERPARAMETERS, training


@pipeline(
    name="flight-delay-drift-check",
    display_name="Drift check",
    schedule="@daily",
    data_interval=("since", "until"),
    max_active_runs=1,
    tags=["monitoring", "example"],
    sections={
        "Check": ["source", "registered_model", "predictions", "channels"],
        "Times": ["since", "until", "timestamp", "timezone"],
        "Data": ["keys", "ignore", "prefix", "timestamps", "separator", "decimal", "encoding"],
        "Features": ["feature_service", "feature_repository", "feature_sources"],
        "Judgement": ["metric", "rate", "least_distance", "null_limit", "least_rows", "least_loss", "stale_hours"],
        "Fairness": ["groups", "least_unfairness"],
        "Notices": ["silence_hours", "notices", "prometheus"],
        "Training after drift": [
            "cool_down_days",
            "training_source",
            "suite",
            "target",
            "drop_null_target",
            "task",
            "not_learned",
            "derive",
            "estimator",
            "hyperparameters",
            "slices",
            "minimum_rows",
            "experiment",
        ],
        "Service": ["precision", "maximum_loss", "deploy_target", "deploy_percent", "deploy_shadow"],
    },
)
def drift_check(
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    source: fields.Table = "data/replay/flights.parquet",
    timestamps: fields.TimeColumns = [],
    separator: fields.Separator = "",
    decimal: fields.Decimal = "auto",
    encoding: fields.Encoding = "",
    timestamp: fields.Timestamp = "event_timestamp",
    timezone: fields.TimeZone = "UTC",
    keys: fields.Keys = ["flight_id"],
    predictions: fields.Predictions = "",
    prefix: fields.Prefix = "",
    ignore: Annotated[list[str], Title("Columns not to compare")] = [],
    feature_service: fields.FeatureService = "flight_delay",
    feature_repository: fields.FeatureRepository = "feature_repo",
    feature_sources: fields.FeatureSources = "data/replay",
    registered_model: fields.RegisteredModel = "flight-delay",
    groups: Annotated[list[str], Title("Columns of groups")] = [],
    least_unfairness: Annotated[float, Ge(0), Le(1), Title("Unfairness that does not matter")] = 0.1,
    rate: Annotated[float, Gt(0), Le(0.5), Title("Rate of false discoveries")] = 0.05,
    least_distance: Annotated[float, Ge(0), Le(1), Title("Drift that does not matter")] = 0.1,
    null_limit: Annotated[float, Ge(0), Le(1), Title("Most further missing values")] = 0.2,
    least_rows: Annotated[int, Ge(1), Title("Least rows to judge by")] = 50,
    least_loss: Annotated[float, Ge(0), Title("Loss that does not matter")] = 0.02,
    stale_hours: Annotated[float, Ge(0), Title("Most hours without new rows")] = 0.0,
    channels: Annotated[list[str], Title("Channels")] = [],
    silence_hours: Annotated[float, Ge(0), Title("Hours between like notices")] = 24.0,
    notices: Annotated[str, Title("File of notices")] = ".turnout/notices.json",
    prometheus: fields.Prometheus = "",
    training_source: Annotated[str, Title("Table to train on")] = "data/replay/flights.parquet",
    suite: fields.Suite = "expectations/flights.json",
    target: fields.Target = "late",
    drop_null_target: fields.DropNullTarget = False,
    task: fields.Task = "classification",
    not_learned: fields.NotLearned = ["flight_id", "event_timestamp"],
    derive: fields.Calendar = [],
    estimator: fields.Estimator = "lightgbm.LGBMClassifier",
    hyperparameters: fields.Hyperparameters = HYPERPARAMETERS,
    metric: fields.JudgedBy = "roc_auc",
    slices: fields.Slices = ["carrier", "origin"],
    minimum_rows: Annotated[int, Ge(1), Title("Least rows to judge a new model by")] = 50,
    experiment: fields.Experiment = "flight-delay",
    cool_down_days: Annotated[float, Ge(0), Title("Days between trainings")] = 7.0,
    precision: fields.Precision = "exact",
    maximum_loss: fields.MaximumLoss = 0.01,
    deploy_target: fields.DeployTarget = "registry",
    deploy_percent: fields.DeployPercent = 100.0,
    deploy_shadow: fields.DeployShadow = False,
) -> None:
    """Hold the rows of a data interval against what the champion was trained on; tell, and train, when they drifted.

    Data that drifted starts the training pipeline as a part of this run, unless one started lately; the new model has
    to be better than the champion, as ever. Data that is broken is told, and trains nothing. Without any rows the run
    fails.

    The defaults check the flights of yesterday: those of the same day of 2013, as if they had left now.

    Args:
        since: Start of the interval, a midnight in the time zone; the schedule's when empty. Not needed without times.
        until: End of the interval, which is not part of it.
        source: Path or URI of the table with the rows, of which a run takes those of its data interval.
        timestamps: Columns that hold times, as texts or dates.
        separator: What separates the values of a CSV source, such as ; or tab; found from its rows when empty.
        decimal: What stands before the fraction of a CSV source's numbers; found from its columns when auto.
        encoding: Of a CSV source, such as latin-1; UTF-8, or what the file's mark says, when empty.
        timestamp: Column with each row's time; empty for a table without times, which is compared whole.
        timezone: IANA name of the zone of the interval, and whose days the predictions are kept by.
        keys: Columns that no two rows may have alike; they also tell rows apart when a new model is trained.
        predictions: Path or URI of the table of predictions; empty to leave them alone.
        prefix: Of the names of the columns that were added there.
        ignore: Columns not to compare.
        feature_service: Feast feature service to join; empty for none.
        feature_repository: Path of the Feast repository.
        feature_sources: Path or URI of the features' source tables.
        registered_model: Name in the MLflow registry, whose champion's training rows are the reference.
        groups: Columns with groups that the model should treat alike.
        least_unfairness: Difference of two groups' shares of yes that does not matter.
        rate: Rate of false discoveries among the differences that count.
        least_distance: The share of rows that a difference must be about to count.
        null_limit: How much the share of missing values of a column may rise before the data is broken.
        least_rows: Rows below which nothing is said.
        least_loss: How much worse the model may be: its metric, or the share of positives for a probability.
        stale_hours: How much older than the end of the interval the newest row may be; 0 for any age.
        channels: Where to tell: Apprise URLs, file:PATH, or $NAME of a variable that holds one.
        silence_hours: How long a channel is not told the same again.
        notices: Path or URI of the file that remembers what was told.
        prometheus: Path of a .prom file, or URL of a Pushgateway; empty for neither.
        training_source: Path or URI of the table to train on.
        suite: Path or URI of the expectations that it must pass; empty for none.
        target: Column to predict.
        drop_null_target: Leave out rows whose target is null; else they are refused.
        task: What kind of prediction it is.
        not_learned: Columns that are not for learning.
        derive: Calendar features that the new model makes of columns of times, counted in the time zone.
        estimator: Dotted path of an estimator with scikit-learn's API.
        hyperparameters: Arguments of the estimator.
        metric: What decides whether the new model is better, and whether the champion is worse; higher is better.
        slices: Columns by whose values the score is shown.
        minimum_rows: Rows that neither model has learned, below which the champion stays.
        experiment: MLflow experiment to log to.
        cool_down_days: How long after a training no other is started.
        precision: Of the form that answers; float16 and int8 are smaller, and for networks only.
        maximum_loss: What such a form may lose of the metric, in its own unit; else the exact form is used.
        deploy_target: Where a better model is put into service; the registry's champion alone when registry.
        deploy_percent: Percent of the requests that it gets; with less than 100 a release goes on from there.
        deploy_shadow: Give it copies of requests only, as the first step of a release.
    """
    pinned = pin_model(model=f"models:/{registered_model}@champion")
    # A day without rows is for the monitor to tell.
    ingested = ingest(
        source=source,
        timestamps=timestamps,
        separator=separator,
        decimal=decimal,
        encoding=encoding,
        timestamp=timestamp,
        since=since,
        until=until,
        timezone=timezone,
        allow_empty=True,
    )
    featurised = featurise(
        entities=ingested.outputs["data"],
        feature_service=feature_service,
        repository=feature_repository,
        sources=feature_sources,
    )
    monitored = monitor(
        data=featurised.outputs["features"],
        model=pinned.outputs["model"],
        ignore=ignore,
        predictions=predictions,
        prefix=prefix,
        since=since,
        until=until,
        timezone=timezone,
        rate=rate,
        least_distance=least_distance,
        null_limit=null_limit,
        least_rows=least_rows,
        metric=metric,
        target=target,
        least_loss=least_loss,
        groups=groups,
        least_unfairness=least_unfairness,
        timestamp=timestamp,
        stale_hours=stale_hours,
        keys=keys,
        prometheus=prometheus,
        check_name="flight-delay-drift-check",
    )
    with dsl.If(monitored.outputs["alert"] == True, name="tell"):  # noqa: E712 - KFP reads the comparison
        notified = notify(
            title=monitored.outputs["title"],
            text=monitored.outputs["summary"],
            severity=monitored.outputs["severity"],
            key=f"drift {registered_model}",
            channels=channels,
            silence_hours=silence_hours,
            state=notices,
        )
        notified.set_retry(num_retries=2, backoff_duration="60s")
        # There was nothing to check: the run that told so does not end as if there had been.
        require_rows(data=ingested.outputs["data"]).after(notified)
    with dsl.If(monitored.outputs["train"] == True, name="train_again"):  # noqa: E712
        cooled = cool_down(registered_model=registered_model, days=cool_down_days)
        with dsl.If(cooled.outputs["start"] == True, name="cooled"):  # noqa: E712
            training(
                source=training_source,
                suite=suite,
                timestamps=timestamps,
                separator=separator,
                decimal=decimal,
                encoding=encoding,
                timestamp=timestamp,
                keys=keys,
                feature_service=feature_service,
                feature_repository=feature_repository,
                feature_sources=feature_sources,
                target=target,
                drop_null_target=drop_null_target,
                task=task,
                ignore=not_learned,
                derive=derive,
                timezone=timezone,
                estimator=estimator,
                hyperparameters=hyperparameters,
                metric=metric,
                slices=slices,
                minimum_rows=minimum_rows,
                registered_model=registered_model,
                experiment=experiment,
                precision=precision,
                maximum_loss=maximum_loss,
                deploy_target=deploy_target,
                deploy_percent=deploy_percent,
                deploy_shadow=deploy_shadow,
            )
