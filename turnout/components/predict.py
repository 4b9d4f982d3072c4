"""Predict the rows of an interval with a registered model."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Le

from turnout import Asset, Dataset, Input, Metrics, Output, component


class Predicted(NamedTuple):
    """Rows of the interval: `rows` is `predicted` and `quarantined` together."""

    rows: int
    predicted: int
    quarantined: int
    version: str
    engine: str


@component(cache=False, reads=[Asset("{model}")], publishes={"predictions": Asset("{table}")})
def predict(
    data: Input[Dataset],
    predictions: Output[Dataset],
    metrics: Output[Metrics],
    model: str,
    table: str,
    since: str = "",
    until: str = "",
    timestamp: str = "event_timestamp",
    timezone: str = "UTC",
    without_time: Literal["replace", "snapshot"] = "replace",
    keys: list[str] = [],
    prefix: str = "",
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

    An input without a column of times is predicted whole: it replaces all that the table has, or becomes the content of
    one day, a snapshot beside those of other days.

    Args:
        data: Parquet with the columns of the model's signature; further columns are left alone.
        predictions: the table of predictions, where it is.
        metrics: rows, and how fast.
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION` in the MLflow registry.
        table: path or URI of the table of predictions; made when it does not exist.
        since: start of the interval, ISO 8601; a midnight in `timezone`. Without times, a moment of the day that the
            rows are kept under; today when empty.
        until: its end, which is not part of it; a midnight too. Without times it is not used.
        timestamp: column with each row's time; without a zone it is meant in UTC. Empty when the input has none.
        timezone: IANA name of the zone whose days the table is partitioned by, and in which `since` and `until` are
            meant if they have no offset.
        without_time: what the predictions of an input without times replace: all of the table, or the snapshot of
            the same day.
        keys: columns to pass on, such as an identifier.
        prefix: before the names of the columns that are added, where columns that are passed on have such a name:
            `scored_` gives `scored_prediction`, `scored_date` and so on.
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
    from turnout.data.times import ALWAYS, day, days, interval
    from turnout.engines.arrow import start_early
    from turnout.engines.spark_session import session
    from turnout.inference.batch import choose_engine
    from turnout.inference.batch import predict as predict_interval
    from turnout.inference.engines import PRELOAD, score_on_arrow, score_on_spark
    from turnout.inference.job import open_job
    from turnout.models.registry import look_up

    chosen, date = interval(since, until, timezone), ""
    dates: tuple[str, ...] | None
    if timestamp:
        dates = days(chosen, timezone)
    else:
        chosen, date = ALWAYS, day(since, timezone, "since")
        dates = (date,) if without_time == "snapshot" else None
    require_interval(data.metadata, chosen)
    master = master or os.environ.get("SPARK_REMOTE") or os.environ.get("SPARK_MASTER", "")
    engine_name, why = choose_engine(engine, master, data.path)
    print(f"engine: {engine_name}, {why}")
    early = engine_name == "arrow" and start_early(data.path, PRELOAD)
    version = look_up(model)
    opened = open_job(
        version, table=table, quarantine=quarantine, keys=keys, timestamp=timestamp, timezone=timezone, interval=chosen,
        date=date, prefix=prefix,
    )  # fmt: skip
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
        format="delta", delta_version=found.version, dates=list(found.dates), rows=found.predicted, model=version.uri
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
    if timestamp:
        replaced = f"{found.outside:,} outside the interval; {found.dates[0]} to {found.dates[-1]}"
    else:
        replaced = f"no times; {'all' if dates is None else f'the snapshot of {date}'}"
    print(
        f"{found.predicted:,} of {found.rows:,} rows predicted by {version.uri}, {found.quarantined:,} quarantined,"
        f" {replaced} in {place} replaced, version {found.version}"
    )
    return Predicted(found.rows, found.predicted, found.quarantined, version.version, engine_name)
