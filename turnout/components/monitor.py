"""Hold data against what a model was trained on."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from turnout import HTML, Artifact, Asset, Dataset, Input, Metrics, Output, component


class Monitored(NamedTuple):
    """What came of a check; `train` when the data drifted or the model is worse, and the data can be trusted.

    `title`, `summary` and `severity` are for a notice.

    `drifted` when values are distributed otherwise, `broken` when the data cannot be trusted, `alert` when either, or
    when the model is worse or unfair, or more values than before are missing, out of range, repeated or never seen.
    """

    drifted: bool
    broken: bool
    alert: bool
    train: bool
    reasons: list[str]
    title: str
    summary: str
    severity: str


@component(cache=False, reads=[Asset("{model}"), Asset("{predictions}")])
def monitor(
    data: Input[Dataset],
    report: Output[HTML],
    findings: Output[Artifact],
    metrics: Output[Metrics],
    model: str = "",
    reference: str = "",
    ignore: list[str] = [],
    predictions: str = "",
    prefix: str = "",
    since: str = "",
    until: str = "",
    timezone: str = "UTC",
    rate: Annotated[float, Gt(0), Le(0.5)] = 0.05,
    least_distance: Annotated[float, Ge(0), Le(1)] = 0.1,
    null_limit: Annotated[float, Ge(0), Le(1)] = 0.2,
    least_rows: Annotated[int, Ge(1)] = 50,
    prometheus: str = "",
    check_name: str = "",
    metric: str = "",
    target: str = "",
    least_loss: Annotated[float, Ge(0)] = 0.01,
    concept: Literal["", "adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"] = "",
    groups: list[str] = [],
    least_unfairness: Annotated[float, Ge(0), Le(1)] = 0.1,
    timestamp: str = "",
    stale_hours: Annotated[float, Ge(0)] = 0.0,
    keys: list[str] = [],
    required: bool = True,
    engine: Literal["arrow", "spark"] = "arrow",
    master: str = "",
    spark_conf: dict[str, str] = {},
) -> Monitored:
    """Say whether data has drifted from what a model was trained on, by how much, and whether it is broken.

    Every column's values, missing values, range and unseen categories are compared, all columns together, and with
    `metric` the model's performance and calibration. A difference counts when it is no
    accident for as many rows as there are, with at most `rate` false ones among those that count, and when it is as
    large as `least_distance`. Data is broken when a column is gone or of another kind, when values are missing that
    were there, when it is stale, or when there are too few rows to say anything.

    Args:
        data: Parquet with the columns to compare.
        report: the findings as a page.
        findings: the findings as JSON.
        metrics: how many columns drifted, and the largest distance.
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, trained by the catalogue's `train`.
        reference: path or URI of Parquet to compare with, in the place of a model.
        ignore: columns of the reference not to compare.
        predictions: path or URI of a table of predictions, as `predict` writes it; those of the interval are compared
            with the model's predictions of rows that it had not seen. Without `timestamp`, where there are none of the
            interval, those of the last day before.
        prefix: that `predict` put before the names of its columns.
        since: start of the interval, ISO 8601; needed with `predictions` and `timestamp`, as a midnight in `timezone`.
        until: its end, which is not part of it.
        timezone: IANA name of the zone whose days the predictions are kept by and the rows' days are counted in, and in
            which `since` and `until` are meant if they have no offset.
        rate: of false discoveries among the differences that count.
        least_distance: the share of rows that a difference must be about.
        null_limit: how much the share of missing values of a column may rise.
        least_rows: rows below which nothing is said.
        prometheus: path of a `.prom` file, or URL of a Pushgateway; empty for neither.
        check_name: the label `monitor` of the metrics, to tell checks of a model apart.
        metric: by which `evaluate` judged the model: how good it is on these rows, measured where they have the target,
            else estimated from its probabilities; empty to leave that alone.
        target: the column with the labels.
        least_loss: how much worse does not matter: of the metric, of errors, of the share of positives.
        concept: river's detector for errors in the course of `timestamp`, where rows have the target; empty for none.
        groups: columns with groups that the model should treat alike, such as a protected attribute.
        least_unfairness: difference of two groups' shares of yes that does not matter.
        timestamp: column with each row's time, without a zone meant in UTC; it says how many days the rows are of.
        stale_hours: how much older than `until`, or than now, the newest row may be; 0 for any age.
        keys: columns that no two rows may have alike.
        required: fail when the model was trained without a reference; else report that there is none.
        engine: who counts: `arrow`, this process, a piece at a time; or `spark`, on a cluster.
        master: Spark's master URL; $SPARK_MASTER, or this machine, when empty.
        spark_conf: further settings of the Spark session.
    """
    from pathlib import Path

    from turnout.data.tables import no_rows
    from turnout.data.times import days, interval
    from turnout.inference import table
    from turnout.monitoring.check import Settings, check, require_questions
    from turnout.monitoring.checked_table import current
    from turnout.monitoring.comparison_report import comparison_report, first_reasons, period_of
    from turnout.monitoring.judgement import judge
    from turnout.monitoring.profile import count
    from turnout.monitoring.reference import find_reference
    from turnout.monitoring.report import findings_json, log_metrics, publish_metrics

    settings = Settings(
        rate=rate, least_distance=least_distance, metric=metric, target=target, least_loss=least_loss, concept=concept,
        groups=groups, least_unfairness=least_unfairness, keys=keys, timestamp=timestamp, timezone=timezone,
        stale_hours=stale_hours,
    )  # fmt: skip
    require_questions(model, reference, settings)
    chosen = interval(since, until, timezone)
    dates = days(chosen, timezone) if predictions and (timestamp or chosen.bounded) else ()
    known = find_reference(model, reference, timestamp, required).without(ignore)
    predicted = None
    if predictions:
        columns = {own: prefix + name for own, name in known.predicted.items() if own in known.profile.columns}
        if columns:
            kept = dates if timestamp else table.latest(predictions, dates)
            rows_predicted = table.read(predictions, kept, list(columns.values()))
            predicted = count(rows_predicted.rename_columns(list(columns)), known.profile)
    held = f"{len(known.profile.columns):,} columns, {known.profile.rows:,} rows"
    print(f"comparing the data with {known.name}: {held}", flush=True)
    with current(data.path, engine, master, spark_conf) as rows:
        comparison, counts = check(known, rows, settings, predicted, chosen.until)
    judgement = judge(comparison, rate, null_limit, least_rows, no_rows(data.metadata)[0])
    verdict = f"{known.name}: {judgement}" if known.profile.columns else f"{known.name} has no reference"
    reasons = list(judgement.reasons)
    summary = "\n".join([f"{verdict}; {counts.rows:,} rows", *first_reasons(reasons)])
    print(*(item.text for item in comparison.findings if item.check == "performance"), summary, sep="\n")

    said = str(judgement)[:1].upper() + str(judgement)[1:] if known.profile.columns else verdict
    comparison_report(
        comparison, known.profile, counts, said, not judgement.alert, reasons, settings, name=known.name,
        period=period_of(chosen, data.metadata, timezone),
    ).write(report)  # fmt: skip
    Path(findings.path).write_text(findings_json(comparison, judgement, known.name), encoding="utf-8")
    log_metrics(metrics, comparison, counts.rows, metric)
    if prometheus:
        publish_metrics(comparison, judgement, prometheus, check_name, *known.labels)
    return Monitored(
        drifted=judgement.state == "drifted",
        broken=judgement.state == "broken",
        alert=judgement.alert,
        train=judgement.train,
        reasons=reasons,
        title=f"{known.name.removeprefix('models:/')}: {judgement}",
        summary=summary,
        severity=judgement.severity,
    )
