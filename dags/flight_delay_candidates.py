# Compiled by Turnout from the pipeline flight-delay-candidates: change that, not this file.

from airflow.sdk import DAG, Param, TaskGroup

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
            section="Data",
            description="Path or URI of the table; with a revision, its path in the DVC repository.",
        ),
        "revision": Param(
            "",
            type=["null", "string"],
            section="Data",
            description="Git revision of the DVC repository to train on; empty for the data as it is now.",
        ),
        "timestamps": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            description="Columns that hold times, as texts or dates.",
        ),
        "separator": Param(
            "",
            type=["null", "string"],
            section="Data",
            description="What separates the values of a CSV source, such as ; or tab; found from its rows when empty.",
        ),
        "decimal": Param(
            "auto",
            type="string",
            enum=["auto", ".", ","],
            section="Data",
            description="What stands before the fraction of a CSV source's numbers; found from its columns when auto.",
        ),
        "encoding": Param(
            "",
            type=["null", "string"],
            section="Data",
            description="Of a CSV source, such as latin-1; UTF-8, or what the file's mark says, when empty.",
        ),
        "suite": Param(
            "expectations/flights.json",
            type=["null", "string"],
            section="Data",
            description="Path or URI of the Great Expectations suite the table must pass; empty for none.",
        ),
        "feature_service": Param(
            "flight_delay",
            type=["null", "string"],
            section="Features",
            description="Feast feature service to join; empty for none.",
        ),
        "feature_repository": Param(
            "feature_repo",
            type=["null", "string"],
            section="Features",
            description="Path of the Feast repository.",
        ),
        "feature_sources": Param(
            "data/flights",
            type=["null", "string"],
            section="Features",
            description="Path, URI or DVC path of the features' source tables.",
        ),
        "target": Param(
            "late",
            type=["null", "string"],
            section="Model",
            description="Column to predict.",
        ),
        "drop_null_target": Param(
            False,
            type="boolean",
            section="Model",
            description="Leave out rows whose target is null; else they are refused.",
        ),
        "task": Param(
            "classification",
            type="string",
            enum=["classification", "regression"],
            section="Model",
            description="What kind of prediction it is.",
        ),
        "ignore": Param(
            ["flight_id", "event_timestamp"],
            type=["null", "array"],
            items={"type": "string"},
            section="Model",
            description="Columns that are not for learning.",
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
            section="Model",
            description="Calendar features that the model makes of columns of times that are not ignored.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            section="Model",
            description="IANA name of the zone in which they are counted.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Test",
            description="Column with each row's time, to test on the last part; empty to split by a hash of the keys.",
        ),
        "keys": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Test",
            description="Columns that tell rows apart; empty for all columns.",
        ),
        "test_fraction": Param(
            0.2,
            type="number",
            exclusiveMinimum=0,
            exclusiveMaximum=1,
            section="Test",
            description="Share of the rows to test on.",
        ),
        "gap_hours": Param(
            24.0,
            type="number",
            minimum=0,
            section="Test",
            description="Hours before the test rows that are left out of training.",
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
            section="Model",
            description="What to tune: for each its estimator, its fixed hyperparameters, and the space of those to search.",
        ),
        "trials": Param(
            30,
            type="integer",
            minimum=1,
            section="Search",
            description="How many to try at most of each candidate.",
        ),
        "seconds": Param(
            0.0,
            type="number",
            minimum=0,
            section="Search",
            description="After how long no other trial of a candidate begins; 0 for no limit.",
        ),
        "folds": Param(
            4,
            type="integer",
            minimum=2,
            section="Search",
            description="How often each trial is fitted and judged.",
        ),
        "pruner": Param(
            "median",
            type="string",
            enum=["none", "median"],
            section="Search",
            description="Whether a trial ends early that is worse, so far, than half of the others were.",
        ),
        "seed": Param(
            0,
            type="integer",
            section="Model",
            description="Seed of the estimator and of the split by keys.",
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
            section="Judgement",
            description="What decides whether the model is better; higher is better.",
        ),
        "minimum_improvement": Param(
            0.0,
            type="number",
            minimum=0,
            section="Judgement",
            description="How much better than the champion it must be.",
        ),
        "slices": Param(
            ["carrier", "origin"],
            type=["null", "array"],
            items={"type": "string"},
            section="Judgement",
            description="Columns by whose values the score is shown.",
        ),
        "minimum_rows": Param(
            50,
            type="integer",
            minimum=1,
            section="Judgement",
            description="Rows that neither model has learned, below which the champion stays.",
        ),
        "require_champion": Param(
            False,
            type="boolean",
            section="Judgement",
            description="Fail when there is no champion to compare with, or none that can be compared.",
        ),
        "registered_model": Param(
            "flight-delay",
            type=["null", "string"],
            section="Records",
            description="Name in the MLflow registry.",
        ),
        "experiment": Param(
            "flight-delay",
            type=["null", "string"],
            section="Records",
            description="MLflow experiment to log to.",
        ),
    },
    default_args={
        "spec": "flight_delay_candidates.yaml",
        "spec_digest": "sha256:a8cdc3738fd163c61d5aa11bede66041f9a59f0d6d2aa652ff6117c62fb9aa75",
    },
) as dag:
    ingest = Step(
        task_id="ingest",
        doc_md="Read a table from where it is kept, and record exactly what was read.",
        inputs={
            "decimal": dag.param("decimal"),
            "encoding": dag.param("encoding"),
            "revision": dag.param("revision"),
            "separator": dag.param("separator"),
            "source": dag.param("source"),
            "timestamps": dag.param("timestamps"),
        },
    )
    validate = Step(
        task_id="validate",
        doc_md="Check a dataset against a suite of expectations, and stop the run when it fails.",
        inputs={"suite": dag.param("suite"), "data": ingest.output["data"]},
    )
    featurise = Step(
        task_id="featurise",
        doc_md="Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.",
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
            inputs={
                "registered_model": dag.param("registered_model"),
                "model": train.output["model"],
            },
        )
        deploy = Step(
            task_id="deploy",
            doc_md="Try a model version on sample rows, then make it the champion.",
            inputs={
                "registered_model": dag.param("registered_model"),
                "version": register.output["version"],
                "sample": split.output["test"],
            },
        )
    split >> promote_when
    train >> promote_when
    promote_when >> promote
