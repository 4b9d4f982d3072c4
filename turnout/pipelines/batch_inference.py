"""Predict the rows of a data interval with the champion, and publish them as a table."""

import datetime
from typing import Annotated, Literal

from annotated_types import Ge, Le

from turnout import Labels, Title, pipeline
from turnout.components.featurise import featurise
from turnout.components.ingest import ingest
from turnout.components.monitor import monitor
from turnout.components.pin_model import pin_model
from turnout.components.predict import predict
from turnout.components.validate import validate
from turnout.pipelines import _fields as fields


@pipeline(
    name="flight-delay-batch-inference",
    display_name="Batch inference",
    schedule="@daily",
    data_interval=("since", "until"),
    max_active_runs=2,
    tags=["inference", "example"],
    sections={
        "Prediction": ["source", "model", "table", "keys"],
        "Times": ["since", "until", "timestamp", "timezone", "without_time"],
        "Data": ["revision", "suite", "timestamps", "separator", "decimal", "encoding"],
        "Features": ["feature_service", "feature_repository", "feature_sources", "offline_store"],
        "Rows that fail": ["quarantine", "quarantine_limit"],
        "Monitoring": ["ignore", "prometheus"],
        "Engine": ["engine", "master", "spark_conf", "prefix"],
    },
)
def batch_inference(
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    source: fields.Table = "data/replay/flights.parquet",
    revision: fields.Revision = "",
    timestamps: fields.TimeColumns = [],
    separator: fields.Separator = "",
    decimal: fields.Decimal = "auto",
    encoding: fields.Encoding = "",
    suite: fields.Suite = "expectations/flights_to_predict.json",
    timestamp: fields.Timestamp = "event_timestamp",
    timezone: fields.TimeZone = "UTC",
    feature_service: fields.FeatureService = "flight_delay",
    feature_repository: fields.FeatureRepository = "feature_repo",
    feature_sources: fields.FeatureSources = "data/replay",
    offline_store: Annotated[
        Literal["repository", "spark"],
        Title("Who joins the features"),
        Labels({"repository": "the repository's own store", "spark": "Spark"}),
    ] = "repository",
    model: fields.ModelVersion = "models:/flight-delay@champion",
    ignore: Annotated[list[str], Title("Columns not to compare")] = [],
    prometheus: fields.Prometheus = "",
    table: fields.Predictions = "predictions/flight_delay",
    without_time: Annotated[
        Literal["replace", "snapshot"],
        Title("Without times, replace"),
        Labels({"replace": "all", "snapshot": "the snapshot of the same day"}),
    ] = "replace",
    keys: fields.PassedOn = ["flight_id"],
    prefix: fields.Prefix = "",
    quarantine: fields.Quarantine = "",
    quarantine_limit: Annotated[float, Ge(0), Le(1), Title("Most rows that may fail")] = 0.01,
    engine: Annotated[
        Literal["auto", "arrow", "spark"],
        Title("Where rows are predicted"),
        Labels({"auto": "Spark where there is a cluster and it pays", "arrow": "this machine", "spark": "Spark"}),
    ] = "auto",
    master: fields.Master = "",
    spark_conf: fields.SparkConf = {},
) -> None:
    """Predict the rows of a data interval with the champion, and publish them as a table.

    A run that starts again, or a backfill of an interval that was done before, replaces the interval's days in the
    table and nothing else. The defaults predict the flights of yesterday, late or not: those of the same day of 2013,
    as if they had left now. Other parameters predict any other table; one without times is predicted whole.

    Args:
        since: Start of the interval, a midnight in the time zone; the schedule's when empty. Not needed without times.
        until: End of the interval, which is not part of it.
        source: Path or URI of the table with the rows, of which a run takes its data interval; with a revision,
            its path in the DVC repository.
        revision: Git revision of the DVC repository; empty for the data as it is now.
        timestamps: Columns that hold times, as texts or dates.
        separator: What separates the values of a CSV source, such as ; or tab; found from its rows when empty.
        decimal: What stands before the fraction of a CSV source's numbers; found from its columns when auto.
        encoding: Of a CSV source, such as latin-1; UTF-8, or what the file's mark says, when empty.
        suite: Path or URI of the Great Expectations suite the rows must pass; empty for none.
        timestamp: Column with each row's time; empty for a table without times.
        timezone: IANA name of the zone of the interval, and whose days the predictions are kept by.
        feature_service: Feast feature service to join; empty for none.
        feature_repository: Path of the Feast repository.
        feature_sources: Path, URI or DVC path of the features' source tables.
        offline_store: Who joins the features; Spark where they fit on no machine, held against the repository's store.
        model: Model in the MLflow registry, by alias or version; an alias is looked up once, when the run starts.
        ignore: Columns not to hold against what the model was trained on.
        prometheus: Path of a .prom file, or URL of a Pushgateway, for how far they are from that; empty for neither.
        table: Path or URI of the table of predictions.
        without_time: What the predictions of a table without times replace; all, or the snapshot of the same day.
        keys: Columns to pass on to the predictions.
        prefix: Before the names of the columns that are added; needed when a key has such a name.
        quarantine: Path or URI of a table for rows that cannot be predicted; empty to fail for one.
        quarantine_limit: Share of the rows that may be quarantined.
        engine: Where rows are predicted; auto takes this machine unless a cluster is configured and pays.
        master: Address of the Spark cluster; the environment's when empty.
        spark_conf: Further settings of the Spark session.
    """
    pinned = pin_model(model=model)
    ingested = ingest(
        source=source,
        revision=revision,
        timestamps=timestamps,
        separator=separator,
        decimal=decimal,
        encoding=encoding,
        timestamp=timestamp,
        since=since,
        until=until,
        timezone=timezone,
    )
    validated = validate(data=ingested.outputs["data"], suite=suite)
    featurised = featurise(
        entities=ingested.outputs["data"],
        feature_service=feature_service,
        repository=feature_repository,
        sources=feature_sources,
        revision=revision,
        offline_store=offline_store,
        master=master,
        spark_conf=spark_conf,
    ).after(validated)
    # Beside the predictions: it reports, and holds nothing up.
    monitor(
        data=featurised.outputs["features"],
        model=pinned.outputs["model"],
        ignore=ignore,
        timestamp=timestamp,
        timezone=timezone,
        prometheus=prometheus,
        check_name="flight-delay-batch-inference",
        required=False,
    )
    predicted = predict(
        data=featurised.outputs["features"],
        model=pinned.outputs["model"],
        table=table,
        since=since,
        until=until,
        timestamp=timestamp,
        timezone=timezone,
        without_time=without_time,
        keys=keys,
        prefix=prefix,
        quarantine=quarantine,
        quarantine_limit=quarantine_limit,
        engine=engine,
        master=master,
        spark_conf=spark_conf,
    )
    predicted.set_retry(num_retries=2, backoff_duration="30s")
