"""Alert rules for Prometheus and a dashboard for Grafana, made from the monitors in pipelines."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from turnout.errors import TurnoutError
from turnout.plan.model import Constant, PipelineParameter, Plan, Step
from turnout.spec.deployment_spec import PipelineContainerSpec

MONITOR = "turnout.components.monitor:monitor"
_MISSED = 2
"""Checks that may be missed before somebody is told."""

# State, severity, and what it means; `{{ }}` is Prometheus' own.
_STATES = (
    ("broken", "critical", "DataBroken", "The data of {{ $labels.model }} cannot be trusted"),
    ("drifted", "warning", "DataDrifted", "The data of {{ $labels.model }} has drifted from what it was trained on"),
    ("spoiled", "warning", "DataSpoiled", "More values for {{ $labels.model }} are missing, repeated or never seen"),
    ("worse", "warning", "ModelWorse", "{{ $labels.model }} is worse than when it was judged"),
    ("unfair", "warning", "ModelUnfair", "{{ $labels.model }} treats groups otherwise"),
)


@dataclass(frozen=True)
class Monitor:
    """A monitor step of a pipeline.

    Attributes:
        name: its `check_name`, by which its metrics are told from others'.
        period: the longest time between two scheduled runs; None without a schedule.
        least_distance: from which a difference counts, by default.
    """

    pipeline: str
    name: str
    period: datetime.timedelta | None
    least_distance: float


Watched = tuple[str, Sequence[Monitor]]
"""A pipeline's name, and its monitors."""


def monitors(plan: Plan) -> Iterator[Monitor]:
    """The monitors of a pipeline.

    Raises:
        TurnoutError: one has no name of its own, so that nobody could tell its metrics from others'.
    """
    for step in plan.steps():
        if not isinstance(step.executor, PipelineContainerSpec) or MONITOR not in [
            *step.executor.command,
            *step.executor.args,
        ]:
            continue
        name = _value(plan, step, "check_name") or ""
        if not name:
            hint = 'give the step a check_name, such as monitor(..., check_name="drift-check")'
            raise TurnoutError(f"a monitor without a name @ {plan.name}.{step.path}\n  hint: {hint}")
        distance = _value(plan, step, "least_distance")
        yield Monitor(plan.name, str(name), period(plan), 0.1 if distance is None else float(distance))


def _value(plan: Plan, step: Step, name: str) -> Any:
    """An input's value, or its default."""
    match step.inputs.get(name):
        case Constant(value):
            return value
        case PipelineParameter(parameter):
            return plan.parameters[parameter].default
    declared = step.component.input_definitions
    spec = declared.parameters.get(name) if declared else None
    return spec.default_value if spec else None


def period(plan: Plan) -> datetime.timedelta | None:
    """The longest time between two runs in a year of a pipeline's schedule; None without one that is known."""
    schedule = plan.airflow.schedule
    if isinstance(schedule, datetime.timedelta):
        return schedule
    if not isinstance(schedule, str) or schedule in ("@once", "@continuous"):
        return None
    from croniter import croniter

    start = datetime.datetime(2024, 1, 1)
    cron = {"@quarterly": "0 0 1 */3 *"}.get(schedule, schedule)
    times = croniter(cron, start).all_next(datetime.datetime)
    found, last = [start], start
    while last < start + datetime.timedelta(days=400) and len(found) < 1_000:
        last = next(times)
        found.append(last)
    return max(after - before for before, after in pairwise(found[1:]))


def alert_rules(pipelines: Sequence[Watched]) -> str:
    """Rules for Prometheus, as YAML: of each monitor, and of the steps of each pipeline."""
    groups = []
    for pipeline, found in pipelines:
        rules = [rule for monitor in found for rule in _monitor_rules(monitor)]
        rules.append(
            _rule(
                "TurnoutStepFailed",
                f"turnout_step_last_failed{{pipeline={_quoted(pipeline)}}} == 1",
                "critical",
                "{{ $labels.step }} of {{ $labels.pipeline }} failed when it last ran",
                {"pipeline": pipeline},
            )
        )
        groups.append({"name": pipeline, "rules": rules})
    head = "# Made by `turnout monitoring export`: change the pipelines, not this file.\n"
    return head + yaml.safe_dump({"groups": groups}, sort_keys=False, width=110, allow_unicode=True)


def _monitor_rules(monitor: Monitor) -> Iterator[dict[str, Any]]:
    chosen, labels = f"monitor={_quoted(monitor.name)}", {"pipeline": monitor.pipeline, "monitor": monitor.name}
    for state, severity, name, text in _STATES:
        yield _rule(f"Turnout{name}", f"turnout_monitor_{state}{{{chosen}}} == 1", severity, text, labels)
    if monitor.period:
        seconds = int(_MISSED * monitor.period.total_seconds())
        metric = f"turnout_monitor_timestamp_seconds{{{chosen}}}"
        text = f"{monitor.name} has not run for {_MISSED} of its intervals"
        missing = f"time() - max({metric}) > {seconds} or absent({metric})"
        yield _rule("TurnoutCheckMissing", missing, "critical", text, labels)


def _quoted(text: str) -> str:
    """A text as PromQL has it, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _rule(name: str, expression: str, severity: str, summary: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary},
    }


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
        for state, *_ in _STATES:
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
            chosen, by = f"monitor={_quoted(monitor.name)}", "{{column}} {{check}}"
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
    every = f"pipeline=~{_quoted('|'.join(re.escape(name) for name, _ in pipelines))}"
    for title, metric, unit in (
        ("Seconds (95th percentile)", 'turnout_step_seconds{%s, quantile="0.95"}', "s"),
        ("Failures", "turnout_step_failures{%s}", "short"),
        ("Rows per second", "turnout_step_rows_per_second{%s}", "short"),
        ("Memory", "turnout_step_memory_bytes{%s}", "bytes"),
    ):
        board.with_panel(series(title, metric % every, "{{pipeline}} {{step}}", unit))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"
