"""Judge a version that is tried out beside the one in service."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from turnout import HTML, Artifact, Dataset, Metrics, Output, component

ReleaseMetric = Literal["errors", "p50", "p99", "predictions", "loss", "bias", "business"]


class Judged(NamedTuple):
    """The verdict, and whether the release goes on; `title`, `summary` and `severity` are for a notice.

    `passed` when the version is better or no worse, `worse` when it has to go back. When neither, it is not yet known,
    and `more` says about how many requests more it takes (0: nobody can say).
    """

    verdict: str
    passed: bool
    worse: bool
    more: int
    title: str
    summary: str
    severity: str


@component(cache=False)
def judge_canary(
    report: Output[HTML],
    findings: Output[Artifact],
    differences: Output[Dataset],
    metrics: Output[Metrics],
    registered_model: str,
    version: str,
    target: str = "local",
    wait_minutes: Annotated[float, Ge(0)] = 60.0,
    every_seconds: Annotated[float, Gt(0)] = 5.0,
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05,
    needed: list[ReleaseMetric] = ["errors", "p50", "p99", "predictions"],
    error_ratio: Annotated[float, Gt(1)] = 2.0,
    error_rate: Annotated[float, Ge(0), Lt(1)] = 0.001,
    latency_ratio: Annotated[float, Gt(1)] = 1.2,
    prediction_share: Annotated[float, Gt(0), Lt(1)] = 0.1,
    different_share: Annotated[float, Gt(0), Le(1)] = 0.5,
    loss: Annotated[float, Gt(0), Lt(1)] = 0.02,
    labels: str = "",
    label: str = "",
    label_keys: list[str] = ["request_id"],
    business: str = "",
    largest_error: Annotated[float, Ge(0)] = 0.0,
    history_days: Annotated[float, Gt(0)] = 7.0,
) -> Judged:
    """Look at what users saw until it is known whether a version is worse than the one in service, or time is over.

    The tests hold however often one looks: the version is called worse by chance in at most `alpha` of the releases of
    a version that is as good, and let pass in at most `alpha` of those that are worse by what matters. All is computed
    from the target's logs at each look, so a step that is tried again goes on where the first was.

    Args:
        report: the judgement as a page, written at each look.
        findings: the judgement as JSON.
        differences: of a shadow, the requests to which it said otherwise than the version in service.
        metrics: the ratios and differences that were found.
        registered_model: name in the MLflow registry.
        version: that is tried out.
        target: where it is served: `local`, `local:DIRECTORY`, `kubernetes:FILE`, `kserve:FILE`.
        wait_minutes: how long to look; 0 for one look.
        every_seconds: between two looks.
        alpha: the probability of a wrong verdict, of either kind, over all looks and metrics.
        needed: what has to be known; of other metrics it is enough that they are not worse.
        error_ratio: of the error rates, from which on the version is worse.
        error_rate: below which errors do not matter.
        latency_ratio: of the median and of the p99, from which on the version is worse.
        prediction_share: share of requests that are predicted otherwise, from which on the version is worse.
        different_share: share of the requests to which a shadow gives another class than the version in service, from
            which on it is worse, also where as many requests get each class.
        loss: difference of the mean loss, of calibration, or of the business metric, from which on the version is
            worse.
        labels: path or URI of a table to which labels of predictions come, read again at each look; empty for none.
        label: its column with the truth. The loss of a probability is its squared distance from it, of a class whether
            it is wrong.
        label_keys: its columns that tell requests apart: `request_id`, which answers have as `x-request-id`, or columns
            that the model takes.
        business: its column with what a request brought, from 0 to 1; more is better.
        largest_error: where the model predicts a number: the error that is a loss of 1.
        history_days: how far to look back; earlier days of the version in service say what it is like.
    """
    import datetime
    from pathlib import Path

    from turnout import ComponentError
    from turnout.reports.report import Report
    from turnout.serving.rollout.judgement import Settings
    from turnout.serving.rollout.labels import LabelSource
    from turnout.serving.rollout.looks import Look, is_idle, look, looks
    from turnout.serving.rollout.metrics import Margins
    from turnout.serving.rollout.notes import note
    from turnout.serving.rollout.report import findings_json, log_metrics, release_report
    from turnout.serving.rollout.shadow import write_differences
    from turnout.serving.targets.chosen import target_of

    if labels and not (label or business):
        raise ComponentError("of the labels no column is named", where=labels, hint="name label, business, or both")
    truth = LabelSource(labels, label, tuple(label_keys), business, largest_error) if labels else None
    margins = Margins(error_ratio, error_rate, latency_ratio, prediction_share, loss, loss, loss)
    settings = Settings(margins, alpha, tuple(needed), different_share)
    place, version = target_of(target), str(version)
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=history_days)

    if is_idle(place, registered_model, version):
        said = f"version {version} is loaded, and gets no requests in this step"
        Report("Release", verdict=said, about=registered_model).write(report)
        Path(findings.path).write_text("{}", encoding="utf-8")
        write_differences(None, differences.path)
        print(said)
        return Judged("not judged", True, False, 0, f"{registered_model}: {said}", said, "info")

    def write(seen: Look, waiting: str) -> None:
        release_report(
            seen.judgement, seen.windows, settings, registered_model, version, seen.differences, waiting
        ).write(report)  # fmt: skip

    seen = None
    for seen in looks(
        lambda: look(place, registered_model, version, since, settings, truth), wait_minutes * 60, every_seconds
    ):
        print(f"{sum(seen.judgement.requests):,} requests: {seen.judgement.verdict}", flush=True)
        if seen.goes_on:
            write(seen, seen.waiting)
    assert seen is not None
    write(seen, "")
    judgement = seen.judgement
    Path(findings.path).write_text(findings_json(judgement, registered_model, version), encoding="utf-8")
    write_differences(seen.differences, differences.path)
    log_metrics(metrics, judgement)
    worse = judgement.verdict == "worse"
    summary = "\n".join(judgement.reasons)
    print(summary)
    if not (worse or judgement.passed):
        note(registered_model, version, "held", summary)
    return Judged(
        verdict=judgement.verdict,
        passed=judgement.passed,
        worse=worse,
        more=judgement.more or 0,
        title=f"{registered_model} version {version}: {judgement.verdict}",
        summary=summary,
        severity="critical" if worse else "info" if judgement.passed else "warning",
    )
