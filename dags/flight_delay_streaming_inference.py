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
            section="Stream",
            description="Directory that Parquet files are put into; or topics of Kafka, with commas.",
        ),
        "kind": Param(
            "parquet",
            type="string",
            enum=["parquet", "kafka"],
            section="Stream",
            description="What the source is.",
        ),
        "options": Param(
            {},
            type="object",
            section="Stream",
            description="Spark's own for the source, such as kafka.bootstrap.servers.",
        ),
        "columns": Param(
            {"event_timestamp": "timestamp", "flight_id": "bigint"},
            type="object",
            section="Stream",
            description="For Kafka: Spark's types of the columns that the model does not take.",
        ),
        "checkpoint": Param(
            "checkpoints/flight_delay",
            type=["null", "string"],
            section="Stream",
            description="Path or URI where the stream remembers what it has taken.",
        ),
        "model": Param(
            "models:/flight-delay@champion",
            type=["null", "string"],
            section="Model",
            description="Model in the MLflow registry, by alias or version; an alias is looked up once, when the run starts.",
        ),
        "table": Param(
            "predictions/flight_delay",
            type=["null", "string"],
            section="Output",
            description="Path or URI of the table of predictions.",
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
        "timestamp": Param(
            "event_timestamp",
            type=["null", "string"],
            section="Output",
            description="Column with each row's time; empty when the rows have none.",
        ),
        "timezone": Param(
            "UTC",
            type=["null", "string"],
            section="Output",
            description="IANA name of the zone whose days the predictions are kept by.",
        ),
        "quarantine": Param(
            "predictions/flight_delay_failed",
            type=["null", "string"],
            section="Output",
            description="Path or URI of a table for rows that cannot be predicted; empty to fail for one.",
        ),
        "minutes": Param(
            0.0,
            type="number",
            minimum=0,
            section="Engine",
            description="How long to go on; 0 to end when nothing is left.",
        ),
        "interval": Param(
            "10 seconds",
            type=["null", "string"],
            section="Engine",
            description="How often to look for rows, while it goes on.",
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
        "spec": "flight_delay_streaming_inference.yaml",
        "spec_digest": "sha256:fc028a7563dfc2b187f822d3920ed07436173e0410c99d8462746d0c249f5cc8",
    },
) as dag:
    pin_model = Step(
        task_id="pin-model",
        doc_md="Give the version that a model's alias means now: steps that come later, or again, use the same one.",
        inputs={"model": dag.param("model")},
    )
    predict_stream = Step(
        task_id="predict-stream",
        doc_md="Score each row of a stream exactly once, and add it to a table of predictions as `predict` writes them.",
        publishes={"predictions": Asset(name="flight-delay-predictions")},
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
