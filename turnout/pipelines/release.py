"""Release a registered model: smoke test, shadow, 5 %, 25 %, all requests; each step is judged, or taken back."""

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt
from kfp import dsl

from turnout import Examples, Title, pipeline
from turnout.components.deploy import deploy
from turnout.components.end_release import end_release
from turnout.components.ingest import ingest
from turnout.components.judge_canary import ReleaseMetric, judge_canary
from turnout.components.pin_model import pin_model
from turnout.components.promote import promote
from turnout.components.roll_back import roll_back
from turnout.components.smoke_test import smoke_test
from turnout.pipelines import _fields as fields

PERCENTS = (5.0, 25.0)
"""Of the requests, step by step, before all of them."""


def _go_on(judged: Any, percents: Sequence[float], of: dict[str, Any], judgement: dict[str, Any], wait: Any) -> None:
    """Back when the version is worse; the next step when it is no worse; neither when it is not yet known."""
    percent = percents[0] if percents else 100.0
    with dsl.If(judged.outputs["worse"] == True, name=f"worse_before_{percent:g}"):  # noqa: E712 - KFP reads it
        roll_back(**of, why=judged.outputs["summary"], fail=True)
    with dsl.If(judged.outputs["passed"] == True, name=f"go_on_to_{percent:g}"):  # noqa: E712
        if not percents:
            promote(**of, wait_seconds=wait, why="each step was judged")
            return
        deployed = deploy(**of, percent=percent, alias="", wait_seconds=wait, why=f"{percent:g} % after a judgement")
        _go_on(judge_canary(**of, **judgement).after(deployed), percents[1:], of, judgement, wait)


@pipeline(
    name="flight-delay-release",
    display_name="Release",
    tags=["release", "example"],
    max_active_runs=1,
    sections={
        "Release": ["registered_model", "alias", "target", "channels"],
        "Smoke test": ["golden", "staging", "golden_rows", "latency_ms"],
        "Steps": ["shadow_percent", "wait_minutes", "every_seconds", "wait_seconds"],
        "Judgement": [
            "alpha",
            "needed",
            "error_ratio",
            "error_rate",
            "latency_ratio",
            "prediction_share",
            "different_share",
            "loss",
        ],
        "Labels": ["labels", "label", "label_keys", "business", "largest_error"],
        "Notices": ["silence_hours", "notices"],
    },
)
def release(
    registered_model: fields.RegisteredModel = "flight-delay",
    alias: Annotated[str, Title("Alias of the version"), Examples("challenger")] = "challenger",
    target: Annotated[
        str, Title("Target"), Examples("local", "local:/srv/serving", "kubernetes:kubernetes.yaml")
    ] = "local",
    channels: Annotated[list[str], Title("Channels")] = [],
    golden: Annotated[str, Title("Table of golden rows")] = "data/flights/flights.parquet",
    staging: Annotated[str, Title("Target to try it on first"), Examples("local:.turnout/staging")] = "",
    golden_rows: Annotated[int, Ge(1), Title("Golden requests")] = 100,
    latency_ms: Annotated[float, Ge(0), Title("Most milliseconds of the p99")] = 0.0,
    shadow_percent: Annotated[float, Ge(0), Le(100), Title("Percent of requests that are copied")] = 100.0,
    wait_minutes: Annotated[float, Ge(0), Title("Minutes to judge a step")] = 60.0,
    every_seconds: Annotated[float, Gt(0), Title("Seconds between looks")] = 5.0,
    wait_seconds: Annotated[float, Ge(0), Title("Seconds until a version answers")] = 300.0,
    alpha: Annotated[float, Gt(0), Lt(1), Title("Probability of a wrong verdict")] = 0.05,
    needed: Annotated[list[ReleaseMetric], Title("What has to be known")] = ["errors", "p50", "p99", "predictions"],
    error_ratio: Annotated[float, Gt(1), Title("Ratio of errors that matters")] = 2.0,
    error_rate: Annotated[float, Ge(0), Lt(1), Title("Rate of errors that does not matter")] = 0.001,
    latency_ratio: Annotated[float, Gt(1), Title("Ratio of latencies that matters")] = 1.2,
    prediction_share: Annotated[float, Gt(0), Lt(1), Title("Share of other predictions that matters")] = 0.1,
    different_share: Annotated[float, Gt(0), Le(1), Title("Share of other classes that matters")] = 0.5,
    loss: Annotated[float, Gt(0), Lt(1), Title("Difference of losses that matters")] = 0.02,
    labels: Annotated[str, Title("Table to which labels come")] = "",
    label: Annotated[str, Title("Column of the truth")] = "",
    label_keys: Annotated[list[str], Title("Columns that tell requests apart")] = ["request_id"],
    business: Annotated[str, Title("Column of the business metric")] = "",
    largest_error: Annotated[float, Ge(0), Title("Error that is as bad as can be, of a number")] = 0.0,
    silence_hours: Annotated[float, Ge(0), Title("Hours between like notices")] = 24.0,
    notices: Annotated[str, Title("File of notices")] = ".turnout/notices.json",
) -> None:
    """Release a registered model step by step, each judged by what users saw, and take it back when it is worse.

    A version first answers golden requests; then it gets copies of the traffic, and its answers are thrown away; then 5
    and 25 percent of the requests; then all. A step goes on when the version is known to be no worse. When it is worse,
    or anything fails, the version before answers all requests again, the run fails, and people are told. When time is
    over and it is not yet known, for example because there was no traffic, the version keeps its part, people are told,
    and the next run judges it by more.

    Args:
        registered_model: Name in the MLflow registry.
        alias: Alias of the version that is to be released, in the registry.
        target: Where it is served.
        channels: Where to tell how it went: Apprise URLs, file:PATH, or $NAME of a variable that holds one.
        golden: Path or URI of a table whose first rows are the golden requests. Where it lacks columns that the model
            takes, such as features, rows of the version's evaluation are sent.
        staging: Target to which the version is deployed for the golden requests; empty to try it in the step.
        golden_rows: How many rows to send.
        latency_ms: What the p99 of golden requests may take; 0 for any.
        shadow_percent: Percent of the requests that the version gets copies of, before its answers are used; 0 where
            the target has no copies to give, and the version is loaded only.
        wait_minutes: How long to judge each step.
        every_seconds: Seconds between two looks of the judge.
        wait_seconds: How long the target may take until a version answers.
        alpha: Probability that a version as good is called worse, and that a worse one is let pass.
        needed: What has to be known before a step goes on; of the rest it is enough not to be worse.
        error_ratio: Ratio of the error rates from which on the version is worse.
        error_rate: Rate of errors below which they do not matter.
        latency_ratio: Ratio of the median or the p99 latency from which on the version is worse.
        prediction_share: Share of the requests predicted otherwise from which on the version is worse.
        different_share: Share of the copied requests that get another class from which on the version is worse.
        loss: Difference of the mean loss, of calibration, or of the business metric, from which on it is worse.
        labels: Path or URI of a table to which labels of predictions come; empty for none.
        label: Its column with the truth.
        label_keys: Its columns that tell requests apart, such as request_id, or columns that the model takes.
        business: Its column with what a request brought, from 0 to 1; more is better.
        largest_error: Where the model predicts a number, the error that is a loss of 1.
        silence_hours: How long a channel is not told the same again.
        notices: Path or URI of the file that remembers what was told.
    """
    end = end_release(
        registered_model=registered_model,
        alias=alias,
        target=target,
        channels=channels,
        silence_hours=silence_hours,
        state=notices,
    )
    with dsl.ExitHandler(end, name="release_steps"):
        pinned = pin_model(model=f"models:/{registered_model}@{alias}")
        rows = ingest(source=golden)
        of = {"registered_model": registered_model, "version": pinned.outputs["version"], "target": target}
        judgement = {
            "wait_minutes": wait_minutes,
            "every_seconds": every_seconds,
            "alpha": alpha,
            "needed": needed,
            "error_ratio": error_ratio,
            "error_rate": error_rate,
            "latency_ratio": latency_ratio,
            "prediction_share": prediction_share,
            "different_share": different_share,
            "loss": loss,
            "labels": labels,
            "label": label,
            "label_keys": label_keys,
            "business": business,
            "largest_error": largest_error,
        }
        tried = smoke_test(
            golden=rows.outputs["data"],
            registered_model=registered_model,
            version=pinned.outputs["version"],
            target=target,
            staging=staging,
            rows=golden_rows,
            latency_ms=latency_ms,
            wait_seconds=wait_seconds,
        )
        shadowed = deploy(
            **of, percent=shadow_percent, shadow=True, alias="", wait_seconds=wait_seconds, why="shadow"
        ).after(tried)
        judged = judge_canary(**of, **judgement).after(shadowed)
        _go_on(judged, PERCENTS, of, judgement, wait_seconds)
