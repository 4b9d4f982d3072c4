# Compiled by Turnout from the pipeline flight-delay-batch-inference: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param

from turnout.airflow import Step

with DAG(
    dag_id="flight-delay-batch-inference",
    dag_display_name="Batch inference",
    doc_md=(
        "Predict the rows of a data interval with the champion, and publish them as a table.\n"
        "A run that starts again, or a backfill of an interval that was done before, replaces the interval's days in the\n"
        "table and nothing else. The defaults predict the flights of yesterday, late or not: those of the same day of 2013,\n"
        "as if they had left now. Other parameters predict any other table; one without times is predicted whole."
    ),
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    catchup=False,
    max_active_runs=2,
    tags=["example", "inference"],
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
            description="Path or URI of the table with the rows; with a revision, its path in the DVC repository.",
        ),
        "revision": Param(
            "",
            type=["null", "string"],
            section="Data",
            description="Git revision of the DVC repository; empty for the data as it is now.",
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
        "suite": Param(
            "expectations/flights_to_predict.json",
            type=["null", "string"],
            section="Data",
            description="Path or URI of the Great Expectations suite the rows must pass; empty for none.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Data",
            description="Column with each row's time; empty for a table without times.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            section="Data",
            description="IANA name of the zone of the interval, and whose days the predictions are kept by.",
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
            description="Path, URI or DVC path of the features' source tables.",
        ),
        "offline_store": Param(
            "repository",
            type="string",
            enum=["repository", "spark"],
            section="Features",
            description="Who joins the features; Spark where they fit on no machine, held against the repository's store.",
        ),
        "model": Param(
            "models:/flight-delay@champion",
            type=["null", "string"],
            section="Model",
            description="Model in the MLflow registry, by alias or version; an alias is looked up once, when the run starts.",
        ),
        "ignore": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Monitoring",
            description="Columns not to hold against what the model was trained on.",
        ),
        "prometheus": Param(
            "",
            type=["null", "string"],
            section="Monitoring",
            description="Path of a .prom file, or URL of a Pushgateway, for how far they are from that; empty for neither.",
        ),
        "table": Param(
            "predictions/flight_delay",
            type=["null", "string"],
            section="Output",
            description="Path or URI of the table of predictions.",
        ),
        "without_time": Param(
            "replace",
            type="string",
            enum=["replace", "snapshot"],
            section="Output",
            description="What the predictions of a table without times replace; all, or the snapshot of the same day.",
        ),
        "keys": Param(
            ["flight_id"],
            type=["null", "array"],
            items={"type": "string"},
            section="Output",
            description="Columns to pass on to the predictions.",
        ),
        "prefix": Param(
            "",
            type=["null", "string"],
            section="Output",
            description="Before the names of the columns that are added; needed when a key has such a name.",
        ),
        "quarantine": Param(
            "",
            type=["null", "string"],
            section="Output",
            description="Path or URI of a table for rows that cannot be predicted; empty to fail for one.",
        ),
        "quarantine_limit": Param(
            0.01,
            type="number",
            minimum=0,
            maximum=1,
            section="Output",
            description="Share of the rows that may be quarantined.",
        ),
        "engine": Param(
            "auto",
            type="string",
            enum=["auto", "arrow", "spark"],
            section="Engine",
            description="Where rows are predicted; auto takes this machine unless a cluster is configured and pays.",
        ),
        "master": Param(
            "",
            type=["null", "string"],
            section="Engine",
            description="Address of the Spark cluster; the environment's when empty.",
        ),
        "spark_conf": Param(
            {},
            type="object",
            section="Engine",
            description="Further settings of the Spark session.",
        ),
    },
    default_args={
        "spec": "flight_delay_batch_inference.yaml",
        "spec_digest": "sha256:9faa721f7d5beab840ab33063d6f8bd668e28b0e43b2b3119b488fca7063a1ca",
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
        inputs={"model": dag.param("model")},
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
            "master": dag.param("master"),
            "offline_store": dag.param("offline_store"),
            "repository": dag.param("feature_repository"),
            "revision": dag.param("revision"),
            "sources": dag.param("feature_sources"),
            "spark_conf": dag.param("spark_conf"),
            "entities": ingest.output["data"],
        },
    )
    validate >> featurise
    monitor = Step(
        task_id="monitor",
        doc_md="Say whether data has drifted from what a model was trained on, by how much, and whether it is broken.",
        inputs={
            "check_name": "flight-delay-batch-inference",
            "ignore": dag.param("ignore"),
            "model": pin_model.output["model"],
            "prometheus": dag.param("prometheus"),
            "required": False,
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
            "data": featurise.output["features"],
        },
    )
    predict = Step(
        task_id="predict",
        doc_md="Score each row of an interval, and make that the content of its days in a table, all at once.",
        publishes={"predictions": Asset(name="flight-delay-predictions")},
        inputs={
            "engine": dag.param("engine"),
            "keys": dag.param("keys"),
            "master": dag.param("master"),
            "model": pin_model.output["model"],
            "prefix": dag.param("prefix"),
            "quarantine": dag.param("quarantine"),
            "quarantine_limit": dag.param("quarantine_limit"),
            "since": dag.param("since"),
            "spark_conf": dag.param("spark_conf"),
            "table": dag.param("table"),
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
            "until": dag.param("until"),
            "without_time": dag.param("without_time"),
            "data": featurise.output["features"],
        },
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=2.0,
        max_retry_delay=timedelta(seconds=3600),
    )
