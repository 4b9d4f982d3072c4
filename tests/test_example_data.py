"""The example's tables of the present: 2013 as if it happened now, on a day that the test chooses."""

from __future__ import annotations

import datetime
import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from paths import PROJECT

LAST = datetime.date(2026, 11, 26)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay_flights", PROJECT / "data" / "replay_flights.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return pd.read_parquet(PROJECT / "data" / "flights" / "flights.parquet")


def dates(table: pd.DataFrame) -> pd.Series:
    return table["event_timestamp"].dt.date


def test_each_day_is_the_same_weekday_of_2013_at_the_same_time_of_the_year(script: ModuleType) -> None:
    for day in pd.date_range("2024-01-01", "2040-12-31"):
        original = script.same_day_of_2013(day.date())
        assert original.year == 2013
        assert original.weekday() == day.weekday()
        away = abs(original.timetuple().tm_yday - day.dayofyear)
        assert min(away, 365 - away) <= 7


def test_the_clocks_of_new_york_show_what_they_showed_in_2013(script: ModuleType) -> None:
    for day in pd.date_range("2025-01-01", "2031-12-31"):
        original = pd.Timestamp(script.same_day_of_2013(day.date()))
        offsets = {(at + pd.Timedelta(hours=12)).tz_localize(script.ZONE).utcoffset() for at in (day, original)}
        assert len(offsets) == 1


def test_the_flights_end_on_the_day_that_was_asked_for(script: ModuleType, flights: pd.DataFrame) -> None:
    table = script.replay(flights, LAST)
    assert list(table) == list(flights)
    assert (dates(table).min(), dates(table).max()) == (datetime.date(2025, 11, 28), LAST)
    assert table["flight_id"].is_unique
    assert table["event_timestamp"].is_monotonic_increasing
    local = table["event_timestamp"].dt.tz_convert(script.ZONE)
    assert (local.dt.dayofweek == table["weekday"]).all()
    assert (local.dt.hour == table["scheduled_minute"] // 60).all()
    assert (table["flight_id"].str[-11:-3] == local.dt.strftime("%Y%m%d")).all()
    thanksgiving = flights[dates(flights) == datetime.date(2013, 11, 28)]
    facts = ["carrier", "dest", "late"]
    assert table[dates(table) == LAST][facts].to_numpy().tolist() == thanksgiving[facts].to_numpy().tolist()


def test_a_day_is_the_same_whenever_the_tables_are_made(script: ModuleType, flights: pd.DataFrame) -> None:
    today, later = (script.replay(flights, LAST + datetime.timedelta(days=days)) for days in (0, 40))
    both = [table[dates(table).between(datetime.date(2026, 1, 10), LAST)] for table in (today, later)]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in both))
    assert len(both[0]) > 280_000
    assert dates(later).max() == datetime.date(2027, 1, 5)  # the first days of a year, after 53 weeks of 2026
    assert later["flight_id"].is_unique


def test_features_move_with_their_flights(script: ModuleType, tmp_path: Path) -> None:
    script.write(tmp_path, LAST)
    names = sorted(path.name for path in script.SOURCE.glob("*.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    moved = pd.Timestamp(LAST) - pd.Timestamp("2013-11-28")
    for name in names:
        then, now = pd.read_parquet(script.SOURCE / name), pd.read_parquet(tmp_path / name)
        then = then[dates(then) == datetime.date(2013, 11, 28)]
        now = now[dates(now) == LAST]
        same = [column for column in then if column not in ("event_timestamp", "flight_id")]
        assert now["event_timestamp"].tolist() == (then["event_timestamp"] + moved).tolist(), name
        pd.testing.assert_frame_equal(now[same].reset_index(drop=True), then[same].reset_index(drop=True))
