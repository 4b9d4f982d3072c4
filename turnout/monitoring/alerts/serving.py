"""Alert rules for models that `turnout serve` serves: how fast the budget of failures and of slow answers is spent.

Several windows and burn rates, as in "Alerting on SLOs" of Google's The Site Reliability Workbook (2018, chapter 5):
somebody is called when 2 % of a month's budget is spent in an hour, or 5 % in six hours, and written to when it is
10 % in three days. The short window lets an alert end soon after the trouble has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from turnout.errors import ComponentError
from turnout.monitoring.alerts.monitors import quoted

BURNS = (("1h", "5m", 14.4, "critical"), ("6h", "30m", 6.0, "critical"), ("3d", "6h", 1.0, "warning"))
"""Long window, short window, burn rate, severity."""

BUCKETS_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
"""Of Envoy's histograms of latency: what can be asked for."""

SLOW_PART = 0.01
"""Of the answers may be slower."""

_USERS, CALLS = "envoy_http_downstream", "envoy_cluster_grpc_total"

FAILED_CALLS = (2, 4, 13, 14, 15)
"""gRPC's statuses for which HTTP has a 5xx: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS."""


def serving_rules(models: Sequence[str], availability: float = 99.9, latency_ms: float = 250) -> str:
    """Rules for Prometheus, as YAML.

    Args:
        models: names of registered models.
        availability: percent of requests that must not fail (5xx; of gRPC's calls `FAILED_CALLS`), of a month.
        latency_ms: what 99 % of answers must be faster than; one of `BUCKETS_MS`.

    Raises:
        ComponentError: a bound is none.
    """
    check_bounds(availability, latency_ms)
    groups = [
        {"name": f"{model} is served", "rules": list(_rules(model, 1 - availability / 100, latency_ms))}
        for model in models
    ]
    head = "# Made by `turnout monitoring export --serving`: change what it is called with, not this file.\n"
    return head + yaml.safe_dump({"groups": groups}, sort_keys=False, width=110, allow_unicode=True)


def check_bounds(availability: float, latency_ms: float) -> None:
    """Raises ComponentError when a bound is none."""
    if not 0 < availability < 100:
        raise ComponentError(f"{availability:g} percent", where="availability", hint="such as 99.9")
    if latency_ms not in BUCKETS_MS:
        raise ComponentError(f"{latency_ms:g} ms is no bound of Envoy's histograms", where="latency_ms",
                             available=[f"{bound:g}" for bound in BUCKETS_MS], hint="take one of these")  # fmt: skip


def failed_part(model: str, change: str) -> str:
    """The part of all requests that failed, as an expression.

    Args:
        change: of a counter, a format: `rate({}[5m])`.
    """
    failed = f'{_USERS}_rq_xx_total{{{_envoy(model)},envoy_response_code_class="5"}}'
    # All calls of gRPC's have HTTP's 200, so that none is counted twice. Without any there is no series.
    calls = f'{CALLS}{{model={quoted(model)},grpc_status=~"{"|".join(map(str, FAILED_CALLS))}"}}'
    every = f"{_USERS}_rq_xx_total{{{_envoy(model)}}}"
    return f"(sum({change.format(failed)}) + (sum({change.format(calls)}) or vector(0))) / sum({change.format(every)})"


def slow_part(model: str, latency_ms: float, change: str) -> str:
    """The part of all answers that took longer, as `failed_part` is."""
    quick = f'{_USERS}_rq_time_bucket{{{_envoy(model)},le=~"{latency_ms:g}([.]0)?"}}'
    return f"1 - sum({change.format(quick)}) / sum({change.format(f'{_USERS}_rq_time_count{{{_envoy(model)}}}')})"


def _envoy(model: str) -> str:
    return f'model={quoted(model)},envoy_http_conn_manager_prefix="turnout"'


def _rules(model: str, failing: float, latency_ms: float) -> Iterator[dict[str, Any]]:
    def errors(window: str) -> str:
        return failed_part(model, f"rate({{}}[{window}])")

    def slow(window: str) -> str:
        return slow_part(model, latency_ms, f"rate({{}}[{window}])")

    for long, short, burn, severity in BURNS:
        for name, text, ratio, budget in (
            ("TurnoutServingErrors", "requests fail", errors, failing),
            ("TurnoutServingSlow", f"answers take longer than {latency_ms:g} ms", slow, SLOW_PART),
        ):
            bound = f"{burn * budget:.6g}"
            expression = f"({ratio(long)}) > {bound} and ({ratio(short)}) > {bound}"
            summary = f"{model}: too many {text}; in {long} the budget is spent {burn:g} times too fast"
            yield _rule(name, expression, "0m", severity, summary, {"model": model, "window": long})
    healthy = f"envoy_cluster_membership_healthy{{model={quoted(model)}}}"
    yield _rule("TurnoutServingDown", f"absent({healthy}) or max({healthy}) == 0", "1m", "critical",
                f"{model}: no worker answers", {"model": model})  # fmt: skip
    of_model = f"model={quoted(model)}"
    stood_in = f"sum(rate(turnout_serving_fallback_total{{{of_model}}}[30m]))"
    asked = f"sum(rate(turnout_serving_requests_total{{{of_model}}}[30m]))"
    yield _rule("TurnoutServingFallback", f"{stood_in} / {asked} > {failing:.6g}", "5m", "warning",
                f"{model}: the fallback answers in the model's place", {"model": model})  # fmt: skip
    dropped = f'sum(increase(turnout_serving_log_rows_total{{{of_model},outcome="dropped"}}[1h]))'
    yield _rule("TurnoutServingLogDrops", f"{dropped} > 0", "5m", "warning",
                f"{model}: requests are not kept in the request log", {"model": model})  # fmt: skip


def _rule(
    name: str, expression: str, after: str, severity: str, summary: str, labels: dict[str, str]
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary},
    }
