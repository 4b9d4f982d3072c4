"""One page of metrics for Prometheus: those of all workers and all Envoys, each with its process and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families


class Merged:
    """Metrics of several processes as if they were one's, with the labels `process` and `model`.

    Args:
        model: gives its name, which metrics of Envoy lack.
        texts: gives each process's metrics, in Prometheus' text form, by its name.
    """

    def __init__(self, texts: Callable[[], Mapping[str, str]], model: Callable[[], str]):
        self._texts, self._model = texts, model

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        model = self._model()
        for process, text in self._texts().items():
            try:
                found = list(text_string_to_metric_families(text))
            except ValueError:  # of one process; the others are told all the same
                continue
            for family in found:
                made = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                made.samples += [
                    sample._replace(labels={"model": model, **sample.labels, "process": process})
                    for sample in family.samples
                ]
        yield from families.values()


def serve(
    texts: Callable[[], Mapping[str, str]], model: Callable[[], str], address: str, port: int
) -> Callable[[], None]:
    """Answer on a port, in a thread; how to end it. Raises OSError when the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Merged(texts, model))
    server, _ = start_http_server(port, address, registry)
    return server.shutdown
