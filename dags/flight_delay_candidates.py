# Compiled by Turnout from the pipeline flight-delay-candidates: change that, not this file.

from airflow.sdk import DAG, Asset, Param, TaskGroup

from turnout.airflow import End, Items, Loop, Step, When

with DAG(
    dag_id="flight-delay-candidates",
    dag_display_name="Candidates",
    doc_md=(
        "Tune several estimators side by side, train the best, judge it, and if it is better put it into service.\n"
        "Each candidate is tuned in a step of its own, two at a time, by the same folds of the training rows. Their results\n"
        "are collected and compared, and the best is trained and judged like any other."
    ),
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["example", "training", "tuning"],
    params={
        "source": Param(
            "data/flights/flights.parquet",
            type=["null", "string"],
            title="Table",
            description="Path or URI of the table; with a revision, its path in the DVC repository. Parameter: source.",
        ),
        "target": Param(
            "late",
            type=["null", "string"],
            title="Column to predict",
            description="Column to predict. Parameter: target.",
        ),
        "task": Param(
            "classification",
            type="string",
            enum=["classification", "regression"],
            values_display={
                "classification": "classification: which class",
                "regression": "regression: which number",
            },
            title="Kind of prediction",
            description="What kind of prediction it is. Parameter: task.",
        ),
        "candidates": Param(
            [
                {
                    "estimator": "lightgbm.LGBMClassifier",
                    "hyperparameters": {
                        "colsample_bytree": 0.7,
                        "learning_rate": 0.05,
                        "min_child_samples": 100,
                        "n_estimators": 300,
                    },
                    "space": {
                        "colsample_bytree": {"high": 1, "low": 0.3, "type": "float"},
                        "learning_rate": {"high": 0.2, "log": True, "low": 0.01, "type": "float"},
                        "min_child_samples": {"high": 500, "log": True, "low": 20, "type": "int"},
                        "num_leaves": {"high": 256, "log": True, "low": 8, "type": "int"},
                    },
                },
                {
                    "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
                    "hyperparameters": {"max_iter": 300},
                    "space": {
                        "learning_rate": {"high": 0.2, "log": True, "low": 0.01, "type": "float"},
                        "max_leaf_nodes": {"high": 256, "log": True, "low": 8, "type": "int"},
                    },
                },
                {
                    "estimator": "sklearn.linear_model.LogisticRegression",
                    "hyperparameters": {"max_iter": 1000},
                    "space": {"C": {"high": 10, "log": True, "low": 0.0001, "type": "float"}},
                },
            ],
            type=["null", "array"],
            items={"type": "object"},
            title="Candidates",
            description="What to tune: for each its estimator, its fixed hyperparameters, and the space of those to search.",
        ),
        "metric": Param(
            "roc_auc",
            type="string",
            enum=[
                "roc_auc",
                "average_precision",
                "neg_brier_score",
                "neg_log_loss",
                "accuracy",
                "f1",
                "r2",
                "neg_mean_absolute_error",
                "neg_root_mean_squared_error",
            ],
            values_display={
                "roc_auc": "ROC AUC, of classes (roc_auc)",
                "average_precision": "average precision, of classes (average_precision)",
                "neg_brier_score": "Brier score, of classes (neg_brier_score)",
                "neg_log_loss": "log loss, of classes (neg_log_loss)",
                "accuracy": "accuracy, of classes (accuracy)",
                "f1": "F1, of classes (f1)",
                "r2": "R², of numbers (r2)",
                "neg_mean_absolute_error": "mean absolute error, of numbers (neg_mean_absolute_error)",
                "neg_root_mean_squared_error": "root mean squared error, of numbers (neg_root_mean_squared_error)",
            },
            title="Metric that decides",
            description="What decides whether the model is better; higher is better. Parameter: metric.",
        ),
        "trials": Param(
            30,
            type="integer",
            minimum=1,
            title="Most trials",
            description="How many to try at most of each candidate. At least 1. Parameter: trials.",
        ),
        "registered_model": Param(
            "flight-delay",
            type=["null", "string"],
            title="Registered model",
            description="Name in the MLflow registry.",
        ),
        "seconds": Param(
            0.0,
            type="number",
            minimum=0,
            section="Search",
            title="Seconds to search",
            description="After how long no other trial of a candidate begins; 0 for no limit. At least 0. Parameter: seconds.",
        ),
        "folds": Param(
            4,
            type="integer",
            minimum=2,
            section="Search",
            title="Folds",
            description="How often each trial is fitted and judged. At least 2.",
        ),
        "pruner": Param(
            "median",
            type="string",
            enum=["none", "median"],
            values_display={"none": "no", "median": "yes, when worse than the median so far"},
            section="Search",
            title="End hopeless trials early",
            description="Whether a trial ends early that is worse, so far, than half of the others were. Parameter: pruner.",
        ),
        "revision": Param(
            "",
            type=["null", "string"],
            examples=["HEAD", "main"],
            section="Data",
            title="DVC revision",
            description="Git revision of the DVC repository to train on; empty for the data as it is now. Parameter: revision.",
        ),
        "timestamps": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            title="Columns of times",
            description="Columns that hold times, as texts or dates. One a line. Parameter: timestamps.",
        ),
        "separator": Param(
            "",
            type=["null", "string"],
            examples=[";", ",", "tab", "|"],
            section="Data",
            title="CSV separator",
            description="What separates the values of a CSV source, such as ; or tab; found from its rows when empty. Parameter: separator.",
        ),
        "decimal": Param(
            "auto",
            type="string",
            enum=["auto", ".", ","],
            values_display={
                "auto": "found from the columns",
                ".": "point, as in 1.5",
                ",": "comma, as in 1,5",
            },
            section="Data",
            title="CSV decimal mark",
            description="What stands before the fraction of a CSV source's numbers; found from its columns when auto. Parameter: decimal.",
        ),
        "encoding": Param(
            "",
            type=["null", "string"],
            examples=["utf-8", "latin-1", "cp1252", "utf-16"],
            section="Data",
            title="CSV encoding",
            description="Of a CSV source, such as latin-1; UTF-8, or what the file's mark says, when empty. Parameter: encoding.",
        ),
        "suite": Param(
            "expectations/flights.json",
            type=["null", "string"],
            examples=["expectations/flights.json", "expectations/flights_to_predict.json"],
            section="Data",
            title="Expectations",
            description="Path or URI of the Great Expectations suite the table must pass; empty for none. Clear the field to see suggestions. Parameter: suite.",
        ),
        "feature_service": Param(
            "flight_delay",
            type=["null", "string"],
            section="Features",
            title="Feature service",
            description="Feast feature service to join; empty for none.",
        ),
        "feature_repository": Param(
            "feature_repo",
            type=["null", "string"],
            section="Features",
            title="Feature repository",
            description="Path of the Feast repository.",
        ),
        "feature_sources": Param(
            "data/flights",
            type=["null", "string"],
            section="Features",
            title="Feature tables",
            description="Path, URI or DVC path of the features' source tables. Parameter: feature_sources.",
        ),
        "ignore": Param(
            ["flight_id", "event_timestamp"],
            type=["null", "array"],
            items={"type": "string"},
            section="Model",
            title="Columns not to learn from",
            description="Columns that are not for learning. One a line. Parameter: ignore.",
        ),
        "drop_null_target": Param(
            False,
            type="boolean",
            section="Model",
            title="Leave out rows without a target",
            description="Leave out rows whose target is null; else they are refused. Parameter: drop_null_target.",
        ),
        "derive": Param(
            [],
            type=["null", "array"],
            items={
                "type": "string",
                "enum": [
                    "year",
                    "quarter",
                    "month",
                    "day",
                    "day_of_year",
                    "weekday",
                    "hour",
                    "minute",
                ],
            },
            examples=["year", "quarter", "month", "day", "day_of_year", "weekday", "hour", "minute"],
            section="Model",
            title="Calendar features",
            description="Calendar features that the model makes of columns of times that are not ignored. Parameter: derive.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            examples=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"],
            section="Model",
            title="Time zone",
            description="IANA name of the zone in which they are counted. Clear the field to see suggestions. Parameter: timezone.",
        ),
        "seed": Param(
            0,
            type="integer",
            section="Model",
            title="Random seed",
            description="Seed of the estimator and of the split by keys. Parameter: seed.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Test",
            title="Column of the time",
            description="Column with each row's time, to test on the last part; empty to split by a hash of the keys. Parameter: timestamp.",
        ),
        "keys": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Test",
            title="Key columns",
            description="Columns that tell rows apart; empty for all columns. One a line. Parameter: keys.",
        ),
        "test_fraction": Param(
            0.2,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            section="Test",
            title="Share of test rows",
            description="Share of the rows to test on. Above 0, below 1. Parameter: test_fraction.",
        ),
        "gap_hours": Param(
            24.0,
            type="number",
            minimum=0,
            section="Test",
            title="Hours left out before the test rows",
            description="Hours before the test rows that are left out of training. At least 0. Parameter: gap_hours.",
        ),
        "minimum_improvement": Param(
            0.0,
            type="number",
            minimum=0,
            section="Judgement",
            title="Improvement over the champion",
            description="How much better than the champion it must be. At least 0. Parameter: minimum_improvement.",
        ),
        "slices": Param(
            ["carrier", "origin"],
            type=["null", "array"],
            items={"type": "string"},
            section="Judgement",
            title="Columns to break the score down by",
            description="Columns by whose values the score is shown. One a line. Parameter: slices.",
        ),
        "minimum_rows": Param(
            50,
            type="integer",
            minimum=1,
            section="Judgement",
            title="Least rows to judge by",
            description="Rows that neither model has learned, below which the champion stays. At least 1. Parameter: minimum_rows.",
        ),
        "require_champion": Param(
            False,
            type="boolean",
            section="Judgement",
            title="There must be a champion",
            description="Fail when there is no champion to compare with, or none that can be compared. Parameter: require_champion.",
        ),
        "precision": Param(
            "exact",
            type="string",
            enum=["exact", "float16", "int8"],
            values_display={
                "exact": "the model's own (exact)",
                "float16": "16 bits, of networks (float16)",
                "int8": "8 bits, of networks (int8)",
            },
            section="Service",
            title="Precision of the form that answers",
            description="Of the form that answers; float16 and int8 are smaller, and for networks only. Parameter: precision.",
        ),
        "maximum_loss": Param(
            0.01,
            type="number",
            minimum=0,
            section="Service",
            title="Loss that such a form may have",
            description="What such a form may lose of the metric, in its own unit; else the exact form is used. At least 0. Parameter: maximum_loss.",
        ),
        "deploy_target": Param(
            "registry",
            type=["null", "string"],
            examples=["registry", "local", "kubernetes:kubernetes.yaml"],
            section="Service",
            title="Target",
            description="Where a better model is put into service; the registry's champion alone when registry. Clear the field to see suggestions. Parameter: deploy_target.",
        ),
        "deploy_percent": Param(
            100.0,
            type="number",
            exclusiveMinimum=0,
            maximum=100,
            section="Service",
            title="Percent of the requests",
            description="Percent of the requests that it gets; with less than 100 a release goes on from there. Above 0, at most 100. Parameter: deploy_percent.",
        ),
        "deploy_shadow": Param(
            False,
            type="boolean",
            section="Service",
            title="Copies of requests only",
            description="Give it copies of requests only, as the first step of a release. Parameter: deploy_shadow.",
        ),
        "experiment": Param(
            "flight-delay",
            type=["null", "string"],
            section="Records",
            title="MLflow experiment",
            description="MLflow experiment to log to. Parameter: experiment.",
        ),
    },
    default_args={
        "spec": "flight_delay_candidates.yaml",
        "spec_digest": "sha256:ef9bf9ab0e24bf7d57e921e205fb1febff1f1b7416cfaad149b0bbee613b96fd",
    },
) as dag:
    ingest = Step(
        task_id="ingest",
        doc_md="Read a table from where it is kept, and record exactly what was read.",
        inlets=[Asset(name="data/flights/flights.parquet")],
        inputs={
            "decimal": dag.param("decimal"),
            "encoding": dag.param("encoding"),
            "revision": dag.param("revision"),
            "separator": dag.param("separator"),
            "source": dag.param("source"),
            "timestamps": dag.param("timestamps"),
        },
    )
    require_target = Step(
        task_id="require-target",
        doc_md="Fail when a target could not take a version as `deploy` would give it, before anybody trains one for hours.",
        inputs={
            "percent": dag.param("deploy_percent"),
            "registered_model": dag.param("registered_model"),
            "shadow": dag.param("deploy_shadow"),
            "target": dag.param("deploy_target"),
        },
    )
    validate = Step(
        task_id="validate",
        doc_md="Check a dataset against a suite of expectations, and stop the run when it fails.",
        inputs={"suite": dag.param("suite"), "data": ingest.output["data"]},
    )
    require_target >> validate
    featurise = Step(
        task_id="featurise",
        doc_md="Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.",
        inlets=[Asset(name="data/flights"), Asset(name="data/flights/flights.parquet")],
        inputs={
            "feature_service": dag.param("feature_service"),
            "repository": dag.param("feature_repository"),
            "revision": dag.param("revision"),
            "sources": dag.param("feature_sources"),
            "entities": ingest.output["data"],
        },
    )
    validate >> featurise
    split = Step(
        task_id="split",
        doc_md="Keep the last part of the time for testing, so that nothing of the future leaks into training.",
        inputs={
            "drop_null_target": dag.param("drop_null_target"),
            "gap_hours": dag.param("gap_hours"),
            "keys": dag.param("keys"),
            "seed": dag.param("seed"),
            "target": dag.param("target"),
            "test_fraction": dag.param("test_fraction"),
            "timestamp": dag.param("timestamp"),
            "data": featurise.output["features"],
        },
    )
    each_candidate_items = Items(task_id="each-candidate-items", items=dag.param("candidates"))
    with Loop("each-candidate", each_candidate_items, parallelism=2) as each_candidate:
        tune = Step(
            task_id="tune",
            doc_md="Search for an estimator's best hyperparameters, with Optuna, judged by cross-validation.",
            inputs={
                "derive": dag.param("derive"),
                "estimator": each_candidate.item["estimator"],
                "experiment": dag.param("experiment"),
                "folds": dag.param("folds"),
                "gap_hours": dag.param("gap_hours"),
                "hyperparameters": each_candidate.item["hyperparameters"],
                "ignore": dag.param("ignore"),
                "metric": dag.param("metric"),
                "pruner": dag.param("pruner"),
                "seconds": dag.param("seconds"),
                "seed": dag.param("seed"),
                "space": each_candidate.item["space"],
                "target": dag.param("target"),
                "task": dag.param("task"),
                "timestamp": dag.param("timestamp"),
                "timezone": dag.param("timezone"),
                "trials": dag.param("trials"),
                "data": split.output["train"],
            },
        )
    split >> each_candidate_items
    each_candidate_end = End(task_id="each-candidate-end", region="each-candidate")
    [each_candidate_items, each_candidate] >> each_candidate_end
    choose = Step(
        task_id="choose",
        doc_md="Compare what several `tune` steps found, and choose the best: the end of a loop over candidates.",
        inputs={"tables": each_candidate.collect(tune.output["table"])},
    )
    each_candidate_end >> choose
    train = Step(
        task_id="train",
        doc_md="Fit an estimator on a table and log it to MLflow, preprocessing included.",
        inputs={
            "derive": dag.param("derive"),
            "estimator": choose.output["estimator"],
            "experiment": dag.param("experiment"),
            "hyperparameters": choose.output["best"],
            "ignore": dag.param("ignore"),
            "seed": dag.param("seed"),
            "target": dag.param("target"),
            "task": dag.param("task"),
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
            "data": split.output["train"],
        },
    )
    evaluate = Step(
        task_id="evaluate",
        doc_md="Score a model on held-out rows and compare it with the champion on the same rows.",
        inputs={
            "metric": dag.param("metric"),
            "minimum_improvement": dag.param("minimum_improvement"),
            "minimum_rows": dag.param("minimum_rows"),
            "registered_model": dag.param("registered_model"),
            "require_champion": dag.param("require_champion"),
            "slices": dag.param("slices"),
            "data": split.output["test"],
            "model": train.output["model"],
        },
    )
    promote_when = When(
        task_id="promote-when",
        condition="evaluate_promote == true",
        inputs={"evaluate_promote": evaluate.output["promote"]},
    )
    with TaskGroup("promote") as promote:
        register = Step(
            task_id="register",
            doc_md="Make a trained model a version in the MLflow registry; the same model again is the same version.",
            publishes={"version": Asset(name="models:/flight-delay@challenger")},
            asset_names={"version": "models:/{registered_model}@{alias}"},
            inlets=[Asset(name="data/flights/flights.parquet"), Asset(name="data/flights")],
            inputs={
                "maximum_loss": dag.param("maximum_loss"),
                "precision": dag.param("precision"),
                "registered_model": dag.param("registered_model"),
                "model": train.output["model"],
            },
        )
        deploy = Step(
            task_id="deploy",
            doc_md="Try a model version on sample rows, then put it into service: for all requests, or a part of them.",
            publishes={"champion": Asset(name="models:/flight-delay@champion")},
            asset_names={"champion": "models:/{registered_model}@{alias}"},
            inlets=[Asset(name="data/flights/flights.parquet"), Asset(name="data/flights")],
            inputs={
                "percent": dag.param("deploy_percent"),
                "registered_model": dag.param("registered_model"),
                "shadow": dag.param("deploy_shadow"),
                "target": dag.param("deploy_target"),
                "version": register.output["version"],
                "why": "trained",
                "sample": split.output["test"],
            },
        )
    split >> promote_when
    train >> promote_when
    promote_when >> promote
