"""One page of metrics for Prometheus: those of all workers and all Envoys, each with the process that they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families


class Merged:
    """Metrics of several processes as if they were one's, with a label more.

    Args:
        texts: gives each process's metrics, in Prometheus' text form, by its name.
    """

    def __init__(self, texts: Callable[[], Mapping[str, str]]):
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for process, text in self._texts().items():
            for family in text_string_to_metric_families(text):
                made = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                made.samples += [
                    sample._replace(labels={**sample.labels, "process": process}) for sample in family.samples
                ]
        yield from families.values()


def serve(texts: Callable[[], Mapping[str, str]], address: str, port: int) -> Callable[[], None]:
    """Answer on a port, in a thread; how to end it. Raises OSError when the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Merged(texts))
    server, _ = start_http_server(port, address, registry)
    return server.shutdown
