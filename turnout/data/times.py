"""The one rule for times and intervals, which every component follows.

- A time that a person writes (`since`, `until`) without an offset is meant in the component's `timezone`. With an
  offset, or `Z`, it is that very moment, whatever the zone.
- A column of times without a zone is meant in UTC, whatever the zone: what is in a file does not change its meaning
  with a parameter of the step that reads it.
- A time that the clocks of the zone skip is the first moment after the gap. So a day that has no midnight begins when
  it begins, and of two times the later one never becomes the earlier moment.
- A time that the clocks of the zone show twice is the first of both; write an offset for the second.
- An interval is from `since` on and before `until`.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import ComponentError, did_you_mean

_DAY = datetime.timedelta(days=1)
_SECOND = datetime.timedelta(seconds=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MOST_TICKS = 2**63 - 1


@dataclass(frozen=True)
class Interval:
    """Moments from `since` on and before `until`, both in UTC; None for no bound."""

    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    @property
    def bounded(self) -> bool:
        """Whether it has any bound."""
        return self.since is not None or self.until is not None

    def covers(self, other: Interval) -> bool:
        """Whether every moment of another interval is in this one."""
        starts = self.since is None or (other.since is not None and self.since <= other.since)
        return starts and (self.until is None or (other.until is not None and other.until <= self.until))

    def to_metadata(self) -> dict[str, dict[str, str]]:
        """What an artifact's metadata says of it: `interval`, with the bounds that there are; nothing without any."""
        bounds = {"since": self.since, "until": self.until}
        texts = {name: bound.isoformat() for name, bound in bounds.items() if bound}
        return {"interval": texts} if texts else {}

    def __str__(self) -> str:
        start, end = (_text(bound) if bound else "" for bound in (self.since, self.until))
        return " ".join(part for part in (start and f"from {start}", end and f"until {end}") if part) or "all of time"


ALWAYS = Interval()
"""The interval without bounds."""


def time_zone(timezone: str) -> ZoneInfo:
    """A time zone by its IANA name, such as `Europe/Berlin`.

    Raises:
        ComponentError: there is none of that name.
    """
    try:
        return ZoneInfo(timezone)
    except (ValueError, OSError, KeyError) as error:
        close = did_you_mean(timezone, available_timezones())
        hint = close or "give a name of the IANA time zone database, such as Europe/Berlin"
        raise ComponentError(f"no time zone '{timezone}'", where="timezone", hint=hint) from error


def moment(text: str, timezone: str, where: str = "") -> datetime.datetime:
    """The moment that a person means by a time, as a time in the zone.

    Args:
        text: ISO 8601: a date, or a date and a time, with or without an offset.
        timezone: IANA name of the zone in which it is meant if it has no offset.
        where: the parameter that it is of, for errors.

    Raises:
        ComponentError: it is no such time, or there is no such zone.
    """
    zone = time_zone(timezone)
    hint = "write a date such as 2024-01-31, or a time such as 2024-01-31T06:00 or 2024-01-31T06:00:00+01:00"
    try:
        written = datetime.datetime.fromisoformat(text.strip())
        return (written if written.tzinfo else _first_moment(written, zone)).astimezone(zone)
    except (ValueError, OverflowError) as error:
        raise ComponentError(f"'{text}' is not a time: {error}", where=where, hint=hint) from error


def interval(since: str, until: str, timezone: str) -> Interval:
    """The interval between two times as a person writes them; empty for no bound.

    Args:
        since, until: as for `moment`.
        timezone: IANA name of the zone in which they are meant if they have no offset.

    Raises:
        ComponentError: a bound is no time, there is no such zone, or the end is not after the start.
    """
    time_zone(timezone)  # also where nothing is written in it
    start = moment(since, timezone, "since").astimezone(datetime.UTC) if since else None
    end = moment(until, timezone, "until").astimezone(datetime.UTC) if until else None
    if start and end and end <= start:
        what = f"the interval is empty: {since} to {until} in {timezone}"
        hint = "until must be after since; it is not part of the interval"
        raise ComponentError(what, where="since, until", hint=hint)
    return Interval(start, end)


def day(text: str, timezone: str, where: str = "") -> str:
    """The day, `YYYY-MM-DD`, in a time zone, of a time as a person writes it; today when it is empty.

    Args:
        text, timezone, where: as for `moment`.

    Raises:
        ComponentError: it is no time, or there is no such zone.
    """
    at = moment(text, timezone, where) if text else datetime.datetime.now(time_zone(timezone))
    return at.date().isoformat()


def days(chosen: Interval, timezone: str) -> tuple[str, ...]:
    """The days of an interval, `YYYY-MM-DD`, in a time zone; a day that the zone skipped is none.

    Raises:
        ComponentError: it has not both bounds, or is not made of whole days, so that to replace these days would lose
            rows of others.
    """
    zone = time_zone(timezone)
    if chosen.since is None or chosen.until is None:
        missing = [name for name in ("since", "until") if getattr(chosen, name) is None]
        what = f"the days of an interval are needed, and {' and '.join(missing)} is empty"
        hint = (
            f"give both since and until: midnights in {timezone}, such as 2024-01-01 and 2024-01-02; "
            "or an empty timestamp to take the whole table"
        )
        raise ComponentError(what, where=", ".join(missing), hint=hint)
    start, end = chosen.since.astimezone(zone), chosen.until.astimezone(zone)
    for name, bound in (("since", start), ("until", end)):
        # In UTC: Python takes no time that clocks show twice for equal to one of another zone.
        if bound.astimezone(datetime.UTC) != _midnight(bound.date(), zone):
            what = f"not whole days in {timezone}: {bound.isoformat()} is not the start of a day"
            hint = "give midnights, such as 2024-01-01 and 2024-01-02, or the timezone in which they are midnights"
            raise ComponentError(what, where=name, hint=hint)
    dates = [start.date() + index * _DAY for index in range((end.date() - start.date()).days)]
    return tuple(date.isoformat() for date in dates if _midnight(date, zone) < _midnight(date + _DAY, zone))


def count_days(first: datetime.datetime, last: datetime.datetime, timezone: str) -> int:
    """On how many days of a time zone there may be rows whose first and last moments these are."""
    zone = time_zone(timezone)
    return (last.astimezone(zone).date() - first.astimezone(zone).date()).days + 1


def within(chosen: Interval, schema: pa.Schema, timestamp: str) -> pc.Expression | None:
    """The rows of an interval, as a filter for datasets; None for all rows.

    Args:
        schema: of the rows.
        timestamp: column with each row's time; rows without one are in no interval.
    """
    if not chosen.bounded:
        return None
    kind = schema.field(timestamp).type

    def bound(at: datetime.datetime) -> pc.Expression:
        # Of the column's own type, since Arrow neither compares zones nor casts what the finer unit cannot say.
        microseconds = (at - _EPOCH) // datetime.timedelta(microseconds=1)
        ticks = -(-microseconds * _TICKS[kind.unit] // 1_000_000)  # the first that is not before the bound
        return pc.scalar(pa.scalar(max(-_MOST_TICKS, min(ticks, _MOST_TICKS)), pa.int64()).cast(kind))

    field = pc.field(timestamp)
    if chosen.until is None:
        return field >= bound(chosen.since) if chosen.since else None
    before = field < bound(chosen.until)
    return (field >= bound(chosen.since)) & before if chosen.since else before


def in_utc(time: datetime.datetime) -> datetime.datetime:
    """A time of a table as a time in UTC, which it is meant in if it has no zone."""
    return time.astimezone(datetime.UTC) if time.tzinfo else time.replace(tzinfo=datetime.UTC)


def array_in_utc(times: pa.Array) -> pa.Array:
    """A column of times as times in UTC, which they are meant in if they have no zone; microseconds."""
    zoned = times if times.type.tz else pc.assume_timezone(times, "UTC")
    return zoned.cast(pa.timestamp("us", "UTC"), safe=False)


def series_in_utc(times: Any) -> Any:
    """A pandas series of times, or of texts, as times in UTC, which they are meant in if they have no zone.

    Raises:
        ComponentError: it holds something else.
    """
    import pandas as pd

    try:
        return pd.to_datetime(times, utc=True)
    except (ValueError, TypeError, OverflowError) as error:
        where, hint = f"column '{times.name}'", "name only columns with times, written as ISO 8601"
        raise ComponentError(f"not every value is a time: {error}", where=where, hint=hint) from error


def _midnight(date: datetime.date, zone: ZoneInfo) -> datetime.datetime:
    """The first moment of a day, in UTC: where clocks skip midnight, the day begins later."""
    return _first_moment(datetime.datetime.combine(date, datetime.time()), zone)


def _first_moment(wall: datetime.datetime, zone: ZoneInfo) -> datetime.datetime:
    """The first moment at which the zone's clocks show a time, or a later one if they skip it; in UTC.

    Moments are compared in UTC, since Python compares two times of one zone by what the clocks show.
    """
    moment = wall.replace(tzinfo=zone).astimezone(datetime.UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    # In a gap, the offset of fold=0 is the one before the change, and that of fold=1 the one after (PEP 495).
    # The change is at a whole second after `low`, and not after `high`.
    whole = wall.replace(microsecond=0, tzinfo=zone)
    low, high = (whole.replace(fold=fold).astimezone(datetime.UTC) for fold in (1, 0))
    before = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(sep=" ", timespec="minutes").replace("+00:00", " UTC")
