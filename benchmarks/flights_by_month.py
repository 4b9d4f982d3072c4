"""What monitoring says of the flights of 2013, whose year is known: months, days, and halves that do not differ.

.venv/bin/python benchmarks/flights_by_month.py

months    each held against January to March: the columns that count, with their distance
days      each held against the year: how many alarm, with what Turnout knows of days and without
halves    random halves of the rows, which do not differ, and of the days
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from monitoring_speed import features

from turnout.monitoring.checks.drift import compare
from turnout.monitoring.dependence import blocks_of
from turnout.monitoring.profile import Profile, count, make_profile

LEAST = 0.1


def arrow(table: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(table.drop(columns=["flight_id", "event_timestamp"]), preserve_index=False)


def profile_of(table: pd.DataFrame, with_days: bool = True) -> Profile:
    return make_profile(arrow(table), blocks=blocks_of(table["event_timestamp"] if with_days else None))


def counting(profile: Profile, table: pd.DataFrame) -> list[Any]:
    days = table["event_timestamp"].dt.date.nunique()
    found = compare(profile, count(arrow(table), profile), least=LEAST, blocks=days).findings
    return [item for item in found if item.counts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--halves", type=int, default=20)
    halves = parser.parse_args().halves
    table = features()
    month = table["event_timestamp"].dt.month
    print(f"\nagainst January to March, distance {LEAST} or more:")
    profile = profile_of(table[month <= 3])
    for number in range(1, 13):
        found = counting(profile, table[month == number])
        told = ", ".join(f"{item.column} {item.distance:.2f}" for item in found if item.check == "distribution")
        print(f"{pd.Timestamp(2013, number, 1):%B}".ljust(11) + (told or "nothing"))
    print("\ndays that alarm, of those of the year:")
    days = [rows for _, rows in table.groupby(table["event_timestamp"].dt.date)]
    for name, with_days in (("rows of a day are not independent", True), ("as if they were", False)):
        profile = profile_of(table, with_days)
        found = [counting(profile, rows) for rows in days]
        drifted = sum(any(item.check == "distribution" for item in items) for items in found)
        print(f"{name:36}{drifted:4} drifted, {sum(map(bool, found)):4} with any finding, of {len(days)}")
    rng = np.random.default_rng(0)
    date = pd.factorize(table["event_timestamp"].dt.date)[0]
    for name, draw in (
        ("rows", lambda: rng.random(len(table)) < 0.5),
        ("days", lambda: (rng.random(date.max() + 1) < 0.5)[date]),
    ):
        alarms = 0
        for _ in range(halves):
            half = draw()
            alarms += bool(counting(profile_of(table[half], name == "days"), table[~half]))
        print(f"\nrandom halves of the {name}: {alarms} of {halves} alarm")


if __name__ == "__main__":
    main()
