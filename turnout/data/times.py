"""Times as users write them, and the days of an interval."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

from turnout.errors import ComponentError


def days(since: str, until: str, timezone: str) -> tuple[str, ...]:
    """The days of an interval, `YYYY-MM-DD`, in a time zone.

    Args:
        since, until: ISO 8601; from the first to before the last. Without an offset they are meant in the zone.

    Raises:
        ComponentError: it is not made of whole days, such as cannot be replaced without losing others' rows.
    """
    start, end = (moment(text, timezone) for text in (since, until))
    hint = "give midnights, such as 2024-01-01 and 2024-01-02, or the timezone in which they are midnights"
    if start.time() != datetime.time() or end.time() != datetime.time():
        raise ComponentError(f"not whole days in {timezone}: {since} to {until}", where="since, until", hint=hint)
    if end <= start:
        raise ComponentError(f"the interval is empty: {since} to {until}", where="since, until", hint=hint)
    count = (end.date() - start.date()).days
    return tuple((start.date() + datetime.timedelta(days=day)).isoformat() for day in range(count))


def moment(text: str, timezone: str) -> datetime.datetime:
    """A time in a zone. Raises ComponentError for what is none."""
    try:
        zone = ZoneInfo(timezone)
        parsed = datetime.datetime.fromisoformat(text)
    except (ValueError, OSError, KeyError) as error:
        raise ComponentError(f"not a time: {error}", where=f"{text} in {timezone}") from error
    return parsed.astimezone(zone) if parsed.tzinfo else parsed.replace(tzinfo=zone)
