"""Alert rules for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from turnout.monitoring.alerts.monitors import STATES, Monitor, Watched, quoted

_MISSED = 2
"""Checks that may be missed before somebody is told."""


def alert_rules(pipelines: Sequence[Watched]) -> str:
    """Rules for Prometheus, as YAML: of each monitor, and of the steps of each pipeline."""
    groups = []
    for pipeline, found in pipelines:
        rules = [rule for monitor in found for rule in _monitor_rules(monitor)]
        rules.append(
            _rule(
                "TurnoutStepFailed",
                f"turnout_step_last_failed{{pipeline={quoted(pipeline)}}} == 1",
                "critical",
                "{{ $labels.step }} of {{ $labels.pipeline }} failed when it last ran",
                {"pipeline": pipeline},
            )
        )
        groups.append({"name": pipeline, "rules": rules})
    head = "# Made by `turnout monitoring export`: change the pipelines, not this file.\n"
    return head + yaml.safe_dump({"groups": groups}, sort_keys=False, width=110, allow_unicode=True)


def _monitor_rules(monitor: Monitor) -> Iterator[dict[str, Any]]:
    chosen, labels = f"monitor={quoted(monitor.name)}", {"pipeline": monitor.pipeline, "monitor": monitor.name}
    for state, severity, name, text in STATES:
        yield _rule(f"Turnout{name}", f"turnout_monitor_{state}{{{chosen}}} == 1", severity, text, labels)
    if monitor.period:
        seconds = int(_MISSED * monitor.period.total_seconds())
        metric = f"turnout_monitor_timestamp_seconds{{{chosen}}}"
        text = f"{monitor.name} has not run for {_MISSED} of its intervals"
        missing = f"time() - max({metric}) > {seconds} or absent({metric})"
        yield _rule("TurnoutCheckMissing", missing, "critical", text, labels)


def _rule(name: str, expression: str, severity: str, summary: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary},
    }
