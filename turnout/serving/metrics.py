"""A worker's metrics, in Prometheus' format."""

from __future__ import annotations

import os
from collections.abc import Callable

# With this variable, which Feast sets when it is imported, prometheus_client keeps its values in files that several
# processes share. Each worker has its own.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 2, 5, 10, 25, 50, 100, 250, 1_000, 10_000)
_PREFIX = "turnout_serving"


class Metrics:
    """Counts of one worker; all have the labels `model` and `version`."""

    def __init__(self, model: str, version: str):
        self.registry = CollectorRegistry()
        self._of = {"model": model, "version": version}
        names = tuple(self._of)
        self._requests = Counter(f"{_PREFIX}_requests", "Requests, by protocol and HTTP status.",
                                 (*names, "protocol", "code"), registry=self.registry)  # fmt: skip
        self._seconds = Histogram(f"{_PREFIX}_request_seconds", "From a request's headers to its answer.",
                                  (*names, "protocol"), buckets=_SECONDS, registry=self.registry)  # fmt: skip
        self._rows = Counter(f"{_PREFIX}_rows", "Rows predicted.", names, registry=self.registry).labels(**self._of)
        batches = Histogram(f"{_PREFIX}_batch_rows", "Rows of each call of the model.", names, buckets=_ROWS,
                            registry=self.registry)  # fmt: skip
        self.observe_batch: Callable[[float], None] = batches.labels(**self._of).observe
        self._cache = Counter(f"{_PREFIX}_cache", "Rows looked up in the cache, by result (hit, miss).",
                              (*names, "result"), registry=self.registry)  # fmt: skip
        self._fallback = Counter(f"{_PREFIX}_fallback", "Requests that something else answered in the model's place.",
                                 (*names, "by", "reason"), registry=self.registry)  # fmt: skip
        self._log = Counter(f"{_PREFIX}_log_rows", "Rows for the request log, by outcome (kept, dropped).",
                            (*names, "outcome"), registry=self.registry)  # fmt: skip
        for outcome in ("kept", "dropped"):  # what begins with its first loss does not grow for Prometheus
            self._log.labels(**self._of, outcome=outcome)
        self._log_errors = Counter(f"{_PREFIX}_log_errors", "Files of the request log that could not be written.",
                                   names, registry=self.registry).labels(**self._of)  # fmt: skip
        self._known: dict[tuple[str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}
        ProcessCollector(registry=self.registry)

    def gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """A number that is asked for when the metrics are."""
        gauge = Gauge(f"{_PREFIX}_{name}", description, tuple(self._of), registry=self.registry)
        gauge.labels(**self._of).set_function(value)

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Count a request, and how long it took."""
        known = self._known.get((protocol, code))
        if known is None:
            of = {**self._of, "protocol": protocol}
            known = self._requests.labels(**of, code=code).inc, self._seconds.labels(**of).observe
            self._known[protocol, code] = known
        known[0]()
        known[1](seconds)

    def predicted(self, rows: int) -> None:
        self._rows.inc(rows)

    def looked_up(self, hit: bool) -> None:
        self._cache.labels(**self._of, result="hit" if hit else "miss").inc()

    def stood_in(self, by: str, reason: str) -> None:
        self._fallback.labels(**self._of, by=by, reason=reason).inc()

    def logged(self, outcome: str, number: int) -> None:
        """Count rows that the request log has `kept` or `dropped`, or `errors` of it."""
        if outcome == "errors":
            self._log_errors.inc(number)
        else:
            self._log.labels(**self._of, outcome=outcome).inc(number)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
