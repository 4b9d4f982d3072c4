"""A pipeline's schedule as KFP's server keeps it: a recurring run, whose cron has six fields and counts in UTC."""

from __future__ import annotations

import datetime
import re
from typing import Any
from zoneinfo import ZoneInfo

from turnout.errors import Fault, TrackError
from turnout.spec.airflow_facts import AirflowFacts, moment

_PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 1,4,7,10 *",
    "@yearly": "0 0 1 1 *",
}
_MOST = 10
"""Runs of one recurring run that KFP's server allows at once."""


def recurring_run(facts: AirflowFacts, where: str) -> dict[str, Any]:
    """The arguments of `kfp.Client.create_recurring_run` that say when.

    Args:
        where: the pipeline, for errors.

    Raises:
        TrackError: KFP's server has no schedule that means the same.
    """
    when: dict[str, Any] = {
        "no_catchup": not facts.catchup,
        "max_concurrency": min(facts.max_active_runs or _MOST, _MOST),
    }
    for name, value in (("start_time", facts.start_date), ("end_time", facts.end_date)):
        if value:
            when[name] = f"{moment(value, facts).astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
    if facts.triggered_by:
        raise _refused("KFP's server has no assets that start runs", where)
    if facts.data_interval:
        raise _refused("a recurring run of KFP gives no data interval to its parameters", where)
    match facts.schedule:
        case datetime.timedelta() as length:
            return {**when, "interval_second": int(length.total_seconds())}
        case str(text) if text in _PRESETS or not text.startswith("@"):
            return {**when, "cron_expression": f"0 {_in_utc(_PRESETS.get(text, text), facts.timezone, where)}"}
    raise _refused(f"KFP's server has no schedule such as '{facts.schedule}'", where)


def _in_utc(cron: str, timezone: str, where: str) -> str:
    """A five-field cron of a time zone in UTC, with Sunday as 0."""
    minute, hour, day, month, weekday = cron.split()
    weekday = re.sub(r"\b7\b", "0", weekday)
    shift = _offset(timezone, where)
    if not shift or (hour == "*" and not shift % 60):
        return " ".join((minute, hour, day, month, weekday))
    hours = hour.split(",")
    if not minute.isdecimal() or not all(item.isdecimal() for item in hours):
        raise _refused(f"'{cron}' in {timezone} cannot be said in UTC", where)
    moved = [60 * int(item) + int(minute) - shift for item in hours]
    if (day, month, weekday) != ("*", "*", "*") and any(not 0 <= item < 24 * 60 for item in moved):
        raise _refused(f"'{cron}' in {timezone} is on other days in UTC", where)
    found = sorted({item // 60 % 24 for item in moved})
    return " ".join((str(moved[0] % 60), ",".join(map(str, found)), day, month, weekday))


def _offset(timezone: str, where: str) -> int:
    """Minutes that a zone is ahead of UTC. One that is so by another number in summer has none."""
    if not timezone:
        return 0
    year = datetime.datetime.now(datetime.UTC).year
    zone = ZoneInfo(timezone)
    days = (datetime.datetime(year, month, 1, tzinfo=zone) for month in range(1, 13))
    offsets = {day.utcoffset() or datetime.timedelta() for day in days}
    if len(offsets) > 1:
        raise _refused(f"KFP's schedules count in UTC, from which {timezone} has no fixed distance", where)
    return int(offsets.pop().total_seconds()) // 60


def _refused(what: str, where: str) -> TrackError:
    hint = "submit without --schedule, and let something else start the runs; or run it on Airflow"
    return TrackError([Fault(what, f"{where}.schedule", hint=hint)])
