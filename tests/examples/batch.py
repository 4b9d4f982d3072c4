"""Batch inference as small as it gets, for what goes wrong in the middle of it."""

from turnout import pipeline
from turnout.components.ingest import ingest
from turnout.components.predict import predict


@pipeline
def small_batch(source: str, table: str, model: str, since: str, until: str, spark_conf: dict = {}):
    """Predict rows on the deployment's cluster, and try again.

    Args:
        source: the rows.
        table: of predictions.
        model: URI of a registered model.
        since: start of the interval.
        until: its end.
        spark_conf: settings.
    """
    ingested = ingest(source=source)
    predicted = predict(
        data=ingested.outputs["data"],
        model=model,
        table=table,
        since=since,
        until=until,
        timestamp="when",
        keys=["id"],
        engine="spark",
        spark_conf=spark_conf,
    )
    predicted.set_retry(num_retries=1, backoff_duration="1s")
