# Compiled by Turnout from the pipeline flight-delay-streaming-inference: change that, not this file.

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from turnout.airflow import Step

with DAG(
    dag_id="flight-delay-streaming-inference",
    dag_display_name="Streaming inference",
    doc_md=(
        "Predict what came since the last run, exactly once, with the champion of now.\n"
        "A run takes all that is there and ends; with minutes it goes on for so long. The next one, also after a failure,\n"
        "takes up where the last one was. Rows hold the columns that the model takes, features among them."
    ),
    schedule="*/15 * * * *",
    catchup=False,
    max_active_runs=1,
    tags=["example", "inference"],
    params={
        "source": Param(
            "incoming/flights",
            type=["null", "string"],
            examples=["incoming/flights"],
            title="Directory or topics",
            description="Directory that Parquet files are put into; or topics of Kafka, with commas. Clear the field to see suggestions. Parameter: source.",
        ),
        "kind": Param(
            "parquet",
            type="string",
            enum=["parquet", "kafka"],
            values_display={"parquet": "Parquet files", "kafka": "Kafka"},
            title="Kind of source",
            description="What the source is. Parameter: kind.",
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
        "options": Param(
            {},
            type="object",
            section="Source",
            title="Spark options of the source",
            description="Spark's own for the source, such as kafka.bootstrap.servers. Parameter: options.",
        ),
        "columns": Param(
            {"event_timestamp": "timestamp", "flight_id": "bigint"},
            type="object",
            section="Source",
            title="Types of further columns",
            description="For Kafka: Spark's types of the columns that the model does not take. Parameter: columns.",
        ),
        "checkpoint": Param(
            "checkpoints/flight_delay",
            type=["null", "string"],
            section="Source",
            title="Checkpoint",
            description="Path or URI where the stream remembers what it has taken.",
        ),
        "keys": Param(
            ["flight_id"],
            type=["null", "array"],
            items={"type": "string"},
            section="Predictions",
            title="Columns to pass on",
            description="Columns to pass on to the predictions. One a line. Parameter: keys.",
        ),
        "prefix": Param(
            "",
            type=["null", "string"],
            section="Predictions",
            title="Prefix of added columns",
            description="Before the names of the columns that are added; needed when a key has such a name. Parameter: prefix.",
        ),
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Predictions",
            title="Column of the time",
            description="Column with each row's time; empty when the rows have none. Parameter: timestamp.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            examples=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"],
            section="Predictions",
            title="Time zone",
            description="IANA name of the zone whose days the predictions are kept by. Clear the field to see suggestions. Parameter: timezone.",
        ),
        "quarantine": Param(
            "predictions/flight_delay_failed",
            type=["null", "string"],
            section="Predictions",
            title="Table for rows that fail",
            description="Path or URI of a table for rows that cannot be predicted; empty to fail for one. Parameter: quarantine.",
        ),
        "minutes": Param(
            0.0,
            type="number",
            minimum=0,
            section="Engine",
            title="Minutes to go on",
            description="How long to go on; 0 to end when nothing is left. At least 0. Parameter: minutes.",
        ),
        "interval": Param(
            "10 seconds",
            type=["null", "string"],
            examples=["10 seconds", "1 minute"],
            section="Engine",
            title="How often to look",
            description="How often to look for rows, while it goes on. Clear the field to see suggestions. Parameter: interval.",
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
    },
    default_args={
        "spec": "flight_delay_streaming_inference.yaml",
        "spec_digest": "sha256:14911ad75afdf1b23f35f0717cb437518468a1220f6624667825b49b9768802b",
    },
) as dag:
    pin_model = Step(
        task_id="pin-model",
        doc_md="Give the version that a model's alias means now: steps that come later, or again, use the same one.",
        inlets=[Asset(name="models:/flight-delay@champion")],
        inputs={"model": dag.param("model")},
    )
    predict_stream = Step(
        task_id="predict-stream",
        doc_md="Score each row of a stream exactly once, and add it to a table of predictions as `predict` writes them.",
        publishes={"predictions": Asset(name="predictions/flight_delay")},
        asset_names={"predictions": "{table}"},
        inlets=[Asset(name="incoming/flights"), Asset(name="models:/flight-delay@champion")],
        inputs={
            "checkpoint": dag.param("checkpoint"),
            "columns": dag.param("columns"),
            "interval": dag.param("interval"),
            "keys": dag.param("keys"),
            "kind": dag.param("kind"),
            "master": dag.param("master"),
            "minutes": dag.param("minutes"),
            "model": pin_model.output["model"],
            "options": dag.param("options"),
            "prefix": dag.param("prefix"),
            "quarantine": dag.param("quarantine"),
            "source": dag.param("source"),
            "spark_conf": dag.param("spark_conf"),
            "table": dag.param("table"),
            "timestamp": dag.param("timestamp"),
            "timezone": dag.param("timezone"),
        },
        retries=2,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=2.0,
        max_retry_delay=timedelta(seconds=3600),
    )
