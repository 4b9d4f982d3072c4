"""How steps do: how long they take, how often they fail, how much they get through, by the records of runs."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from turnout.monitoring.prometheus import Gauges
from turnout.spec.step_contract import Outcome, State

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class StepSummary:
    """Executions of a step; results that were taken from the cache are not among them.

    Attributes:
        executions: that have ended; `retried` of them took more than one attempt.
        error_rate: share of them that failed, with its 95 % interval from `error_low` to `error_high`.
        seconds: of the last attempt of those that did not fail, at each of `QUANTILES`.
        rows_per_second: the median, of steps that tell how many rows they had; 0 where none does.
        memory: the most bytes that one of their processes had; 0 where that is not known.
        last_failed: whether the last of them did.
    """

    pipeline: str
    step: str
    executions: int
    failures: int
    retried: int
    error_rate: float
    error_low: float
    error_high: float
    seconds: tuple[float, ...]
    rows_per_second: float
    memory: int
    last_failed: bool


def summarise(outcomes: Iterable[tuple[str, str, Outcome]], since: datetime.datetime) -> list[StepSummary]:
    """The steps that ended since a time, by pipeline and step, on whichever track they ran.

    Args:
        outcomes: each with its pipeline and step.

    Source: the interval of a share is Wilson's; Brown, Cai and DasGupta, Statistical Science 16 (2001).
    """
    found: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for pipeline, step, outcome in outcomes:
        ran = outcome.state in (State.SUCCEEDED, State.FAILED) and not outcome.cached
        if ran and outcome.ended and datetime.datetime.fromisoformat(outcome.ended) >= since:
            found[pipeline, step].append(outcome)
    return [_summary(*key, sorted(outcomes, key=lambda item: item.ended)) for key, outcomes in sorted(found.items())]


def _summary(pipeline: str, step: str, outcomes: list[Outcome]) -> StepSummary:
    failures = sum(outcome.state is State.FAILED for outcome in outcomes)
    interval = stats.binomtest(failures, len(outcomes)).proportion_ci(method="wilson")
    lasted = [(outcome.seconds, _rows(outcome)) for outcome in outcomes if outcome.state is State.SUCCEEDED]
    rates = [rows / seconds for seconds, rows in lasted if rows and seconds]
    return StepSummary(
        pipeline,
        step,
        len(outcomes),
        failures,
        sum(outcome.attempt > 1 for outcome in outcomes),
        failures / len(outcomes),
        float(interval.low),
        float(interval.high),
        tuple(np.quantile([seconds for seconds, _ in lasted], QUANTILES).tolist()) if lasted else (),
        float(np.median(rates)) if rates else 0.0,
        max(outcome.memory for outcome in outcomes),
        outcomes[-1].state is State.FAILED,
    )


def _rows(outcome: Outcome) -> float:
    """What a step says of its rows, in its metrics or of what it made; 0 when nothing."""
    counts = [artifact.metadata.get("rows") for artifact in outcome.artifacts.values()]
    return max((float(rows) for rows in counts if isinstance(rows, int | float)), default=0.0)


def step_metrics(summaries: list[StepSummary]) -> Gauges:
    """Summaries as metrics for Prometheus."""
    gauges = Gauges("turnout_step")
    for summary in summaries:
        labels = {"pipeline": summary.pipeline, "step": summary.step}
        for quantile, value in zip(QUANTILES, summary.seconds, strict=False):
            gauges.add("seconds", "How long a step takes.", value, **labels, quantile=str(quantile))
        gauges.add("executions", "Executions that have ended.", summary.executions, **labels)
        gauges.add("failures", "Executions that failed.", summary.failures, **labels)
        gauges.add("retried", "Executions that took more than one attempt.", summary.retried, **labels)
        gauges.add("last_failed", "1 when the last execution failed.", summary.last_failed, **labels)
        gauges.add("rows_per_second", "Rows that a step gets through.", summary.rows_per_second, **labels)
        gauges.add("memory_bytes", "The most that a process of the step had in memory.", summary.memory, **labels)
    return gauges
