"""Metrics for Prometheus: into a file that the node exporter collects, or to a Pushgateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from turnout.errors import ComponentError


class Gauges(Collector):
    """Figures to publish once.

    Not prometheus_client's own Gauge, which keeps its value in files where a library, such as Feast, has set
    `PROMETHEUS_MULTIPROC_DIR`.

    Args:
        prefix: of all names.
        labels: of all figures.
    """

    def __init__(self, prefix: str, labels: Mapping[str, str] = {}):
        self._prefix, self._labels = prefix, dict(labels)
        self._families: dict[str, GaugeMetricFamily] = {}

    def add(self, name: str, text: str, value: float, **labels: str) -> None:
        """Add a figure; those of one name have labels of the same names."""
        every = {**self._labels, **labels}
        if name not in self._families:
            self._families[name] = GaugeMetricFamily(f"{self._prefix}_{name}", text, labels=list(every))
        self._families[name].add_metric(list(every.values()), float(value))

    def collect(self) -> Iterable[Metric]:
        return self._families.values()

    def publish(self, target: str) -> None:
        """Publish them, in the place of those that were published with the same prefix and labels.

        Args:
            target: path of a text file that the node exporter collects (`.prom`), or URL of a Pushgateway.

        Raises:
            ComponentError: the file or the gateway cannot be written to.
        """
        registry = CollectorRegistry()
        registry.register(self)
        try:
            if target.startswith(("http://", "https://")):
                push_to_gateway(target, self._prefix, registry, grouping_key=self._labels)
            else:
                write_to_textfile(target, registry)
        except OSError as error:
            hint = "give the path of a .prom file in a directory that exists, or the URL of a Pushgateway"
            raise ComponentError(f"the metrics cannot be published: {error}", where=target, hint=hint) from error
