# Compiled by Turnout from the pipeline flight-delay-drift-check: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param, TaskGroup

from turnout.airflow import Interval, Step, Template, When

with DAG(
    dag_id="flight-delay-drift-check",
    dag_display_name="Drift check",
    doc_md=(
        "Hold the rows of a data interval against what the champion was trained on; tell, and train, when they drifted.\n"
        "Data that drifted starts the training pipeline as a part of this run, unless one started lately; the new model has\n"
        "to be better than the champion, as ever. Data that is broken is told, and trains nothing. Without any rows the run\n"
        "fails.\n"
        "\n"
        "The defaults check the flights of yesterday: those of the same day of 2013, as if they had left now."
    ),
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["example", "monitoring"],
    params={
        "source": Param(
            "data/replay/flights.parquet",
            type=["null", "string"],
            title="Table",
            description="Path or URI of the table with the rows, of which a run takes those of its data interval. Parameter: source.",
        ),
        "registered_model": Param(
            "flight-delay",
            type=["null", "string"],
            title="Registered model",
            description="Name in the MLflow registry, whose champion's training rows are the reference.",
        ),
        "predictions": Param(
            "",
            type=["null", "string"],
            title="Table of predictions",
            description="Path or URI of the table of predictions; empty to leave them alone. Parameter: predictions.",
        ),
        "channels": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            title="Channels",
            description="Where to tell: Apprise URLs, file:PATH, or $NAME of a variable that holds one. One a line.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Times",
            title="Column of the time",
            description="Column with each row's time; empty for a table without times, which is compared whole. Parameter: timestamp.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            examples=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"],
            section="Times",
            title="Time zone",
            description="IANA name of the zone of the interval, and whose days the predictions are kept by. Clear the field to see suggestions. Parameter: timezone.",
        ),
        "keys": Param(
            ["flight_id"],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            title="Key columns",
            description="Columns that no two rows may have alike; they also tell rows apart when a new model is trained. One a line. Parameter: keys.",
        ),
        "ignore": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            title="Columns not to compare",
            description="Columns not to compare. One a line. Parameter: ignore.",
        ),
        "prefix": Param(
            "",
            type=["null", "string"],
            section="Data",
            title="Prefix of added columns",
            description="Of the names of the columns that were added there. Parameter: prefix.",
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
            "data/replay",
            type=["null", "string"],
            section="Features",
            title="Feature tables",
            description="Path or URI of the features' source tables. Parameter: feature_sources.",
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
            section="Judgement",
            title="Metric that decides",
            description="What decides whether the new model is better, and whether the champion is worse; higher is better. Parameter: metric.",
        ),
        "rate": Param(
            0.05,
            type="number",
            exclusiveMinimum=0,
            maximum=0.5,
            section="Judgement",
            title="Rate of false discoveries",
            description="Rate of false discoveries among the differences that count. Above 0, at most 0.5. Parameter: rate.",
        ),
        "least_distance": Param(
            0.1,
            type="number",
            minimum=0,
            maximum=1,
            section="Judgement",
            title="Drift that does not matter",
            description="The share of rows that a difference must be about to count. At least 0, at most 1. Parameter: least_distance.",
        ),
        "null_limit": Param(
            0.2,
            type="number",
            minimum=0,
            maximum=1,
            section="Judgement",
            title="Most further missing values",
            description="How much the share of missing values of a column may rise before the data is broken. At least 0, at most 1. Parameter: null_limit.",
        ),
        "least_rows": Param(
            50,
            type="integer",
            minimum=1,
            section="Judgement",
            title="Least rows to judge by",
            description="Rows below which nothing is said. At least 1. Parameter: least_rows.",
        ),
        "least_loss": Param(
            0.02,
            type="number",
            minimum=0,
            section="Judgement",
            title="Loss that does not matter",
            description="How much worse the model may be: its metric, or the share of positives for a probability. At least 0. Parameter: least_loss.",
        ),
        "stale_hours": Param(
            0.0,
            type="number",
            minimum=0,
            section="Judgement",
            title="Most hours without new rows",
            description="How much older than the end of the interval the newest row may be; 0 for any age. At least 0. Parameter: stale_hours.",
        ),
        "groups": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Fairness",
            title="Columns of groups",
            description="Columns with groups that the model should treat alike. One a line. Parameter: groups.",
        ),
        "least_unfairness": Param(
            0.1,
            type="number",
            minimum=0,
            maximum=1,
            section="Fairness",
            title="Unfairness that does not matter",
            description="Difference of two groups' shares of yes that does not matter. At least 0, at most 1. Parameter: least_unfairness.",
        ),
        "silence_hours": Param(
            24.0,
            type="number",
            minimum=0,
            section="Notices",
            title="Hours between like notices",
            description="How long a channel is not told the same again. At least 0. Parameter: silence_hours.",
        ),
        "notices": Param(
            ".turnout/notices.json",
            type=["null", "string"],
            section="Notices",
            title="File of notices",
            description="Path or URI of the file that remembers what was told. Parameter: notices.",
        ),
        "prometheus": Param(
            "",
            type=["null", "string"],
            examples=["http://localhost:9091"],
            section="Notices",
            title="Prometheus file or Pushgateway",
            description="Path of a .prom file, or URL of a Pushgateway; empty for neither. Parameter: prometheus.",
        ),
        "cool_down_days": Param(
            7.0,
            type="number",
            minimum=0,
            section="Training after drift",
            title="Days between trainings",
            description="How long after a training no other is started. At least 0. Parameter: cool_down_days.",
        ),
        "training_source": Param(
            "data/replay/flights.parquet",
            type=["null", "string"],
            section="Training after drift",
            title="Table to train on",
            description="Path or URI of the table to train on. Parameter: training_source.",
        ),
        "suite": Param(
            "expectations/flights.json",
            type=["null", "string"],
            examples=["expectations/flights.json", "expectations/flights_to_predict.json"],
            section="Training after drift",
            title="Expectations",
            description="Path or URI of the expectations that it must pass; empty for none. Clear the field to see suggestions. Parameter: suite.",
        ),
        "target": Param(
            "late",
            type=["null", "string"],
            section="Training after drift",
            title="Column to predict",
            description="Column to predict. Parameter: target.",
        ),
        "drop_null_target": Param(
            False,
            type="boolean",
            section="Training after drift",
            title="Leave out rows without a target",
            description="Leave out rows whose target is null; else they are refused. Parameter: drop_null_target.",
        ),
        "task": Param(
            "classification",
            type="string",
            enum=["classification", "regression"],
            values_display={
                "classification": "classification: which class",
                "regression": "regression: which number",
            },
            section="Training after drift",
            title="Kind of prediction",
            description="What kind of prediction it is. Parameter: task.",
        ),
        "not_learned": Param(
            ["flight_id", "event_timestamp"],
            type=["null", "array"],
            items={"type": "string"},
            section="Training after drift",
            title="Columns not to learn from",
            description="Columns that are not for learning. One a line. Parameter: not_learned.",
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
            section="Training after drift",
            title="Calendar features",
            description="Calendar features that the new model makes of columns of times, counted in the time zone. Parameter: derive.",
        ),
        "estimator": Param(
            "lightgbm.LGBMClassifier",
            type=["null", "string"],
            examples=[
                "lightgbm.LGBMClassifier",
                "lightgbm.LGBMRegressor",
                "sklearn.linear_model.LogisticRegression",
                "sklearn.linear_model.Ridge",
                "sklearn.ensemble.HistGradientBoostingClassifier",
                "sklearn.ensemble.HistGradientBoostingRegressor",
                "sklearn.ensemble.RandomForestClassifier",
                "sklearn.ensemble.RandomForestRegressor",
            ],
            section="Training after drift",
            title="Estimator",
            description="Dotted path of an estimator with scikit-learn's API. Clear the field to see suggestions.",
        ),
        "hyperparameters": Param(
            {
                "colsample_bytree": 0.7,
                "learning_rate": 0.05,
                "min_child_samples": 100,
                "n_estimators": 300,
            },
            type="object",
            section="Training after drift",
            title="Hyperparameters",
            description="Arguments of the estimator.",
        ),
        "slices": Param(
            ["carrier", "origin"],
            type=["null", "array"],
            items={"type": "string"},
            section="Training after drift",
            title="Columns to break the score down by",
            description="Columns by whose values the score is shown. One a line. Parameter: slices.",
        ),
        "minimum_rows": Param(
            50,
            type="integer",
            minimum=1,
            section="Training after drift",
            title="Least rows to judge a new model by",
            description="Rows that neither model has learned, below which the champion stays. At least 1. Parameter: minimum_rows.",
        ),
        "experiment": Param(
            "flight-delay",
            type=["null", "string"],
            section="Training after drift",
            title="MLflow experiment",
            description="MLflow experiment to log to. Parameter: experiment.",
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
    },
    default_args={
        "spec": "flight_delay_drift_check.yaml",
        "spec_digest": "sha256:be713ecf4fa81c2472b95950d4e5692336e6ee93fcbbf536734bc1ee2daf6aca",
    },
) as dag:
    ingest = Step(
        task_id="ingest",
        doc_md="Read a table from where it is kept, and record exactly what was read.",
        inlets=[Asset(name="data/replay/flights.parquet")],
        inputs={
            "allow_empty": True,
            "decimal": dag.param("decimal"),
            "encoding": dag.param("encoding"),
            "separator": dag.param("separator"),
            "since": Interval("since"),
            "source": dag.param("source"),
            "timestamp": dag.param("timestamp"),
            "timestamps": dag.param("timestamps"),
            "timezone": dag.param("timezone"),
            "until": Interval("until"),
        },
    )
    pin_model = Step(
        task_id="pin-model",
        doc_md="Give the version that a model's alias means now: steps that come later, or again, use the same one.",
        inlets=[Asset(name="models:/flight-delay@champion")],
        inputs={
            "model": Template(
                "models:/{{$.inputs.parameters['pipelinechannel--registered_model']}}@champion",
                {"pipelinechannel--registered_model": dag.param("registered_model")},
            ),
        },
    )
    featurise = Step(
        task_id="featurise",
        doc_md="Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.",
        inlets=[Asset(name="data/replay"), Asset(name="data/replay/flights.parquet")],
        inputs={
            "feature_service": dag.param("feature_service"),
            "repository": dag.param("feature_repository"),
            "sources": dag.param("feature_sources"),
            "entities": ingest.output["data"],
        },
    )
    monitor = Step(
        task_id="monitor",
        doc_md="Say whether data has drifted from what a model was trained on, by how much, and whether it is broken.",
        inlets=[
            Asset(name="data/replay/flights.parquet"),
            Asset(name="models:/flight-delay@champion"),
            Asset(name="data/replay"),
        ],
        inputs={
            "check_name": "flight-delay-drift-check",
            "groups": dag.param("groups"),
            "ignore": dag.param("ignore"),
            "keys": dag.param("keys"),
            "least_distance": dag.param("least_distance"),
            "least_loss": dag.param("least_loss"),
            "least_rows": dag.param("least_rows"),
            "least_unfairness": dag.param("least_unfairness"),
            "metric": dag.param("metric"),
            "model": pin_model.output["model"],
            "null_limit": dag.param("null_limit"),
            "predictions": dag.param("predictions"),
            "prefix": dag.param("prefix"),
            "prometheus": dag.param("prometheus"),
            "rate": dag.param("rate"),
            "since": Interval("since"),
            "stale_hours": dag.param("stale_hours"),
            "target": dag.param("target"),
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
            "until": Interval("until"),
            "data": featurise.output["features"],
        },
    )
    tell_when = When(
        task_id="tell-when",
        condition="monitor_alert == true",
        inputs={"monitor_alert": monitor.output["alert"]},
    )
    with TaskGroup("tell") as tell:
        notify = Step(
            task_id="notify",
            doc_md="Send a notice by all channels, but not the same one again within some hours.",
            inputs={
                "channels": dag.param("channels"),
                "severity": monitor.output["severity"],
                "silence_hours": dag.param("silence_hours"),
                "state": dag.param("notices"),
                "text": monitor.output["summary"],
                "title": monitor.output["title"],
                "key": Template(
                    "drift {{$.inputs.parameters['pipelinechannel--registered_model']}}",
                    {"pipelinechannel--registered_model": dag.param("registered_model")},
                ),
            },
            retries=2,
            retry_delay=timedelta(seconds=60),
            retry_exponential_backoff=2.0,
            max_retry_delay=timedelta(seconds=3600),
        )
        require_rows = Step(
            task_id="require-rows",
            doc_md="Fail when a dataset has no rows, and say until when its source has some.",
            inputs={"data": ingest.output["data"]},
        )
        notify >> require_rows
    ingest >> tell_when
    tell_when >> tell
    train_again_when = When(
        task_id="train_again-when",
        condition="monitor_train == true",
        inputs={"monitor_train": monitor.output["train"]},
    )
    with TaskGroup("train_again") as train_again:
        cool_down = Step(
            task_id="cool-down",
            doc_md="Say whether a model may be trained again, and remember that it is: a drift that stays does not train each day.",
            inputs={
                "days": dag.param("cool_down_days"),
                "registered_model": dag.param("registered_model"),
            },
        )
        cooled_when = When(
            task_id="cooled-when",
            condition="cool_down_start == true",
            inputs={"cool_down_start": cool_down.output["start"]},
        )
        with TaskGroup("cooled") as cooled:
            with TaskGroup("flight-delay-training") as flight_delay_training:
                train_again_cooled_flight_delay_training_ingest = Step(
                    task_id="ingest",
                    doc_md="Read a table from where it is kept, and record exactly what was read.",
                    inlets=[Asset(name="data/replay/flights.parquet")],
                    inputs={
                        "decimal": dag.param("decimal"),
                        "encoding": dag.param("encoding"),
                        "separator": dag.param("separator"),
                        "source": dag.param("training_source"),
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
                    inputs={
                        "suite": dag.param("suite"),
                        "data": train_again_cooled_flight_delay_training_ingest.output["data"],
                    },
                )
                require_target >> validate
                train_again_cooled_flight_delay_training_featurise = Step(
                    task_id="featurise",
                    doc_md="Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.",
                    inlets=[Asset(name="data/replay"), Asset(name="data/replay/flights.parquet")],
                    inputs={
                        "feature_service": dag.param("feature_service"),
                        "repository": dag.param("feature_repository"),
                        "sources": dag.param("feature_sources"),
                        "entities": train_again_cooled_flight_delay_training_ingest.output["data"],
                    },
                )
                validate >> train_again_cooled_flight_delay_training_featurise
                split = Step(
                    task_id="split",
                    doc_md="Keep the last part of the time for testing, so that nothing of the future leaks into training.",
                    inputs={
                        "drop_null_target": dag.param("drop_null_target"),
                        "gap_hours": 24,
                        "keys": dag.param("keys"),
                        "target": dag.param("target"),
                        "timestamp": dag.param("timestamp"),
                        "data": train_again_cooled_flight_delay_training_featurise.output["features"],
                    },
                )
                train = Step(
                    task_id="train",
                    doc_md="Fit an estimator on a table and log it to MLflow, preprocessing included.",
                    inputs={
                        "derive": dag.param("derive"),
                        "estimator": dag.param("estimator"),
                        "experiment": dag.param("experiment"),
                        "hyperparameters": dag.param("hyperparameters"),
                        "ignore": dag.param("not_learned"),
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
                        "minimum_rows": dag.param("minimum_rows"),
                        "registered_model": dag.param("registered_model"),
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
                        inlets=[Asset(name="data/replay/flights.parquet"), Asset(name="data/replay")],
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
                        inlets=[Asset(name="data/replay/flights.parquet"), Asset(name="data/replay")],
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
        cooled_when >> cooled
    train_again_when >> train_again
