"""Times mean the same for every component, also on the odd days of time zones."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp.dsl import HTML, Artifact, Dataset, Metrics
from predictions import register
from sklearn.linear_model import LinearRegression

from turnout import ComponentError
from turnout.components.ingest import ingest
from turnout.components.monitor import monitor
from turnout.components.predict import predict
from turnout.data.tables import within as rows_within
from turnout.data.times import Interval, count_days, days, interval, moment, within
from turnout.inference import table as tables

NEW_YORK, SAO_PAULO, APIA = "America/New_York", "America/Sao_Paulo", "Pacific/Apia"


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2024-01-02", "UTC", "2024-01-02T00:00"),
        ("2024-01-02", NEW_YORK, "2024-01-02T05:00"),
        ("2024-07-02T06:30", NEW_YORK, "2024-07-02T10:30"),
        ("20240702T0630", NEW_YORK, "2024-07-02T10:30"),
        (" 2024-01-02 ", "Asia/Kathmandu", "2024-01-01T18:15"),
        # An offset decides, whatever the zone.
        ("2024-01-02T00:00Z", NEW_YORK, "2024-01-02T00:00"),
        ("2024-01-02T00:00:00+05:45", NEW_YORK, "2024-01-01T18:15"),
        ("2024-01-02T00:00:00-03", APIA, "2024-01-02T03:00"),
        # Clocks skip it: the first moment after the gap.
        ("2024-03-10T02:30", NEW_YORK, "2024-03-10T07:00"),
        ("2024-03-10T02:00:00.000001", NEW_YORK, "2024-03-10T07:00"),
        ("2024-03-10T02:59:59.999999", NEW_YORK, "2024-03-10T07:00"),
        ("2018-11-04", SAO_PAULO, "2018-11-04T03:00"),
        ("2024-03-31", "Asia/Beirut", "2024-03-30T22:00"),
        ("1919-03-31", "America/Toronto", "1919-03-31T04:30"),  # from 23:30 to 00:30
        ("2011-12-30", APIA, "2011-12-30T10:00"),
        ("2011-12-30T18:00", APIA, "2011-12-30T10:00"),
        ("2011-12-31", APIA, "2011-12-30T10:00"),
        # Clocks show it twice: the first of both.
        ("2024-11-03T01:30", NEW_YORK, "2024-11-03T05:30"),
        ("2024-11-03T01:30-05:00", NEW_YORK, "2024-11-03T06:30"),
        ("2024-11-03", "America/Havana", "2024-11-03T04:00"),  # 00:00 to 01:00 is shown twice
    ],
)
def test_a_written_time_means_one_moment(text: str, zone: str, utc: str) -> None:
    assert moment(text, zone).astimezone(datetime.UTC).isoformat(timespec="minutes") == f"{utc}+00:00"


@pytest.mark.parametrize(
    ("since", "until", "zone", "dates", "hours"),
    [
        ("2024-01-02", "2024-01-04", NEW_YORK, ["2024-01-02", "2024-01-03"], 48),
        ("2024-03-10", "2024-03-11", NEW_YORK, ["2024-03-10"], 23),
        ("2024-11-03", "2024-11-04", NEW_YORK, ["2024-11-03"], 25),
        ("2018-11-04", "2018-11-05", SAO_PAULO, ["2018-11-04"], 23),
        ("2018-11-04T03:00Z", "2018-11-05T02:00Z", SAO_PAULO, ["2018-11-04"], 23),
        ("2018-02-17", "2018-02-18", SAO_PAULO, ["2018-02-17"], 25),  # 23:00 to midnight is shown twice
        ("2024-03-31", "2024-04-01", "Asia/Beirut", ["2024-03-31"], 23),
        ("2024-11-03", "2024-11-04", "America/Havana", ["2024-11-03"], 25),
        ("2011-12-29", "2012-01-01", APIA, ["2011-12-29", "2011-12-31"], 48),
        ("2024-01-01T18:15Z", "2024-01-02T18:15Z", "Asia/Kathmandu", ["2024-01-02"], 24),
        ("2024-04-07", "2024-04-08", "Australia/Lord_Howe", ["2024-04-07"], 24.5),
    ],
)
def test_days_are_those_that_the_zone_has(since: str, until: str, zone: str, dates: list[str], hours: float) -> None:
    chosen = interval(since, until, zone)
    assert list(days(chosen, zone)) == dates
    assert chosen.since
    assert chosen.until
    assert chosen.until - chosen.since == datetime.timedelta(hours=hours)
    last = chosen.until - datetime.timedelta(microseconds=1)
    assert count_days(chosen.since, last, zone) == (len(dates) if zone != APIA else 3)


@given(
    st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2037, 1, 1)),
    st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=2)),
    st.sampled_from([NEW_YORK, SAO_PAULO, APIA, "Asia/Beirut", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_a_moment_shows_what_was_written_unless_clocks_skip_it(
    wall: datetime.datetime, later: datetime.timedelta, zone: str
) -> None:
    found = moment(wall.isoformat(), zone)
    shown = found.replace(tzinfo=None)
    assert shown == wall or (shown > wall and (found - datetime.timedelta(seconds=1)).tzinfo)
    if shown > wall:  # the moment before is shown before the gap
        before = (found.astimezone(datetime.UTC) - datetime.timedelta(seconds=1)).astimezone(found.tzinfo)
        assert before.replace(tzinfo=None) < wall
    else:
        assert found.fold == 0
    if not moment((wall + later).isoformat(), zone).fold:
        after = moment((wall + later).isoformat(), zone).astimezone(datetime.UTC)
        assert after >= found.astimezone(datetime.UTC)


@pytest.mark.parametrize(
    ("since", "until", "zone", "what"),
    [
        ("yesterday", "", "UTC", r"'yesterday' is not a time: .* @ since\n  hint: write a date such as"),
        ("", "2024-02-30", "UTC", r"'2024-02-30' is not a time: .* @ until\n  hint: "),
        ("0001-01-01", "", "Asia/Tokyo", r"'0001-01-01' is not a time: .* @ since\n  hint: "),
        ("", "", "Europe/Berlim", r"no time zone 'Europe/Berlim' @ timezone\n  hint: did you mean Europe/Berlin"),
        ("2024-01-01", "", "", r"no time zone '' @ timezone\n  hint: give a name"),
        ("2024-01-01", "", "../etc/passwd", r"no time zone '../etc/passwd' @ timezone\n  hint: "),
        ("2024-01-01", "", "America", r"no time zone 'America' @ timezone\n  hint: "),
        ("2024-01-02", "2024-01-01", "UTC", r"the interval is empty: .* @ since, until\n  hint: until must be after"),
        ("2024-01-02", "2024-01-02", "UTC", r"the interval is empty: "),
        ("2024-03-10T02:15", "2024-03-10T02:45", NEW_YORK, r"the interval is empty: "),
        ("2011-12-30", "2011-12-31", APIA, r"the interval is empty: "),
        # What the clocks show is not the order: 01:40 comes before 01:20, the second one.
        ("2024-11-03T01:20-05:00", "2024-11-03T01:40", NEW_YORK, r"the interval is empty: "),
    ],
)
def test_what_is_no_interval_is_told_with_a_hint(since: str, until: str, zone: str, what: str) -> None:
    with pytest.raises(ComponentError, match=f"^{what}"):
        interval(since, until, zone)


@pytest.mark.parametrize(
    ("since", "until", "what"),
    [
        ("2024-01-01", "", r"until is empty @ until\n  hint: give both since and until: midnights in America/New_York"),
        ("", "2024-01-01", "since is empty @ since\n  hint: "),
        ("", "", "since and until is empty @ since, until\n  hint: "),
        ("2024-01-01T00:00Z", "2024-01-02", r"not whole days in .* is not the start of a day @ since\n  hint: "),
        ("2024-01-01", "2024-01-02T01:00", r"not whole days in .* @ until\n  hint: "),
    ],
)
def test_days_need_both_midnights(since: str, until: str, what: str) -> None:
    with pytest.raises(ComponentError, match=what):
        days(interval(since, until, NEW_YORK), NEW_YORK)


HOURS = pd.date_range("2024-03-09", "2024-03-13", freq="h", tz="UTC", name="when")


@pytest.mark.parametrize("unit", ["us", "ns", "ms"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize(
    ("since", "until", "first", "count"),
    [
        ("2024-03-10", "2024-03-11", "2024-03-10T05", 23),
        ("2024-03-12", "", "2024-03-12T04", 21),
        ("", "2024-03-10", "2024-03-09T00", 29),
        ("", "9999-01-01", "2024-03-09T00", 97),
    ],
)
def test_the_rows_of_an_interval_whatever_the_unit_and_zone(
    unit: str, zone: str | None, since: str, until: str, first: str, count: int
) -> None:
    chosen = interval(since, until, NEW_YORK)
    arrow = pa.table({"when": HOURS.tz_convert(zone).as_unit(unit)})
    expected = list(HOURS[pd.Timestamp(first, tz="UTC") <= HOURS][:count])
    filtered = ds.dataset(arrow).to_table(filter=within(chosen, arrow.schema, "when"))
    assert list(pd.to_datetime(filtered["when"].to_pandas(), utc=True)) == expected
    assert rows_within(arrow, "when", chosen) == filtered


def test_an_interval_covers_another() -> None:
    day, longer = interval("2024-01-02", "2024-01-03", "UTC"), interval("2024-01-02", "", "UTC")
    assert longer.covers(day)
    assert Interval().covers(longer)
    assert not day.covers(longer)
    assert not longer.covers(Interval())
    assert not interval("2024-01-02", "2024-01-03", NEW_YORK).covers(day)


# --- components together --------------------------------------------------------------------------------------


@pytest.fixture
def hours(tracking: str, tmp_path: Path) -> Path:
    """A row for each hour of some days, and a model in the registry that gives its number back."""
    inputs = pd.DataFrame({"number": range(96)}).astype(float)
    register("m", LinearRegression().fit(inputs, inputs["number"]), inputs, serialization_format="cloudpickle")
    when = pd.date_range("2024-03-09", periods=96, freq="h", tz="UTC").tz_localize(None)
    inputs.assign(when=when).to_parquet(tmp_path / "hours.parquet", index=False)
    return tmp_path / "hours.parquet"


def ingested(artifact: Any, source: Path, since: str, until: str, **more: Any) -> Dataset:
    data: Dataset = artifact(Dataset, "data")
    ingest.python_func(source=str(source), data=data, timestamp="when", since=since, until=until, **more)
    return data


def predicted(artifact: Any, data: Dataset, directory: Path, since: str, until: str, **more: Any) -> pd.DataFrame:
    given: dict[str, Any] = {"model": "models:/m@champion", "table": str(directory / "out"), "timestamp": "when"}
    predict.python_func(
        data=data, predictions=artifact(Dataset, "predictions"), metrics=artifact(Metrics, "metrics"), since=since,
        until=until, **given | more,
    )  # fmt: skip
    return tables.read(str(directory / "out")).to_pandas().sort_values("when", ignore_index=True)


@pytest.mark.parametrize(("day", "after", "count"), [("10", "11", 23), ("11", "12", 24)])
def test_ingest_and_predict_lose_no_hour_of_a_day(
    artifact: Any, hours: Path, tmp_path: Path, day: str, after: str, count: int
) -> None:
    """Times without an offset were UTC for one and New York's for the other: a day lost four of its hours."""
    given = {"since": f"2024-03-{day}", "until": f"2024-03-{after}", "timezone": NEW_YORK}
    whole = predicted(artifact, ingested(artifact, hours, "", ""), tmp_path, **given)
    again = predicted(artifact, ingested(artifact, hours, **given), tmp_path, **given)
    assert len(again) == count
    assert again["when"].tolist() == whole["when"].tolist()
    assert again["prediction"].round().tolist() == whole["prediction"].round().tolist()


def test_data_of_another_interval_replaces_nothing(artifact: Any, hours: Path, tmp_path: Path) -> None:
    """A pipeline that tells the zone to one of its steps only is told so, and the table keeps its rows."""
    day = {"since": "2024-03-11", "until": "2024-03-12"}
    before = predicted(artifact, ingested(artifact, hours, "", ""), tmp_path, **day, timezone=NEW_YORK)
    with pytest.raises(ComponentError, match="the data has only rows from 2024-03-11 00:00 UTC until") as error:
        predicted(artifact, ingested(artifact, hours, **day), tmp_path, **day, timezone=NEW_YORK)
    assert "the interval is from 2024-03-11 04:00 UTC until 2024-03-12 04:00 UTC" in str(error.value)
    assert "  hint: give the step that reads the data the same since, until and timezone" in str(error.value)
    pd.testing.assert_frame_equal(tables.read(str(tmp_path / "out")).to_pandas().sort_values("when", ignore_index=True),
                                  before)  # fmt: skip


def test_bounds_are_judged_before_data_is_read(artifact: Any, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.parquet"
    with pytest.raises(ComponentError, match="no time zone"):
        ingested(artifact, nowhere, "", "", timezone="Mars/Olympus")
    with pytest.raises(ComponentError, match="the interval is empty"):
        ingested(artifact, nowhere, "2024-01-02", "2024-01-01")
    data = artifact(Dataset, "data")
    with pytest.raises(ComponentError, match="until is empty"):
        predicted(artifact, data, tmp_path, "2024-01-01", "")
    pages = {"report": artifact(HTML, "report"), "findings": artifact(Artifact, "findings")}
    with pytest.raises(ComponentError, match="since is empty"):
        monitor.python_func(
            data=data, **pages, metrics=artifact(Metrics, "metrics"), model="models:/m@champion",
            predictions=str(nowhere), until="2024-01-01",
        )  # fmt: skip


def test_monitor_means_until_in_its_zone(artifact: Any, hours: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"reference": str(hours), "timestamp": "when", "until": "2024-03-13", "stale_hours": 2.0}
    pages = {"report": artifact(HTML, "report"), "findings": artifact(Artifact, "findings")}
    data = Dataset(name="data", uri=str(hours))
    metrics = artifact(Metrics, "metrics")
    assert not monitor.python_func(data=data, **pages, metrics=metrics, **given).broken
    late = monitor.python_func(data=data, **pages, metrics=metrics, **given, timezone=NEW_YORK)
    assert late.reasons == ["the newest row is of 2024-03-12 23:00 UTC, 5.0 hours before 2024-03-13 04:00 UTC"]
