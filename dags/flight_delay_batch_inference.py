# Compiled by Turnout from the pipeline flight-delay-batch-inference: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param

from turnout.airflow import Interval, Step

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
        "source": Param(
            "data/replay/flights.parquet",
            type=["null", "string"],
            title="Table",
            description="Path or URI of the table with the rows, of which a run takes its data interval; with a revision, its path in the DVC repository. Parameter: source.",
        ),
        "model": Param(
            "models:/flight-delay@champion",
            type=["null", "string"],
            examples=["models:/flight-delay@champion", "models:/flight-delay/1"],
            title="Model",
            description="Model in the MLflow registry, by alias or version; an alias is looked up once, when the run starts. Clear the field to see suggestions.",
        ),
        "table": Param(
            "predictions/flight_delay",
            type=["null", "string"],
            title="Table of predictions",
            description="Path or URI of the table of predictions. Parameter: table.",
        ),
        "keys": Param(
            ["flight_id"],
            type=["null", "array"],
            items={"type": "string"},
            title="Columns to pass on",
            description="Columns to pass on to the predictions. One a line. Parameter: keys.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Interval",
            title="Column of the time",
            description="Column with each row's time; empty for a table without times. Parameter: timestamp.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            examples=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"],
            section="Interval",
            title="Time zone",
            description="IANA name of the zone of the interval, and whose days the predictions are kept by. Clear the field to see suggestions. Parameter: timezone.",
        ),
        "without_time": Param(
            "replace",
            type="string",
            enum=["replace", "snapshot"],
            values_display={"replace": "all", "snapshot": "the snapshot of the same day"},
            section="Interval",
            title="Without times, replace",
            description="What the predictions of a table without times replace; all, or the snapshot of the same day. Parameter: without_time.",
        ),
        "revision": Param(
            "",
            type=["null", "string"],
            examples=["HEAD", "main"],
            section="Data",
            title="DVC revision",
            description="Git revision of the DVC repository; empty for the data as it is now. Parameter: revision.",
        ),
        "suite": Param(
            "expectations/flights_to_predict.json",
            type=["null", "string"],
            examples=["expectations/flights.json", "expectations/flights_to_predict.json"],
            section="Data",
            title="Expectations",
            description="Path or URI of the Great Expectations suite the rows must pass; empty for none. Clear the field to see suggestions. Parameter: suite.",
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
            description="Path, URI or DVC path of the features' source tables. Parameter: feature_sources.",
        ),
        "offline_store": Param(
            "repository",
            type="string",
            enum=["repository", "spark"],
            values_display={"repository": "the repository's own store", "spark": "Spark"},
            section="Features",
            title="Who joins the features",
            description="Who joins the features; Spark where they fit on no machine, held against the repository's store. Parameter: offline_store.",
        ),
        "quarantine": Param(
            "",
            type=["null", "string"],
            section="Rows that fail",
            title="Table for rows that fail",
            description="Path or URI of a table for rows that cannot be predicted; empty to fail for one. Parameter: quarantine.",
        ),
        "quarantine_limit": Param(
            0.01,
            type="number",
            minimum=0,
            maximum=1,
            section="Rows that fail",
            title="Most rows that may fail",
            description="Share of the rows that may be quarantined. At least 0, at most 1. Parameter: quarantine_limit.",
        ),
        "ignore": Param(
            [],
            type=["null", "array"],
            items={"type": "string"},
            section="Monitoring",
            title="Columns not to compare",
            description="Columns not to hold against what the model was trained on. One a line. Parameter: ignore.",
        ),
        "prometheus": Param(
            "",
            type=["null", "string"],
            examples=["http://localhost:9091"],
            section="Monitoring",
            title="Prometheus file or Pushgateway",
            description="Path of a .prom file, or URL of a Pushgateway, for how far they are from that; empty for neither. Parameter: prometheus.",
        ),
        "engine": Param(
            "auto",
            type="string",
            enum=["auto", "arrow", "spark"],
            values_display={
                "auto": "Spark where there is a cluster and it pays",
                "arrow": "this machine",
                "spark": "Spark",
            },
            section="Engine",
            title="Where rows are predicted",
            description="Where rows are predicted; auto takes this machine unless a cluster is configured and pays. Parameter: engine.",
        ),
        "master": Param(
            "",
            type=["null", "string"],
            examples=["local[2]", "spark://host:7077", "sc://host:15002"],
            section="Engine",
            title="Spark cluster",
            description="Address of the Spark cluster; the environment's when empty. Parameter: master.",
        ),
        "spark_conf": Param(
            {},
            type="object",
            section="Engine",
            title="Spark settings",
            description="Further settings of the Spark session. Parameter: spark_conf.",
        ),
        "prefix": Param(
            "",
            type=["null", "string"],
            section="Engine",
            title="Prefix of added columns",
            description="Before the names of the columns that are added; needed when a key has such a name. Parameter: prefix.",
        ),
    },
    default_args={
        "spec": "flight_delay_batch_inference.yaml",
        "spec_digest": "sha256:21c25e94be3167002462e5e3c7c471fdf8d0274000cadf411176513f5e314e9c",
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
            "since": Interval("since"),
            "spark_conf": dag.param("spark_conf"),
            "table": dag.param("table"),
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
            "until": Interval("until"),
            "without_time": dag.param("without_time"),
            "data": featurise.output["features"],
        },
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=2.0,
        max_retry_delay=timedelta(seconds=3600),
    )
