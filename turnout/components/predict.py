"""Predict the rows of an interval with a registered model."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Le

from turnout import Dataset, Input, Metrics, Output, component


class Predicted(NamedTuple):
    """Rows of the interval: `rows` is `predicted` and `quarantined` together."""

    rows: int
    predicted: int
    quarantined: int
    version: str
    engine: str


@component(cache=False)
def predict(
    data: Input[Dataset],
    predictions: Output[Dataset],
    metrics: Output[Metrics],
    model: str,
    table: str,
    since: str,
    until: str,
    timestamp: str = "event_timestamp",
    timezone: str = "UTC",
    keys: list[str] = [],
    quarantine: str = "",
    quarantine_limit: Annotated[float, Ge(0), Le(1)] = 0.01,
    engine: Literal["auto", "arrow", "spark"] = "auto",
    master: str = "",
    spark_conf: dict[str, str] = {},
) -> Predicted:
    """Score each row of an interval, and make that the content of its days in a table, all at once.

    The table is a Delta table: Parquet files, and a log that says which of them count. A rerun replaces the days of its
    interval and nothing else; who reads meanwhile sees the old rows or the new. Beside `keys` and the time a row
    has `prediction`, the probabilities of a classifier, `model`, `model_version`, `run_id`, `predicted_at` and `date`.

    Args:
        data: Parquet with the columns of the model's signature; further columns are left alone.
        predictions: the table of predictions, where it is.
        metrics: rows, and how fast.
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION` in the MLflow registry.
        table: path or URI of the table of predictions; made when it does not exist.
        since: start of the interval, ISO 8601; a midnight in `timezone`.
        until: its end, which is not part of it; a midnight too.
        timestamp: column with each row's time; without a zone it is meant in UTC.
        timezone: IANA name of the zone whose days the table is partitioned by, and in which `since` and `until` are
            meant if they have no offset.
        keys: columns to pass on, such as an identifier.
        quarantine: path or URI of a table for rows that cannot be predicted, with reasons; empty to fail for one.
        quarantine_limit: share of the rows that may be quarantined.
        engine: `arrow`, on this machine; `spark`, on a cluster; `auto` says what it chose and why.
        master: Spark's master URL, or sc://HOST:PORT for Spark Connect; $SPARK_REMOTE or $SPARK_MASTER when empty.
        spark_conf: further settings of the Spark session.
    """
    import contextlib
    import functools
    import os
    import time

    from turnout.data.tables import require_interval
    from turnout.data.times import days, interval
    from turnout.engines.arrow import start_early
    from turnout.engines.spark_session import session
    from turnout.inference.batch import choose_engine
    from turnout.inference.batch import predict as predict_interval
    from turnout.inference.engines import PRELOAD, score_on_arrow, score_on_spark
    from turnout.inference.job import open_job
    from turnout.models.registry import look_up

    chosen = interval(since, until, timezone)
    dates = days(chosen, timezone)
    require_interval(data.metadata, chosen)
    master = master or os.environ.get("SPARK_REMOTE") or os.environ.get("SPARK_MASTER", "")
    engine_name, why = choose_engine(engine, master, data.path)
    print(f"engine: {engine_name}, {why}")
    early = engine_name == "arrow" and start_early(data.path, PRELOAD)
    version = look_up(model)
    opened = open_job(
        version, table=table, quarantine=quarantine, keys=keys, timestamp=timestamp, timezone=timezone, interval=chosen
    )
    with opened as job:
        place = job.table
        with session(master, spark_conf) if engine_name == "spark" else contextlib.nullcontext() as spark:
            arrow = functools.partial(score_on_arrow, early=early)
            score = functools.partial(score_on_spark, session=spark) if spark else arrow
            started = time.monotonic()
            found = predict_interval(data.path, job, dates, score, quarantine_limit)
    seconds = time.monotonic() - started
    predictions.uri = place
    predictions.metadata.update(
        format="delta", delta_version=found.version, dates=list(dates), rows=found.predicted, model=version.uri
    )
    for name, value in {
        "rows": found.rows,
        "predicted": found.predicted,
        "quarantined": found.quarantined,
        "outside_the_interval": found.outside,
        "rows_per_second": round(found.rows / seconds),
    }.items():
        metrics.log_metric(name, value)
    if found.extra:
        print(f"columns that the model does not take: {', '.join(found.extra)}")
    print(
        f"{found.predicted:,} of {found.rows:,} rows predicted by {version.uri}, {found.quarantined:,} quarantined,"
        f" {found.outside:,} outside the interval; {dates[0]} to {dates[-1]} in {place}, version {found.version}"
    )
    return Predicted(found.rows, found.predicted, found.quarantined, version.version, engine_name)
