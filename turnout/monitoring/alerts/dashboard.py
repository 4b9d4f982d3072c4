"""A dashboard for Grafana of the monitors and the steps of pipelines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from turnout.monitoring.alerts.board import Board
from turnout.monitoring.alerts.monitors import STATES, Watched, quoted


def dashboard(pipelines: Sequence[Watched]) -> str:
    """A dashboard for Grafana, as JSON: a row for each monitor, and one for the steps."""
    board = Board("Turnout: data, models and steps", "turnout-monitoring", "5m", "now-30d")
    for _, found in pipelines:
        for monitor in found:
            chosen, by = f"monitor={quoted(monitor.name)}", "{{column}} {{check}}"
            data, model = 'check=~"distribution|joint"', 'check=~"performance|calibration|fairness"'
            board.row(monitor.name)
            states = [(f"turnout_monitor_{state}{{{chosen}}}", f"{{{{model}}}} {state}") for state, *_ in STATES]
            board.states("State", states)
            size = f"turnout_monitor_distance{{{chosen}, {data}}}"
            board.series("How far columns have moved", [(size, by)], "percentunit", monitor.least_distance)
            board.series("The model", [(f"turnout_monitor_value{{{chosen}, {model}}}", by)])
            share = f'turnout_monitor_value{{{chosen}, check=~"nulls|range|unseen|duplicates"}}'
            board.series("Missing, out of range, repeated, never seen", [(share, by)], "percentunit")
            board.series("Rows", [(f"turnout_monitor_rows{{{chosen}}}", "{{model}}")])
    board.row("Steps")
    every = f"pipeline=~{quoted('|'.join(re.escape(name) for name, _ in pipelines))}"
    for title, metric, unit in (
        ("Seconds (95th percentile)", 'turnout_step_seconds{%s, quantile="0.95"}', "s"),
        ("Failures", "turnout_step_failures{%s}", "short"),
        ("Rows per second", "turnout_step_rows_per_second{%s}", "short"),
        ("Memory", "turnout_step_memory_bytes{%s}", "bytes"),
    ):
        board.series(title, [(metric % every, "{{pipeline}} {{step}}")], unit)
    return board.text()
