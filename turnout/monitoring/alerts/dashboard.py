"""A dashboard for Grafana."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from turnout.monitoring.alerts.monitors import STATES, Watched, quoted


def dashboard(pipelines: Sequence[Watched]) -> str:
    """A dashboard for Grafana, as JSON: a row for each monitor, and one for the steps."""
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.builders import prometheus, stat, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import (
        DataSourceRef,
        Threshold,
        ThresholdsMode,
        ValueMap,
        ValueMappingResult,
    )

    source = DataSourceRef(type_val="prometheus", uid="${datasource}")

    def query(expression: str, legend: str) -> Any:
        return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(source)

    def steps(*pairs: tuple[float | None, str]) -> Any:
        thresholds = [Threshold(value=value, color=color) for value, color in pairs]
        return builders.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(thresholds)

    def states(chosen: str) -> Any:
        panel = stat.Panel().title("State").datasource(source).height(6).span(24)
        words = {"0": ValueMappingResult(text="no", color="green"), "1": ValueMappingResult(text="yes", color="red")}
        panel.mappings([ValueMap(options=words)]).thresholds(steps((None, "green"), (1, "red")))
        for state, *_ in STATES:
            panel.with_target(query(f"turnout_monitor_{state}{{{chosen}}}", f"{{{{model}}}} {state}"))
        return panel

    def series(title: str, expression: str, legend: str, unit: str = "short", line: float | None = None) -> Any:
        panel = timeseries.Panel().title(title).datasource(source).height(8).span(12).unit(unit)
        if line is not None:
            panel.thresholds(steps((None, "green"), (line, "red")))
        return panel.with_target(query(expression, legend))

    board = builders.Dashboard("Turnout: data, models and steps").uid("turnout-monitoring").tags(["turnout"])
    board.refresh("5m").time("now-30d", "now").editable()
    board.with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for _, found in pipelines:
        for monitor in found:
            chosen, by = f"monitor={quoted(monitor.name)}", "{{column}} {{check}}"
            data, model = 'check=~"distribution|joint"', 'check=~"performance|calibration|fairness"'
            board.with_row(builders.Row(monitor.name))
            board.with_panel(states(chosen))
            size = f"turnout_monitor_distance{{{chosen}, {data}}}"
            board.with_panel(series("How far columns have moved", size, by, "percentunit", monitor.least_distance))
            board.with_panel(series("The model", f"turnout_monitor_value{{{chosen}, {model}}}", by))
            share = f'turnout_monitor_value{{{chosen}, check=~"nulls|range|unseen|duplicates"}}'
            board.with_panel(series("Missing, out of range, repeated, never seen", share, by, "percentunit"))
            board.with_panel(series("Rows", f"turnout_monitor_rows{{{chosen}}}", "{{model}}"))
    board.with_row(builders.Row("Steps"))
    every = f"pipeline=~{quoted('|'.join(re.escape(name) for name, _ in pipelines))}"
    for title, metric, unit in (
        ("Seconds (95th percentile)", 'turnout_step_seconds{%s, quantile="0.95"}', "s"),
        ("Failures", "turnout_step_failures{%s}", "short"),
        ("Rows per second", "turnout_step_rows_per_second{%s}", "short"),
        ("Memory", "turnout_step_memory_bytes{%s}", "bytes"),
    ):
        board.with_panel(series(title, metric % every, "{{pipeline}} {{step}}", unit))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"
