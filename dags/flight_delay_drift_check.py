# Compiled by Turnout from the pipeline flight-delay-drift-check: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TaskGroup

from turnout.airflow import Step, Template, When

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
        "since": Param(
            None,
            type=["null", "string"],
            format="date-time",
            section="Data",
            description="Start of the interval, a midnight in the time zone; the schedule's when empty. Not needed without times.",
        ),
        "until": Param(
            None,
            type=["null", "string"],
            format="date-time",
            section="Data",
            description="End of the interval, which is not part of it.",
        ),
        "source": Param(
            "data/replay/flights.parquet",
            type=["null", "string"],
            section="Data",
            description="Path or URI of the table with the rows.",
        ),
        "timestamps": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Files",
            description="Columns that hold times, as texts or dates.",
        ),
        "separator": Param(
            "",
            type=["null", "string"],
            section="Files",
            description="What separates the values of a CSV source, such as ; or tab; found from its rows when empty.",
        ),
        "decimal": Param(
            "auto",
            type="string",
            enum=["auto", ".", ","],
            section="Files",
            description="What stands before the fraction of a CSV source's numbers; found from its columns when auto.",
        ),
        "encoding": Param(
            "",
            type=["null", "string"],
            section="Files",
            description="Of a CSV source, such as latin-1; UTF-8, or what the file's mark says, when empty.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Data",
            description="Column with each row's time; empty for a table without times, which is compared whole.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            section="Data",
            description="IANA name of the zone of the interval, and whose days the predictions are kept by.",
        ),
        "keys": Param(
            ["flight_id"],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            description="Columns that no two rows may have alike; they also tell rows apart when a new model is trained.",
        ),
        "predictions": Param(
            "",
            type=["null", "string"],
            section="Predictions",
            description="Path or URI of the table of predictions; empty to leave them alone.",
        ),
        "prefix": Param(
            "",
            type=["null", "string"],
            section="Predictions",
            description="Of the names of the columns that were added there.",
        ),
        "ignore": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Data",
            description="Columns not to compare.",
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
            "data/replay",
            type=["null", "string"],
            section="Features",
            description="Path or URI of the features' source tables.",
        ),
        "registered_model": Param(
            "flight-delay",
            type=["null", "string"],
            section="Model",
            description="Name in the MLflow registry, whose champion's training rows are the reference.",
        ),
        "groups": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Model",
            description="Columns with groups that the model should treat alike.",
        ),
        "least_unfairness": Param(
            0.1,
            type="number",
            minimum=0,
            maximum=1,
            section="Model",
            description="Difference of two groups' shares of yes that does not matter.",
        ),
        "rate": Param(
            0.05,
            type="number",
            exclusiveMinimum=0,
            maximum=0.5,
            section="Judgement",
            description="Rate of false discoveries among the differences that count.",
        ),
        "least_distance": Param(
            0.1,
            type="number",
            minimum=0,
            maximum=1,
            section="Judgement",
            description="The share of rows that a difference must be about to count.",
        ),
        "null_limit": Param(
            0.2,
            type="number",
            minimum=0,
            maximum=1,
            section="Judgement",
            description="How much the share of missing values of a column may rise before the data is broken.",
        ),
        "least_rows": Param(
            50,
            type="integer",
            minimum=1,
            section="Judgement",
            description="Rows below which nothing is said.",
        ),
        "least_loss": Param(
            0.02,
            type="number",
            minimum=0,
            section="Judgement",
            description="How much worse the model may be: its metric, or the share of positives for a probability.",
        ),
        "stale_hours": Param(
            0.0,
            type="number",
            minimum=0,
            section="Judgement",
            description="How much older than the end of the interval the newest row may be; 0 for any age.",
        ),
        "channels": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Notices",
            description="Where to tell: Apprise URLs, file:PATH, or $NAME of a variable that holds one.",
        ),
        "silence_hours": Param(
            24.0,
            type="number",
            minimum=0,
            section="Notices",
            description="How long a channel is not told the same again.",
        ),
        "notices": Param(
            ".turnout/notices.json",
            type=["null", "string"],
            section="Notices",
            description="Path or URI of the file that remembers what was told.",
        ),
        "prometheus": Param(
            "",
            type=["null", "string"],
            section="Notices",
            description="Path of a .prom file, or URL of a Pushgateway; empty for neither.",
        ),
        "training_source": Param(
            "data/replay/flights.parquet",
            type=["null", "string"],
            section="Training",
            description="Path or URI of the table to train on.",
        ),
        "suite": Param(
            "expectations/flights.json",
            type=["null", "string"],
            section="Training",
            description="Path or URI of the expectations that it must pass; empty for none.",
        ),
        "target": Param(
            "late",
            type=["null", "string"],
            section="Training",
            description="Column to predict.",
        ),
        "drop_null_target": Param(
            False,
            type="boolean",
            section="Training",
            description="Leave out rows whose target is null; else they are refused.",
        ),
        "task": Param(
            "classification",
            type="string",
            enum=["classification", "regression"],
            section="Training",
            description="What kind of prediction it is.",
        ),
        "not_learned": Param(
            ["flight_id", "event_timestamp"],
            type=["null", "array"],
            items={"type": "string"},
            section="Training",
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
            section="Training",
            description="Calendar features that the new model makes of columns of times, counted in the time zone.",
        ),
        "estimator": Param(
            "lightgbm.LGBMClassifier",
            type=["null", "string"],
            section="Training",
            description="Dotted path of an estimator with scikit-learn's API.",
        ),
        "hyperparameters": Param(
            {
                "colsample_bytree": 0.7,
                "learning_rate": 0.05,
                "min_child_samples": 100,
                "n_estimators": 300,
            },
            type="object",
            section="Training",
            description="Arguments of the estimator.",
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
            section="Training",
            description="What decides whether the new model is better, and whether the champion is worse; higher is better.",
        ),
        "slices": Param(
            ["carrier", "origin"],
            type=["null", "array"],
            items={"type": "string"},
            section="Training",
            description="Columns by whose values the score is shown.",
        ),
        "minimum_rows": Param(
            50,
            type="integer",
            minimum=1,
            section="Training",
            description="Rows that neither model has learned, below which the champion stays.",
        ),
        "experiment": Param(
            "flight-delay",
            type=["null", "string"],
            section="Training",
            description="MLflow experiment to log to.",
        ),
        "cool_down_days": Param(
            7.0,
            type="number",
            minimum=0,
            section="Training",
            description="How long after a training no other is started.",
        ),
    },
    default_args={
        "spec": "flight_delay_drift_check.yaml",
        "spec_digest": "sha256:38070e9c0d455561b565d900817d12108164fa7e4f1d873841a850e117ef3ce2",
    },
) as dag:
    ingest = Step(
        task_id="ingest",
        doc_md="Read a table from where it is kept, and record exactly what was read.",
        inputs={
            "allow_empty": True,
            "decimal": dag.param("decimal"),
            "encoding": dag.param("encoding"),
            "separator": dag.param("separator"),
            "since": dag.param("since"),
            "source": dag.param("source"),
            "timestamp": dag.param("timestamp"),
            "timestamps": dag.param("timestamps"),
            "timezone": dag.param("timezone"),
            "until": dag.param("until"),
        },
    )
    pin_model = Step(
        task_id="pin-model",
        doc_md="Give the version that a model's alias means now: steps that come later, or again, use the same one.",
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
            "since": dag.param("since"),
            "stale_hours": dag.param("stale_hours"),
            "target": dag.param("target"),
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
            "until": dag.param("until"),
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
                    inputs={
                        "decimal": dag.param("decimal"),
                        "encoding": dag.param("encoding"),
                        "separator": dag.param("separator"),
                        "source": dag.param("training_source"),
                        "timestamps": dag.param("timestamps"),
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
                train_again_cooled_flight_delay_training_featurise = Step(
                    task_id="featurise",
                    doc_md="Add the features of a Feast feature service to each row, as they were at its `event_timestamp`.",
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
        cooled_when >> cooled
    train_again_when >> train_again
