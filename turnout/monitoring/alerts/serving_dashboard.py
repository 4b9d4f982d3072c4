"""A dashboard for Grafana of models that `turnout serve` serves."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.monitoring.alerts.board import Board
from turnout.monitoring.alerts.monitors import quoted
from turnout.monitoring.alerts.serving import CALLS, FAILED_CALLS, SLOW_PART, check_bounds, failed_part, slow_part

_QUANTILES = (0.5, 0.95, 0.99)
_EVER = "$__rate_interval"
"""Grafana's, by how near the points on the screen are."""

_MONTH = "increase({}[30d])"


def serving_dashboard(models: Sequence[str], availability: float = 99.9, latency_ms: float = 250) -> str:
    """A dashboard as JSON: for each model what users see, its workers, and Envoy. Arguments as of `serving_rules`.

    Raises:
        ComponentError: a bound is none.
    """
    check_bounds(availability, latency_ms)
    board = Board("Turnout: models that are served", "turnout-serving", "30s", "now-3h")
    for model in models:
        _users(board, model, 1 - availability / 100, latency_ms)
        _workers(board, model)
        _envoy(board, model)
    return board.text()


def _users(board: Board, model: str, failing: float, latency_ms: float) -> None:
    chosen = f"model={quoted(model)}"
    board.row(f"{model}: what users see")
    board.series("Requests a second, by version and code",
                 [(_sum("turnout_serving_requests_total", chosen, "version, code"), "{{version}} {{code}}")],
                 "reqps")  # fmt: skip
    users = f'{chosen},envoy_http_conn_manager_prefix="turnout"'
    board.series("Answers a second to users, also Envoy's own",
                 [(_sum("envoy_http_downstream_rq_xx_total", users, "envoy_response_code_class"),
                   "{{envoy_response_code_class}}xx")], "reqps")  # fmt: skip
    board.series("Calls by gRPC a second, also Envoy's own answers",
                 [(_sum(CALLS, chosen, "grpc_status"), "status {{grpc_status}}")], "reqps",
                 text=f"Nothing without calls. Those that fail: {', '.join(map(str, FAILED_CALLS))}.")  # fmt: skip
    board.series("Latency by version", _quantiles("turnout_serving_request_seconds", chosen, "version"), "s",
                 text="From a request's headers to its answer, in the worker.")  # fmt: skip
    board.series("Latency as users see it", _quantiles("envoy_http_downstream_rq_time", users, ""), "ms", latency_ms)
    board.series("Requests that fail", [(failed_part(model, f"rate({{}}[{_EVER}])"), "failed"),
                 (slow_part(model, latency_ms, f"rate({{}}[{_EVER}])"), f"slower than {latency_ms:g} ms")],
                 "percentunit")  # fmt: skip
    left = [(f"1 - ({failed_part(model, _MONTH)}) / {failing:.6g}", "failures"),
            (f"1 - ({slow_part(model, latency_ms, _MONTH)}) / {SLOW_PART:g}", "slow answers")]  # fmt: skip
    board.value("What is left of 30 days' budget", left, "percentunit", 0.25)
    board.series("Fallback: requests a second", [(_sum("turnout_serving_fallback_total", chosen,
                 "version, by, reason"), "{{version}}: {{by}}, {{reason}}")], "reqps",
                 text="Nothing, as long as no fallback had to answer.")  # fmt: skip
    traffic = f"max by (version, shadow) (turnout_serving_traffic_ratio{{{chosen}}})"
    board.series("Traffic", [(traffic, "{{version}} (shadow: {{shadow}})")], "percentunit")
    shadow = f'and on (version) turnout_serving_traffic_ratio{{{chosen},shadow="true"}}'
    board.series("Shadow: requests a second",
                 [(f"{_sum('turnout_serving_requests_total', chosen, 'version, code')} {shadow}",
                   "{{version}} {{code}}")], "reqps", text="Nothing without a shadow.")  # fmt: skip
    board.series("Shadow: latency", [(f"{query} {shadow}", legend) for query, legend in
                 _quantiles("turnout_serving_request_seconds", chosen, "version")], "s",
                 text="Nothing without a shadow.")  # fmt: skip


def _workers(board: Board, model: str) -> None:
    chosen = f"model={quoted(model)}"
    board.row(f"{model}: workers")
    board.series("Workers", [
        (f"sum by (version) (turnout_serving_workers_ready{{{chosen}}})", "{{version}} ready"),
        (f"sum by (version) (turnout_serving_workers{{{chosen}}})", "{{version}} wanted"),
        (f"sum by (version) (increase(turnout_serving_worker_restarts_total{{{chosen}}}[{_EVER}]))",
         "{{version}} started again"),
    ])  # fmt: skip
    board.series("Requests that wait or are at work",
                 [(f"max by (version) (turnout_serving_queue{{{chosen}}})", "{{version}}, worst worker")])  # fmt: skip
    rows = "turnout_serving_batch_rows"
    mean = f"{_sum(f'{rows}_sum', chosen, 'version')} / {_sum(f'{rows}_count', chosen, 'version')}"
    board.series("Rows of a call of the model", [(mean, "{{version}} mean"), *_quantiles(rows, chosen, "version")])
    hits = _sum("turnout_serving_cache_total", f'{chosen},result="hit"', "version")
    board.series("Cache: part of rows that were there",
                 [(f"{hits} / {_sum('turnout_serving_cache_total', chosen, 'version')}", "{{version}}")],
                 "percentunit", text="Nothing without --cache-rows.")  # fmt: skip
    board.series("CPU", [(f"rate(process_cpu_seconds_total{{{chosen}}}[{_EVER}])", "{{process}}")],
                 text="Cores in use.")  # fmt: skip
    board.series("Memory", [(f"process_resident_memory_bytes{{{chosen}}}", "{{process}}")], "bytes")
    gpu = "Nothing without a GPU of NVIDIA and the extra gpu."
    board.series("GPU in use", [(f"turnout_serving_gpu_busy_ratio{{{chosen}}}", "{{gpu}}")], "percentunit", text=gpu)
    board.series("GPU memory", [
        (f"turnout_serving_gpu_memory_used_bytes{{{chosen}}}", "{{gpu}}"),
        (f"turnout_serving_gpu_memory_bytes{{{chosen}}}", "{{gpu}} in all"),
        (f"turnout_serving_gpu_process_memory_bytes{{{chosen}}}", "{{gpu}} {{worker}}"),
    ], "bytes", text=gpu)  # fmt: skip
    board.series("Request log: rows a second",
                 [(_sum("turnout_serving_log_rows_total", chosen, "outcome"), "{{outcome}}"),
                  (f"sum(turnout_serving_log_waiting_rows{{{chosen}}})", "waiting to be written")])  # fmt: skip


def _envoy(board: Board, model: str) -> None:
    chosen, cluster = f"model={quoted(model)}", "envoy_cluster_name"
    board.row(f"{model}: Envoy")
    upstream = "envoy_cluster_upstream_rq"
    board.series("Requests that are sent again, a second", [
        (_sum(f"{upstream}_{name}_total", chosen, cluster), f"{{{{{cluster}}}}} {legend}")
        for name, legend in (("retry", "sent again"), ("retry_success", "then answered"),
                             ("retry_overflow", "not sent again: too many"), ("per_try_timeout", "too slow"))
    ])  # fmt: skip
    ejected = "envoy_cluster_outlier_detection_ejections"
    board.series("Workers as Envoy sees them", [
        (f"min by ({cluster}) (envoy_cluster_membership_healthy{{{chosen}}})", f"{{{{{cluster}}}}} healthy"),
        (f"max by ({cluster}) ({ejected}_active{{{chosen}}})", f"{{{{{cluster}}}}} ejected"),
        (f"sum by ({cluster}) (increase({ejected}_enforced_total{{{chosen}}}[{_EVER}]))",
         f"{{{{{cluster}}}}} ejections"),
    ])  # fmt: skip
    breakers = "envoy_cluster_circuit_breakers_default"
    board.series("Circuit breakers that are open", [
        (f"max by ({cluster}) ({breakers}_{name}_open{{{chosen}}})", f"{{{{{cluster}}}}} {legend}")
        for name, legend in (("rq", "requests"), ("rq_pending", "waiting requests"), ("rq_retry", "sent again"),
                             ("cx", "connections"))
    ], line=1)  # fmt: skip
    board.series("Requests until the breaker opens",
                 [(f"min by ({cluster}) ({breakers}_remaining_rq{{{chosen}}})", f"{{{{{cluster}}}}}")])  # fmt: skip
    users = f'{chosen},envoy_http_conn_manager_prefix="turnout"'
    board.series("Connections and requests of users", [
        (f"sum(envoy_http_downstream_cx_active{{{users}}})", "connections"),
        (f"sum(envoy_http_downstream_rq_active{{{users}}})", "requests at work"),
    ])  # fmt: skip


def _sum(counter: str, chosen: str, by: str) -> str:
    """How much a counter grows in a second."""
    return f"sum by ({by}) (rate({counter}{{{chosen}}}[{_EVER}]))"


def _quantiles(histogram: str, chosen: str, by: str) -> list[tuple[str, str]]:
    buckets = _sum(f"{histogram}_bucket", chosen, ", ".join(filter(None, ("le", by))))
    named = f"{{{{{by}}}}} " if by else ""
    return [(f"histogram_quantile({quantile:g}, {buckets})", f"{named}p{100 * quantile:g}") for quantile in _QUANTILES]
