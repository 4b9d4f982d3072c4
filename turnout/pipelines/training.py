"""Train a model on a table, judge it, and if it is better than the champion put it into service."""

from turnout import pipeline
from turnout.components.train import train
from turnout.pipelines import _fields as fields
from turnout.pipelines._steps import judge_and_deploy, rows_to_learn

HYPERPARAMETERS = {"n_estimators": 300, "learning_rate": 0.05, "colsample_bytree": 0.7, "min_child_samples": 100}


@pipeline(
    name="flight-delay-training",
    display_name="Training",
    tags=["training", "example"],
    max_active_runs=1,
    sections={
        "Training": ["source", "target", "task", "estimator", "metric", "registered_model"],
        "Data": ["revision", "timestamps", "separator", "decimal", "encoding", "suite"],
        "Features": ["feature_service", "feature_repository", "feature_sources"],
        "Model": ["ignore", "drop_null_target", "derive", "timezone", "hyperparameters", "seed"],
        "Test": ["timestamp", "keys", "test_fraction", "gap_hours"],
        "Judgement": ["minimum_improvement", "slices", "minimum_rows", "require_champion"],
        "Service": ["precision", "maximum_loss", "deploy_target", "deploy_percent", "deploy_shadow"],
        "Records": ["experiment"],
    },
)
def training(
    source: fields.Table = "data/flights/flights.parquet",
    revision: fields.Revision = "",
    timestamps: fields.TimeColumns = [],
    separator: fields.Separator = "",
    decimal: fields.Decimal = "auto",
    encoding: fields.Encoding = "",
    suite: fields.Suite = "expectations/flights.json",
    feature_service: fields.FeatureService = "flight_delay",
    feature_repository: fields.FeatureRepository = "feature_repo",
    feature_sources: fields.FeatureSources = "data/flights",
    target: fields.Target = "late",
    drop_null_target: fields.DropNullTarget = False,
    task: fields.Task = "classification",
    ignore: fields.NotLearned = ["flight_id", "event_timestamp"],
    derive: fields.Calendar = [],
    timezone: fields.TimeZone = "UTC",
    timestamp: fields.Timestamp = "event_timestamp",
    keys: fields.Keys = [],
    test_fraction: fields.TestFraction = 0.2,
    gap_hours: fields.GapHours = 24.0,
    estimator: fields.Estimator = "lightgbm.LGBMClassifier",
    hyperparameters: fields.Hyperparameters = HYPERPARAMETERS,
    seed: fields.Seed = 0,
    metric: fields.JudgedBy = "roc_auc",
    minimum_improvement: fields.MinimumImprovement = 0.0,
    slices: fields.Slices = ["carrier", "origin"],
    minimum_rows: fields.MinimumRows = 50,
    require_champion: fields.RequireChampion = False,
    registered_model: fields.RegisteredModel = "flight-delay",
    experiment: fields.Experiment = "flight-delay",
    precision: fields.Precision = "exact",
    maximum_loss: fields.MaximumLoss = 0.01,
    deploy_target: fields.DeployTarget = "registry",
    deploy_percent: fields.DeployPercent = 100.0,
    deploy_shadow: fields.DeployShadow = False,
) -> None:
    """Train a model on a table, judge it, and if it is better than the champion put it into service.

    The defaults train on the flights that left New York in 2013: will a flight arrive more than 15
    minutes late, judged at the start of the hour in which it should depart? Other parameters make it
    the training of any other table with classes or a number to predict.

    Args:
        source: Path or URI of the table; with a revision, its path in the DVC repository.
        revision: Git revision of the DVC repository to train on; empty for the data as it is now.
        timestamps: Columns that hold times, as texts or dates.
        separator: What separates the values of a CSV source, such as ; or tab; found from its rows when empty.
        decimal: What stands before the fraction of a CSV source's numbers; found from its columns when auto.
        encoding: Of a CSV source, such as latin-1; UTF-8, or what the file's mark says, when empty.
        suite: Path or URI of the Great Expectations suite the table must pass; empty for none.
        feature_service: Feast feature service to join; empty for none.
        feature_repository: Path of the Feast repository.
        feature_sources: Path, URI or DVC path of the features' source tables.
        target: Column to predict.
        drop_null_target: Leave out rows whose target is null; else they are refused.
        task: What kind of prediction it is.
        ignore: Columns that are not for learning.
        timestamp: Column with each row's time, to test on the last part; empty to split by a hash of the keys.
        keys: Columns that tell rows apart; empty for all columns.
        derive: Calendar features that the model makes of columns of times that are not ignored.
        timezone: IANA name of the zone in which they are counted.
        test_fraction: Share of the rows to test on.
        gap_hours: Hours before the test rows that are left out of training.
        estimator: Dotted path of an estimator with scikit-learn's API.
        hyperparameters: Arguments of the estimator.
        seed: Seed of the estimator and of the split by keys.
        metric: What decides whether the model is better; higher is better.
        minimum_improvement: How much better than the champion it must be.
        slices: Columns by whose values the score is shown.
        minimum_rows: Rows that neither model has learned, below which the champion stays.
        require_champion: Fail when there is no champion to compare with, or none that can be compared.
        registered_model: Name in the MLflow registry.
        experiment: MLflow experiment to log to.
        precision: Of the form that answers; float16 and int8 are smaller, and for networks only.
        maximum_loss: What such a form may lose of the metric, in its own unit; else the exact form is used.
        deploy_target: Where a better model is put into service; the registry's champion alone when registry.
        deploy_percent: Percent of the requests that it gets; with less than 100 a release goes on from there.
        deploy_shadow: Give it copies of requests only, as the first step of a release.
    """
    parts = rows_to_learn(
        source=source,
        revision=revision,
        timestamps=timestamps,
        separator=separator,
        decimal=decimal,
        encoding=encoding,
        suite=suite,
        feature_service=feature_service,
        feature_repository=feature_repository,
        feature_sources=feature_sources,
        timestamp=timestamp,
        keys=keys,
        test_fraction=test_fraction,
        gap_hours=gap_hours,
        target=target,
        drop_null_target=drop_null_target,
        seed=seed,
        registered_model=registered_model,
        deploy_target=deploy_target,
        deploy_percent=deploy_percent,
        deploy_shadow=deploy_shadow,
    )
    trained = train(
        data=parts.outputs["train"],
        target=target,
        task=task,
        estimator=estimator,
        hyperparameters=hyperparameters,
        ignore=ignore,
        derive=derive,
        timezone=timezone,
        timestamp=timestamp,
        seed=seed,
        experiment=experiment,
    )
    judge_and_deploy(
        model=trained.outputs["model"],
        test=parts.outputs["test"],
        metric=metric,
        minimum_improvement=minimum_improvement,
        slices=slices,
        minimum_rows=minimum_rows,
        require_champion=require_champion,
        registered_model=registered_model,
        precision=precision,
        maximum_loss=maximum_loss,
        deploy_target=deploy_target,
        deploy_percent=deploy_percent,
        deploy_shadow=deploy_shadow,
    )
