"""The facts for Airflow as arguments of its DAGs and operators."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from turnout.spec.airflow_facts import UNTIMED_PRESETS, AirflowFacts, Asset, Assets, Notifier, StepFacts, Timetable
from turnout.spec.assets import fields, named
from turnout.tracks.airflow.python_source import Call, Code, Joined


def dag_arguments(facts: AirflowFacts, timeout_seconds: int = 0) -> dict[str, Any]:
    """Arguments of `DAG`.

    Args:
        timeout_seconds: of a run, as the pipeline says to every platform; 0: none.
    """
    found: dict[str, Any] = {"schedule": _schedule(facts)}
    for name in ("start_date", "end_date"):
        if date := getattr(facts, name):
            found[name] = _moment(date, facts.timezone)
    found["catchup"] = facts.catchup
    if facts.max_active_runs:
        found["max_active_runs"] = facts.max_active_runs
    if facts.max_active_steps:
        found["max_active_tasks"] = facts.max_active_steps
    if timeout := facts.timeout or datetime.timedelta(seconds=timeout_seconds):
        found["dagrun_timeout"] = delta(timeout)
    if facts.deadline:
        notifier = facts.deadline.notifier
        callback = Call(
            "AsyncCallback", [Code("Notify"), {"path": notifier.path, "arguments": dict(notifier.arguments)}]
        )
        found["deadline"] = Call(
            "DeadlineAlert",
            (),
            {
                "reference": Code("DeadlineReference.DAGRUN_QUEUED_AT"),
                "interval": delta(facts.deadline.after),
                "callback": callback,
            },
        )
    for name in ("on_success", "on_failure"):
        if notifiers := getattr(facts, name):
            found[f"{name}_callback"] = [_notify(notifier) for notifier in notifiers]
    if facts.tags:
        found["tags"] = list(facts.tags)
    return found


def step_arguments(facts: StepFacts) -> dict[str, Any]:
    """Arguments of an operator."""
    given = {
        "pool": facts.pool,
        "pool_slots": facts.pool_slots,
        "priority_weight": facts.priority,
        "queue": facts.queue,
        "executor": facts.executor,
        "owner": facts.owner,
        "max_active_tis_per_dag": facts.max_active,
    }
    found: dict[str, Any] = {"doc_md": as_text(facts.doc)} if facts.doc else {}
    found |= {name: value for name, value in given.items() if value is not None}
    if facts.on_failure:
        found["on_failure_callback"] = [_notify(notifier) for notifier in facts.on_failure]
    return found


def as_text(text: str) -> str:
    """Text for `doc_md`; Airflow reads a file when it ends in .md, and cannot with a line end."""
    text = text.rstrip()
    return f"{text}\n" if text.endswith(".md") else text


def _schedule(facts: AirflowFacts) -> Any:
    timed = _timed(facts)
    if facts.triggered_by is None:
        return timed
    assets = _assets(facts.triggered_by)
    if timed is None:
        return [assets] if isinstance(facts.triggered_by, Asset) else assets
    if isinstance(timed, str):
        timed = Call("CronTriggerTimetable", [timed], {"timezone": facts.timezone or "UTC"})
    elif timed.function == "timedelta":  # the others are timetables already
        timed = Call("DeltaTriggerTimetable", [timed])
    return Call("AssetOrTimeSchedule", (), {"timetable": timed, "assets": assets})


def _timed(facts: AirflowFacts) -> Any:
    """The schedule in time: with data intervals when the pipeline asks for them."""
    match facts.schedule:
        case None:
            return None
        case datetime.timedelta() as length:
            return Call("DeltaDataIntervalTimetable", [delta(length)]) if facts.data_interval else delta(length)
        case Timetable(path, arguments, positional):
            named = [dict(arguments)] if arguments else []
            return Call("make_timetable", [path, list(positional), *named] if positional or named else [path])
        case text if text in UNTIMED_PRESETS or not (facts.data_interval or facts.timezone):
            return text
        case text:
            kind = "CronDataIntervalTimetable" if facts.data_interval else "CronTriggerTimetable"
            return Call(kind, [text], {"timezone": facts.timezone or "UTC"})


def _assets(value: Asset | Assets) -> Any:
    if isinstance(value, Asset):
        return _asset(value)
    parts = []
    for item in value.of:
        text = _assets(item)
        parts.append(text if isinstance(item, Asset) else Call("", [text]))
    return Joined(" & " if value.every else " | ", parts)


def asset_arguments(
    facts: StepFacts, inputs: Mapping[str, Any], read_before: Iterable[Asset | None] = ()
) -> dict[str, Any]:
    """Arguments of an operator that say what it reads and publishes, as far as that is known before a run.

    Args:
        inputs: the step's parameters in a run by the pipeline's defaults; None for those that only the run knows.
        read_before: what was read by the steps that its inputs come from.
    """
    found: dict[str, Any] = {}
    published = {name: known for name, asset in facts.publishes.items() if (known := named(asset, inputs))}
    by_inputs = {name: asset.name for name, asset in facts.publishes.items() if fields(asset) & inputs.keys()}
    if published:
        found["publishes"] = {name: _asset(asset) for name, asset in published.items()}
    if by_inputs:
        found["asset_names"] = by_inputs
    if facts.reads or facts.publishes:
        reads = [*(named(asset, inputs) for asset in facts.reads), *read_before]
        if inlets := [item for item in dict.fromkeys(reads) if item and item not in published.values()]:
            found["inlets"] = [_asset(item) for item in inlets]
    return found


def _asset(asset: Asset) -> Call:
    return Call("Asset", (), {"name": asset.name} | ({"uri": asset.uri} if asset.uri else {}))


def _notify(notifier: Notifier) -> Call:
    return Call("Notify", [notifier.path, *([dict(notifier.arguments)] if notifier.arguments else [])])


def delta(length: datetime.timedelta) -> Call:
    """A length of time."""
    seconds = length.total_seconds()
    return Call("timedelta", (), {"seconds": int(seconds) if seconds.is_integer() else seconds})


def _moment(date: datetime.date, timezone: str) -> Call:
    parts = [date.year, date.month, date.day]
    if isinstance(date, datetime.datetime):
        if date.tzinfo:
            date = date.astimezone(datetime.UTC)
            timezone = ""
            parts = [date.year, date.month, date.day]
        times = [date.hour, date.minute, date.second]
        while times and not times[-1]:
            times.pop()
        parts += times
    return Call("datetime", parts, {"tzinfo": Call("ZoneInfo", [timezone or "UTC"])})
