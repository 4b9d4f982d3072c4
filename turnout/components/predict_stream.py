"""Predict the rows of a stream with a registered model."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from turnout import Asset, Dataset, Metrics, Output, component


class PredictedStream(NamedTuple):
    """Rows taken from the stream: `rows` is `predicted` and `quarantined` together."""

    batches: int
    rows: int
    predicted: int
    quarantined: int
    version: str


@component(cache=False, reads=[Asset("{source}"), Asset("{model}")], publishes={"predictions": Asset("{table}")})
def predict_stream(
    predictions: Output[Dataset],
    metrics: Output[Metrics],
    model: str,
    source: str,
    table: str,
    checkpoint: str,
    kind: Literal["parquet", "kafka"] = "parquet",
    options: dict[str, str] = {},
    columns: dict[str, str] = {},
    timestamp: str = "event_timestamp",
    timezone: str = "UTC",
    keys: list[str] = [],
    prefix: str = "",
    quarantine: str = "",
    minutes: Annotated[float, Ge(0)] = 0.0,
    interval: str = "10 seconds",
    master: str = "",
    spark_conf: dict[str, str] = {},
) -> PredictedStream:
    """Score each row of a stream exactly once, and add it to a table of predictions as `predict` writes them.

    A run takes what came since the last one and ends, or goes on for some minutes. Whatever stops it, the next run goes
    on from the checkpoint, and no row is lost or doubled.

    Args:
        predictions: the table of predictions, where it is.
        metrics: rows and batches.
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION` in the MLflow registry.
        source: directory that Parquet files are put into, each whole and once; or topics of Kafka, with commas.
        table: path or URI of the table of predictions; made when it does not exist.
        checkpoint: path or URI where the stream remembers what it has taken; one for each source and table.
        kind: of the source; the values of Kafka's messages are JSON objects.
        options: Spark's own for the source, such as `kafka.bootstrap.servers` or `maxFilesPerTrigger`.
        columns: for Kafka: Spark's types of the columns that the model does not take, such as
            `{"event_timestamp": "timestamp"}`.
        timestamp: column with each row's time; without a zone it is meant in UTC. Empty when the rows have none: their
            day is the one on which they are predicted.
        timezone: IANA name of the zone whose days the table is partitioned by.
        keys: columns to pass on, such as an identifier.
        prefix: before the names of the columns that are added, where columns that are passed on have such a name.
        quarantine: path or URI of a table for rows that cannot be predicted, with reasons; empty to fail for one.
        minutes: how long to go on taking what comes; 0 to end when nothing is left.
        interval: how often to look for rows, while it goes on.
        master: Spark's master URL; $SPARK_MASTER, or this machine, when empty.
        spark_conf: further settings of the Spark session.
    """
    import os

    from turnout.data.times import time_zone
    from turnout.engines.spark_session import session
    from turnout.errors import ComponentError
    from turnout.inference import stream as streaming
    from turnout.inference.job import absolute, load_scorer, open_job
    from turnout.models.registry import look_up

    master = master or os.environ.get("SPARK_MASTER", "")
    if master.startswith("sc://"):
        hint = "name a cluster by its master URL"
        raise ComponentError("a stream cannot be led through Spark Connect", where=master, hint=hint)
    time_zone(timezone)
    version = look_up(model)
    with open_job(
        version, table=table, quarantine=quarantine, keys=keys, timestamp=timestamp, timezone=timezone, prefix=prefix
    ) as job:
        place = job.table
        with session(master, {"spark.sql.session.timeZone": "UTC"} | spark_conf) as spark:
            if kind == "kafka":
                opened = streaming.messages(spark, source, options, columns, load_scorer(job.model_directory))
            else:
                opened = streaming.files(spark, absolute(source), options)
            found = streaming.stream(opened, job, absolute(checkpoint), interval if minutes else "", minutes * 60)
    predictions.uri = place
    predictions.metadata.update(format="delta", delta_version=found.version, rows=found.predicted, model=version.uri)
    for name in ("batches", "rows", "predicted", "quarantined"):
        metrics.log_metric(name, getattr(found, name))
    print(
        f"{found.predicted:,} of {found.rows:,} rows in {found.batches} batches predicted by {version.uri}, "
        f"{found.quarantined:,} quarantined; {place}, version {found.version}"
    )
    if found.repeated:
        print(f"{found.repeated} batches were in the table already")
    return PredictedStream(found.batches, found.rows, found.predicted, found.quarantined, version.version)
