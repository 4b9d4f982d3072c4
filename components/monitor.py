"""Hold data against what a model was trained on."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from turnout import HTML, Artifact, Dataset, Input, Metrics, Output, component


class Monitored(NamedTuple):
    """What came of a check; `train` when the data drifted or the model is worse, and the data can be trusted.

    `title`, `summary` and `severity` are for a notice.

    `drifted` when values are distributed otherwise, `broken` when the data cannot be trusted, `alert` when either, or
    when the model is worse, or more values than before are missing, out of range or never seen.
    """

    drifted: bool
    broken: bool
    alert: bool
    train: bool
    reasons: list
    title: str
    summary: str
    severity: str


@component
def monitor(
    data: Input[Dataset],
    report: Output[HTML],
    findings: Output[Artifact],
    metrics: Output[Metrics],
    model: str = "",
    reference: str = "",
    ignore: list[str] = [],
    predictions: str = "",
    since: str = "",
    until: str = "",
    timezone: str = "UTC",
    rate: Annotated[float, Gt(0), Le(0.5)] = 0.05,
    least_distance: Annotated[float, Ge(0), Le(1)] = 0.1,
    null_limit: Annotated[float, Ge(0), Le(1)] = 0.2,
    least_rows: Annotated[int, Ge(1)] = 50,
    prometheus: str = "",
    metric: str = "",
    target: str = "",
    least_loss: Annotated[float, Ge(0)] = 0.01,
    required: bool = True,
    engine: Literal["arrow", "spark"] = "arrow",
    master: str = "",
    spark_conf: dict = {},
) -> Monitored:
    """Say whether data has drifted from what a model was trained on, by how much, and whether it is broken.

    Every column's values, missing values, range and unseen categories are compared. A difference counts when it is no
    accident for as many rows as there are, with at most `rate` false ones among those that count, and when it is as
    large as `least_distance`. Data is broken when a column is gone or of another kind, when values are missing that
    were there, or when there are too few rows to say anything.

    Args:
        data: Parquet with the columns to compare.
        report: the findings as a page.
        findings: the findings as JSON.
        metrics: how many columns drifted, and the largest distance.
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, trained by the catalogue's `train`.
        reference: path or URI of Parquet to compare with, in the place of a model.
        ignore: columns of the reference not to compare.
        predictions: path or URI of a table of predictions, as `predict` writes it; those of the interval are compared
            with the model's predictions of rows that it had not seen.
        since: start of the interval, ISO 8601.
        until: its end, which is not part of it.
        timezone: IANA name of the zone whose days the predictions are kept by.
        rate: of false discoveries among the differences that count.
        least_distance: the share of rows that a difference must be about.
        null_limit: how much the share of missing values of a column may rise.
        least_rows: rows below which nothing is said.
        prometheus: path of a `.prom` file, or URL of a Pushgateway; empty for neither.
        metric: by which `evaluate` judged the model: how good it is on these rows, measured where they have the target,
            else estimated from its probabilities; empty to leave that alone.
        target: the column with the labels.
        least_loss: how much worse, in the metric's own unit, does not matter.
        required: fail when the model was trained without a reference; else report that there is none.
        engine: who counts: `arrow`, this process, a piece at a time; or `spark`, on a cluster.
        master: Spark's master URL; $SPARK_MASTER, or this machine, when empty.
        spark_conf: further settings of the Spark session.
    """
    import dataclasses
    import json
    import tempfile
    from pathlib import Path

    import pyarrow.dataset as ds

    from turnout import ComponentError
    from turnout.inference import table
    from turnout.inference.model import pin
    from turnout.inference.predict import days
    from turnout.monitoring.drift import check_schema, compare
    from turnout.monitoring.judgement import judge
    from turnout.monitoring.performance import held_against
    from turnout.monitoring.profile import Profile, count, count_dataset, make_profile
    from turnout.monitoring.reference import load_reference, load_scores, model_performance
    from turnout.monitoring.report import comparison_page, publish_metrics
    from turnout.monitoring.spark_counts import count_on_spark
    from turnout.spark import session
    from turnout.tables import fetch

    if bool(model) == bool(reference):
        raise ComponentError("give a model or a reference, and not both", where="model, reference")
    if metric and not model:
        raise ComponentError("only a model's performance can be measured", where="metric", hint="give a model")
    if model:
        version = pin(model)
        found, told = load_reference(version), version.uri
        if found is None and required:
            hint = "train it again with the catalogue's train, or give a reference table"
            raise ComponentError("the model version has no reference to compare with", where=told, hint=hint)
        known = found or Profile(0, {})
    else:
        with tempfile.TemporaryDirectory() as directory:
            path = fetch(reference, "", Path(directory)).path
            known, told = make_profile(ds.dataset(path, format="parquet").to_table()), reference
    known = dataclasses.replace(known, columns={n: c for n, c in known.columns.items() if n not in ignore})
    here = ds.dataset(data.path, format="parquet")
    faults = check_schema(here.schema, known)
    if engine == "spark":
        with session(master, spark_conf) as spark:
            current = count_on_spark(data.path, known, spark)
    else:
        current = count_dataset(here, known)
    if predictions:
        columns = [name for name in ("prediction", "probability") if name in known.columns]
        current |= count(table.read(predictions, days(since, until, timezone), columns), known)
    comparison = compare(known, current, faults, rate, least_distance)
    performance = None
    if metric and not faults and here.count_rows():
        was = load_scores(version, metric)
        now = model_performance(version, here, metric, target)
        if now.estimated in was:
            performance = held_against(was[now.estimated], now, rate, least_loss)
            comparison = dataclasses.replace(comparison, findings=(performance, *comparison.findings))
            print(performance.text)
    judgement = judge(comparison, performance, rate, null_limit, least_rows)
    verdict = f"{told}: {judgement}" if known.columns else f"{told} has no reference"
    reasons = list(judgement.reasons)
    Path(report.path).write_text(
        comparison_page(comparison, known, current, verdict, not judgement.alert, reasons), encoding="utf-8"
    )
    result = {"reference": told, "state": judgement.state, "worse": judgement.worse, "reasons": reasons}
    Path(findings.path).write_text(json.dumps(result | comparison.to_dict(), indent=1), encoding="utf-8")
    metrics.log_metric("rows", current.rows)
    metrics.log_metric("drifted", len(comparison.drifted))
    metrics.log_metric("largest_distance", max((item.distance for item in comparison.findings), default=0.0))
    if performance:
        metrics.log_metric(metric, performance.current)
    drifted, broken = judgement.state == "drifted", judgement.state == "broken"
    if prometheus:
        publish_metrics(comparison, drifted, broken, prometheus, {"model": told})
    summary = "\n".join([f"{verdict}; {current.rows:,} rows", *reasons])
    print(summary)
    title = f"{told.removeprefix('models:/')}: {judgement}"
    return Monitored(drifted, broken, judgement.alert, judgement.train, reasons, title, summary, judgement.severity)
