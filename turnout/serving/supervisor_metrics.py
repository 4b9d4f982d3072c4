"""What the supervisor alone knows, in Prometheus' format: traffic, workers, GPUs, and what processes take."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.process_collector import ProcessCollector

from turnout.monitoring.prometheus import Gauges
from turnout.serving.gpu import Gpus
from turnout.serving.release import Release
from turnout.serving.workers import Workers


def metrics(applied: Release | None, groups: Iterable[Workers], gpus: Gpus) -> str:
    """Metrics of a release and of its workers, as text.

    Args:
        applied: what requests are divided by now.
    """
    gauges = Gauges("turnout_serving")
    for served in applied.versions if applied else ():
        gauges.add("traffic_ratio", "Part of the requests that a version answers, or that its shadow gets copies of.",
                   served.percent / 100, version=served.version, shadow=str(served.shadow).lower())  # fmt: skip
    restarts = CounterMetricFamily("turnout_serving_worker_restarts", "Workers that were started again.",
                                   labels=("version", "group"))  # fmt: skip
    named: dict[int, str] = {}
    for group in groups:
        workers = group.status()
        of = {"version": group.version, "group": group.name}
        gauges.add("workers", "Workers that a version shall have.", len(workers), **of)
        gauges.add("workers_ready", "Workers of a version that answer.", group.ready, **of)
        restarts.add_metric(list(of.values()), sum(worker["restarts"] for worker in workers))
        named |= {worker["pid"]: f"worker-{group.name}-{index}" for index, worker in enumerate(workers)}
    gpus.add_to(gauges, named)
    registry = CollectorRegistry()
    registry.register(gauges)
    registry.register(_Only(restarts))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


def with_processes(texts: Mapping[str, str], pids: Mapping[str, int]) -> dict[str, str]:
    """Metrics of processes that do not tell what they take themselves, with that."""
    found = {}
    for name, text in texts.items():
        registry = CollectorRegistry()
        if pid := pids.get(name, 0):
            ProcessCollector(pid=functools.partial(int, pid), registry=registry)
        found[name] = text + generate_latest(registry).decode()
    return found


class _Only:
    """A collector of one family."""

    def __init__(self, family: CounterMetricFamily):
        self._family = family

    def collect(self) -> Iterable[CounterMetricFamily]:
        return (self._family,)
