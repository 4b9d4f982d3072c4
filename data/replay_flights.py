"""The flights of 2013 as if they left now: the 364 days up to yesterday. The example's schedules read these tables.

Nobody sends an example new flights. So each of these days has the flights, the weather and the delays of the same day
of 2013, which is the same weekday in the same week of the year: 26 November 2026, Thanksgiving, has those of 28
November 2013, Thanksgiving. All times move by whole weeks (678 for most of 2026), so weekdays, seasons and the hours of
New York's clocks stay right. Only dates change, in `event_timestamp` and in `flight_id`.

What a day has does not depend on when the tables are made. Made again tomorrow, they have one day more at the end and
one less at the start, as the tables of a company would; `make data` does that once they no longer reach yesterday.

    python data/replay_flights.py DIRECTORY [LAST_DAY]

DIRECTORY gets the tables of `data/flights`, under the same names. LAST_DAY, in UTC, is yesterday if it is not given.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pandas as pd

SOURCE = Path(__file__).parent / "flights"
ZONE = "America/New_York"
DAY = pd.Timedelta(days=1)
DAYS = 364


def same_day_of_2013(day: datetime.date) -> datetime.date:
    """The same weekday in the same ISO week; 52 weeks away where 2013 has no such week, or the tables no such day."""
    _, week, weekday = day.isocalendar()
    found = datetime.date.fromisocalendar(2013, 1, weekday) + datetime.timedelta(weeks=week - 1)
    return found + datetime.timedelta(weeks=52 * (2013 - found.year))


def replay(table: pd.DataFrame, last_day: datetime.date) -> pd.DataFrame:
    """The rows of a table of 2013 as those of the days up to and with one, by `event_timestamp`, which is in UTC."""
    until = pd.Timestamp(last_day) + DAY
    # The days are New York's, the bounds are UTC's midnights.
    days = pd.date_range(until - (DAYS + 1) * DAY, until - DAY)
    originals = pd.to_datetime([same_day_of_2013(day.date()) for day in days])
    moves = pd.DataFrame({"original": originals, "move": days - originals})
    local = table["event_timestamp"].dt.tz_convert(ZONE).dt.tz_localize(None)
    moved = table.assign(original=local.dt.normalize()).merge(moves, on="original")
    moved["event_timestamp"] += moved["move"]
    at = moved["event_timestamp"].dt.tz_localize(None)
    moved = moved[(at >= until - DAYS * DAY) & (at < until)].sort_values("event_timestamp", kind="stable")
    if "flight_id" in moved:
        dates = moved["event_timestamp"].dt.tz_convert(ZONE).dt.strftime("%Y%m%d")
        moved["flight_id"] = moved["flight_id"].str[:-11] + dates + moved["flight_id"].str[-3:]
    return moved.drop(columns=["original", "move"]).reset_index(drop=True)


def write(directory: Path, last_day: datetime.date) -> None:
    """Write all tables; who reads one meanwhile has the old or the new."""
    directory.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCE.glob("*.parquet")):
        table = replay(pd.read_parquet(source), last_day)
        table.to_parquet(directory / f".{source.name}", index=False)
        (directory / f".{source.name}").replace(directory / source.name)
    print(f"{directory}: flights of 2013 as if they left on the {DAYS} days up to {last_day}")


if __name__ == "__main__":
    yesterday = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    given = sys.argv[2] if len(sys.argv) > 2 else ""
    write(Path(sys.argv[1]), datetime.date.fromisoformat(given) if given else yesterday)
