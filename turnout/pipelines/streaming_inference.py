"""Predict what came since the last run, exactly once, with the champion of now."""

from typing import Annotated, Literal

from annotated_types import Ge

from turnout import Examples, Labels, Title, pipeline
from turnout.components.pin_model import pin_model
from turnout.components.predict_stream import predict_stream
from turnout.pipelines import _fields as fields


@pipeline(
    name="flight-delay-streaming-inference",
    display_name="Streaming inference",
    schedule="*/15 * * * *",
    max_active_runs=1,
    tags=["inference", "example"],
    sections={
        "Stream": ["source", "kind", "model", "table"],
        "Source": ["options", "columns", "checkpoint"],
        "Predictions": ["keys", "prefix", "timestamp", "timezone", "quarantine"],
        "Engine": ["minutes", "interval", "master", "spark_conf"],
    },
)
def streaming_inference(
    source: Annotated[str, Title("Directory or topics"), Examples("incoming/flights")] = "incoming/flights",
    kind: Annotated[
        Literal["parquet", "kafka"],
        Title("Kind of source"),
        Labels({"parquet": "Parquet files", "kafka": "Kafka"}),
    ] = "parquet",
    options: Annotated[dict[str, str], Title("Spark options of the source")] = {},
    columns: Annotated[dict[str, str], Title("Types of further columns")] = {
        "flight_id": "bigint",
        "event_timestamp": "timestamp",
    },
    checkpoint: Annotated[str, Title("Checkpoint")] = "checkpoints/flight_delay",
    model: fields.ModelVersion = "models:/flight-delay@champion",
    table: fields.Predictions = "predictions/flight_delay",
    keys: fields.PassedOn = ["flight_id"],
    prefix: fields.Prefix = "",
    timestamp: fields.Timestamp = "event_timestamp",
    timezone: fields.TimeZone = "UTC",
    quarantine: fields.Quarantine = "predictions/flight_delay_failed",
    minutes: Annotated[float, Ge(0), Title("Minutes to go on")] = 0.0,
    interval: Annotated[str, Title("How often to look"), Examples("10 seconds", "1 minute")] = "10 seconds",
    master: fields.Master = "",
    spark_conf: fields.SparkConf = {},
) -> None:
    """Predict what came since the last run, exactly once, with the champion of now.

    A run takes all that is there and ends; with minutes it goes on for so long. The next one, also after a failure,
    takes up where the last one was. Rows hold the columns that the model takes, features among them.

    Args:
        source: Directory that Parquet files are put into; or topics of Kafka, with commas.
        kind: What the source is.
        options: Spark's own for the source, such as kafka.bootstrap.servers.
        columns: For Kafka: Spark's types of the columns that the model does not take.
        checkpoint: Path or URI where the stream remembers what it has taken.
        model: Model in the MLflow registry, by alias or version; an alias is looked up once, when the run starts.
        table: Path or URI of the table of predictions.
        keys: Columns to pass on to the predictions.
        prefix: Before the names of the columns that are added; needed when a key has such a name.
        timestamp: Column with each row's time; empty when the rows have none.
        timezone: IANA name of the zone whose days the predictions are kept by.
        quarantine: Path or URI of a table for rows that cannot be predicted; empty to fail for one.
        minutes: How long to go on; 0 to end when nothing is left.
        interval: How often to look for rows, while it goes on.
        master: Address of the Spark cluster; the environment's when empty.
        spark_conf: Further settings of the Spark session.
    """
    pinned = pin_model(model=model)
    predicted = predict_stream(
        model=pinned.outputs["model"],
        source=source,
        kind=kind,
        options=options,
        columns=columns,
        checkpoint=checkpoint,
        table=table,
        keys=keys,
        prefix=prefix,
        timestamp=timestamp,
        timezone=timezone,
        quarantine=quarantine,
        minutes=minutes,
        interval=interval,
        master=master,
        spark_conf=spark_conf,
    )
    predicted.set_retry(num_retries=2, backoff_duration="30s")
