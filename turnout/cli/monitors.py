"""Finds the monitors in pipelines, for alert rules and dashboards."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from turnout.errors import Fault, PlanError
from turnout.monitoring.alerts.monitors import Monitor, Watched
from turnout.plan.model import Constant, PipelineParameter, Plan, Step
from turnout.spec.deployment_spec import PipelineContainerSpec

MONITOR = "turnout.components.monitor:monitor"


def monitors_of(plans: Sequence[Plan]) -> list[Watched]:
    """Each pipeline with its monitors.

    Raises:
        PlanError: none of them has a monitor, one has no name, or two have the same.
    """
    pipelines: list[Watched] = [(plan.name, list(monitors(plan))) for plan in plans]
    known: dict[str, str] = {}
    for monitor in (monitor for _, found in pipelines for monitor in found):
        if monitor.name in known:
            where = f"{known[monitor.name]}, {monitor.pipeline}"
            raise PlanError([Fault(f"two monitors are called '{monitor.name}'", where, hint="rename one")])
        known[monitor.name] = monitor.pipeline
    if not known:
        where = ", ".join(plan.name for plan in plans)
        raise PlanError([Fault("no monitor", where, hint="use the component monitor")])
    return pipelines


def monitors(plan: Plan) -> Iterator[Monitor]:
    """The monitors of a pipeline.

    Raises:
        PlanError: one has no `check_name`, so that its metrics could not be told from those of others.
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
            raise PlanError([Fault("a monitor without a name", f"{plan.name}.{step.path}", hint=hint)])
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
