"""Metrics for Prometheus: into a file that the node exporter collects, or to a Pushgateway."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile

from turnout.errors import ComponentError


def publish(registry: CollectorRegistry, target: str, job: str, group: Mapping[str, str] = {}) -> None:
    """Publish metrics, in the place of those of the same job and group.

    Args:
        target: path of a text file that the node exporter collects (`.prom`), or URL of a Pushgateway.
        group: labels by which a Pushgateway tells them from others of the job.

    Raises:
        ComponentError: the file or the gateway cannot be written to.
    """
    try:
        if target.startswith(("http://", "https://")):
            push_to_gateway(target, job, registry, grouping_key=dict(group))
        else:
            write_to_textfile(target, registry)
    except OSError as error:
        raise ComponentError(f"the metrics cannot be published: {error}", where=target) from error
