"""A comparison as JSON, as metrics of the run, and as metrics for Prometheus."""

from __future__ import annotations

import json
import time
from typing import Any

from turnout.monitoring.findings import Comparison
from turnout.monitoring.judgement import Judgement
from turnout.monitoring.prometheus import Gauges


def findings_json(comparison: Comparison, judgement: Judgement, reference: str) -> str:
    """The findings as JSON, with what was made of them.

    Args:
        reference: the name of what the table was held against.
    """
    verdict = {"state": judgement.state, "worse": judgement.worse, "unfair": judgement.unfair}
    content = {"reference": reference, **verdict, "reasons": list(judgement.reasons), **comparison.to_dict()}
    return json.dumps(content, indent=1)


def log_metrics(artifact: Any, comparison: Comparison, rows: int, metric: str) -> None:
    """Write the check's numbers into KFP's artifact.

    Args:
        metric: the name under which the model's performance is written, where it was measured.
    """
    artifact.log_metric("rows", rows)
    artifact.log_metric("drifted", len(comparison.drifted))
    artifact.log_metric("largest_distance", max((item.distance for item in comparison.findings), default=0.0))
    for item in comparison.findings:
        if item.check == "performance":
            artifact.log_metric(metric, item.current)


def publish_metrics(
    comparison: Comparison, judgement: Judgement, target: str, name: str, model: str, version: str
) -> None:
    """Give the findings to Prometheus.

    Args:
        target: path of a text file that the node exporter collects (`.prom`), or URL of a Pushgateway.
        name: what the check is called; the label `monitor` of all metrics.
        model: name of the model, or of the table that is the reference; a label of all metrics.
        version: of the model; empty when the reference is a table.

    Raises:
        ComponentError: the file or the gateway cannot be written to.
    """
    gauges = Gauges("turnout_monitor", {"monitor": name, "model": model})
    gauges.add("info", "The version of the model, as a label.", 1, version=version)
    gauges.add("drifted", "1 when a column drifted.", judgement.state == "drifted")
    gauges.add("broken", "1 when the data is broken.", judgement.state == "broken")
    spoiled = "1 when more values are missing, out of range, repeated or never seen."
    gauges.add("spoiled", spoiled, judgement.state == "spoiled")
    gauges.add("worse", "1 when the model is worse.", judgement.worse)
    gauges.add("unfair", "1 when the model treats groups otherwise.", judgement.unfair)
    gauges.add("rows", "Rows that were compared.", comparison.rows)
    gauges.add("timestamp_seconds", "When the check ran.", time.time())
    for item in comparison.findings:
        labels = {"column": item.column, "check": item.check}
        gauges.add("distance", "Between 0 and 1: the size of a difference.", item.distance, **labels)
        gauges.add("p_value", "Adjusted p-value of a difference.", item.adjusted, **labels)
        gauges.add("value", "A median, a mean, a share or a metric, as it is now.", item.current, **labels)
    gauges.publish(target)
