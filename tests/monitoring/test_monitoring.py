"""Monitoring: no more false alarms than promised, true ones with their size, and people are told once."""

from __future__ import annotations

import datetime
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp.dsl import HTML, Artifact, Dataset, Metrics
from paths import PROJECT
from prometheus_client.parser import text_string_to_metric_families
from scipy import stats

from turnout import ComponentError
from turnout.components.cool_down import cool_down
from turnout.components.monitor import monitor
from turnout.components.notify import notify
from turnout.monitoring import statistics
from turnout.monitoring.alerts.notices import Notice, send
from turnout.monitoring.check import Settings
from turnout.monitoring.checked_table import current
from turnout.monitoring.checks.drift import check_schema, compare
from turnout.monitoring.checks.joint import told_apart
from turnout.monitoring.comparison_report import comparison_report
from turnout.monitoring.profile import Profile, add, count, make_profile

FLIGHTS = PROJECT / "data/flights/flights.parquet"

# --- statistics


@pytest.mark.parametrize("rows", [(60, 60), (400, 60)])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, rows: rng.normal(size=rows),
        lambda rng, rows: rng.standard_cauchy(size=rows),
        lambda rng, rows: rng.poisson(1.5, rows),
        lambda rng, rows: np.where(rng.random(rows) < 0.9, 0, rng.exponential(size=rows)),
        lambda rng, rows: rng.zipf(1.5, rows).astype(str),
    ],
    ids=["normal", "heavy tails", "few values", "mostly zero", "many categories"],
)
def test_false_alarms_are_as_rare_as_promised(draw: Callable[..., Any], rows: tuple[int, int]) -> None:
    rng, times = np.random.default_rng(0), 200
    alarms = 0
    for _ in range(times):
        reference, current = (pa.table({"x": draw(rng, size)}) for size in rows)
        profile = make_profile(reference)
        alarms += bool(compare(profile, count(current, profile), rate=0.05).drifted)
    assert stats.binomtest(alarms, times, 0.05, alternative="greater").pvalue > 0.001, alarms


def test_false_discoveries_of_many_columns_are_held_together() -> None:
    rng, times = np.random.default_rng(1), 60
    alarms = 0
    for _ in range(times):
        tables = [pa.table({f"x{index}": rng.normal(size=size) for index in range(50)}) for size in (500, 80)]
        profile = make_profile(tables[0])
        alarms += bool(compare(profile, count(tables[1], profile)).drifted)
    assert stats.binomtest(alarms, times, 0.05, alternative="greater").pvalue > 0.001, alarms


@pytest.mark.slow
def test_days_that_share_their_weather_are_like_other_days() -> None:
    rng, times = np.random.default_rng(3), 100

    def table(days: int, shift: float = 0.0, rows: int = 60) -> pa.Table:
        weather = np.repeat(rng.normal(shift, 1, days), rows)
        late = rng.random(days * rows) < 1 / (1 + np.exp(1.5 - weather))
        return pa.table(
            {
                "temperature": weather + 0.1 * rng.normal(size=days * rows),
                "late": late.astype(str),
                "distance": rng.exponential(size=days * rows),
                "rain": pa.array(np.where(np.repeat(rng.random(days) < 0.1, rows), np.nan, 1.0), from_pandas=True),
            }
        )

    alarms = naive = 0
    for _ in range(times):
        reference, day = table(60), table(1)
        profile = make_profile(reference, blocks=np.split(np.arange(3600), 60))
        plain = make_profile(reference)
        alarms += any(item.counts for item in compare(profile, count(day, profile)).findings)
        naive += any(item.counts for item in compare(plain, count(day, plain)).findings)
    # Two families, each with its promise: of distributions, and of missing values and ranges.
    assert stats.binomtest(alarms, times, 0.1, alternative="greater").pvalue > 0.001, alarms
    assert naive > 0.9 * times
    other = compare(profile, count(table(1, shift=4.0), profile))
    assert {item.column for item in other.drifted} == {"temperature", "late"}
    week = compare(profile, count(table(7, shift=1.5), profile), blocks=7)
    assert {item.column for item in week.drifted} == {"temperature", "late"}
    assert Profile.from_json(profile.to_json()) == profile


def test_the_statistic_is_the_one_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "BESIDE", 0.0)
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=300).round(1), rng.normal(0.15, 1, size=200).round(1)
    values = np.unique(np.concatenate([one, other]))
    cells = [np.array([(sample == value).sum() for value in values]) for sample in (one, other)]
    theirs = stats.anderson_ksamp([one, other], variant="midrank", method=stats.PermutationMethod(n_resamples=9999))
    assert statistics.ordered(*cells) == pytest.approx(theirs.pvalue, rel=0.15)


@pytest.mark.parametrize("rows", [(3_000, 800), (300, 200)])
def test_the_statistic_of_blocks_is_that_of_the_test(rows: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    cells = [np.bincount(rng.poisson(20, size), minlength=60) for size in rows]
    cells = [of[cells[0] + cells[1] > 0] for of in cells]
    form, mean = statistics._form(*cells)
    weights = statistics._eigenvalues(form, cells[0] + cells[1], rows[1])
    theirs = (cells[1] - mean) @ form @ (cells[1] - mean) / weights.sum()
    assert statistics.ordered_statistic(*cells) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.5, 0.1], [1 / (k * (k + 1)) for k in range(1, 60)]])
def test_sums_of_chi_squares_have_their_tails(weights: list[float]) -> None:
    drawn = np.random.default_rng(0).chisquare(1, (200_000, len(weights))) @ np.array(weights)
    for quantile in (0.3, 0.9, 0.99, 0.999):
        value = float(np.quantile(drawn, quantile))
        assert statistics.weighted_chi_square_sf(value, np.array(weights)) == pytest.approx(1 - quantile, rel=0.1)


def test_values_beyond_the_largest_of_the_reference() -> None:
    assert statistics.beyond(0, 10, 10) == 1
    assert statistics.beyond(1, 10, 10) == pytest.approx(0.5)
    assert statistics.beyond(2, 3, 4) == pytest.approx((3 / 7) * (2 / 6))


# --- profiles and findings


def flights(first: int, last: int) -> pa.Table:
    table = pd.read_parquet(FLIGHTS)
    return pa.Table.from_pandas(
        table[table["event_timestamp"].dt.month.between(first, last)].drop(columns=["flight_id"]), preserve_index=False
    )


def test_the_flights_months_are_other_and_random_halves_are_not() -> None:
    months = {month: flights(month, month) for month in (1, 4, 9, 12)}
    profile = make_profile(flights(1, 3))
    found = {month: compare(profile, count(table, profile), least=0.05) for month, table in months.items()}
    assert not found[1].drifted
    late = {
        month: item
        for month, one in found.items()
        for item in one.findings
        if (item.column, item.check) == ("late", "distribution")
    }
    # Shares of flights that were late, counted once from the table: a quarter in winter, an eighth in September.
    assert [round(late[month].current, 3) for month in (9, 12)] == [0.132, 0.325]
    assert {item.column for item in found[9].drifted} == {"late", "dest"}
    whole = flights(1, 12)
    for seed in range(5):
        half = np.random.default_rng(seed).random(len(whole)) < 0.5
        profile = make_profile(whole.filter(pa.array(half)))
        assert not compare(profile, count(whole.filter(pa.array(~half)), profile)).drifted


def test_parts_add_up_and_profiles_are_small_and_come_back() -> None:
    table = flights(1, 2)
    profile = make_profile(flights(3, 4), optional=["late"])
    parts = [count(table.slice(start, 10_000), profile) for start in range(0, len(table), 10_000)]
    assert add(parts) == count(table, profile)
    text = profile.to_json()
    assert len(text) < 10_000
    assert Profile.from_json(text) == profile


def test_what_a_finding_says() -> None:
    rng = np.random.default_rng(0)
    reference = pa.table(
        {"n": rng.normal(100, 10, 5000), "kind": rng.choice(["a", "b"], 5000), "gone": [1] * 5000, "text": ["x"] * 5000}
    )
    values = rng.normal(105, 10, 2000)
    values[:400] = np.nan
    current = pa.table({"n": values, "kind": rng.choice(["a", "b", "c"], 2000), "text": [1] * 2000})
    profile = make_profile(reference)
    comparison = compare(profile, count(current, profile), check_schema(current.schema, profile))
    assert comparison.faults == ("gone: there is no such column any more", "text: was a category, and is number")
    found = {(item.column, item.check): item for item in comparison.findings}
    number = found["n", "distribution"]
    assert (number.reference, number.current) == (pytest.approx(100, abs=1), pytest.approx(105, abs=1))
    there = values[np.isfinite(values)]
    exactly = stats.wasserstein_distance(reference["n"].to_numpy(), there)
    assert number.moved == pytest.approx(exactly, rel=0.02)
    assert number.distance == pytest.approx(0.2, abs=0.05)
    assert found["n", "nulls"].text == "missing values went from 0.00% to 20.00% of the rows"
    assert found["kind", "unseen"].current == pytest.approx(1 / 3, abs=0.03)
    assert all(found[key].counts for key in [("n", "distribution"), ("n", "nulls"), ("kind", "unseen")])


def test_the_shortcuts_give_the_numbers_of_the_definitions_on_the_flights() -> None:
    """The quadratic form and its weights, as the products of matrices that they are; blocks, one by one."""
    flights = pq.read_table(FLIGHTS)
    flights = flights.filter(np.random.default_rng(0).random(len(flights)) < 0.1)
    profile = make_profile(flights.slice(0, 20_000))
    now = count(flights.slice(20_000), profile)
    for name in ("distance", "scheduled_minute", "weekday"):
        reference, current = (np.array(of.columns[name].counts) for of in (profile, now))
        reference, current = (of[reference + current > 0] for of in (reference, current))
        both, m = (reference + current).astype(float), float(current.sum())
        rows = both.sum()
        _, weight = statistics._midranks(both)
        half = np.tril(np.ones((len(both), len(both))), -1) + np.eye(len(both)) / 2
        starts = statistics._starts(both, statistics.GROUPS)
        same = np.repeat(np.arange(len(starts)), np.diff([*starts, len(both)]))
        of_groups = rows**2 / (m * (rows - m)) / np.add.reduceat(both, starts)
        form = half.T @ np.diag(weight * statistics._scale(rows, m)) @ half
        form += statistics.BESIDE * np.where(same[:, None] == same, of_groups[same], 0)
        np.testing.assert_allclose(statistics._form(reference, current)[0], form, rtol=1e-9, atol=1e-12)
        covariance = m * (rows - m) / (rows - 1) * (np.diag(both / rows) - np.outer(both, both) / rows**2)
        weights = statistics._eigenvalues(form, reference + current, int(m))
        defined = np.sort(np.linalg.eigvals(form @ covariance).real)[-len(weights) :]
        np.testing.assert_allclose(np.sort(weights), defined, rtol=1e-6)
        parts = np.stack([current, reference])
        batch = statistics.ordered_statistics(reference + current, parts)
        assert batch.tolist() == [statistics.ordered_statistic(reference + current - part, part) for part in parts]


def test_more_categories_than_are_kept_are_counted_in_blocks_too() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"key": [f"k{index}" for index in rng.permutation(12_000)]})
    blocks = [np.arange(start, start + 500) for start in range(0, 12_000, 500)]
    dependence = make_profile(table, blocks=blocks).columns["key"].dependence
    assert dependence is not None
    assert dependence.rows == 500


def test_a_wide_table_makes_a_small_page_with_the_worst_first() -> None:
    rng = np.random.default_rng(0)
    reference, now = (
        pa.table({f"c{index}": rng.normal(size=60) + shift for index in range(1_000)}) for shift in (0, 3)
    )
    profile = make_profile(reference)
    counts = count(now, profile)
    comparison = compare(profile, counts)
    reasons = [str(item) for item in comparison.drifted]
    page = comparison_report(comparison, profile, counts, "drifted", False, reasons, Settings()).to_html()
    assert len(comparison.drifted) == 1_000
    assert "and 980 more" in page
    assert re.search(r"the first 200 of 1,\d{3}", page)
    assert len(page) < 400_000
    assert comparison.findings[0].column in page


def test_a_day_without_leading_zeros_or_values_is_no_other_kind() -> None:
    zips = pa.table({"zip": ["01234", "98765"] * 50, "n": np.arange(100.0), "flag": [0.0, 1.0] * 50})
    profile = make_profile(zips)
    day = pa.table({"zip": [98765] * 100, "n": pa.nulls(100), "flag": [True, False] * 50})
    assert check_schema(day.schema, profile) == []
    counted = count(day, profile).columns
    assert dict(zip(counted["zip"].cells, counted["zip"].counts, strict=False)) == {"01234": 0, "98765": 100}
    assert counted["n"].nulls == 100
    assert counted["flag"].counts == profile.columns["flag"].counts
    assert check_schema(pa.schema({"zip": pa.float64(), "n": pa.string(), "flag": pa.bool_()}), profile) == [
        "zip: was a category, and is number", "n: was a number, and is category"
    ]  # fmt: skip
    same = [pd.DataFrame({"zip": zips, "flag": flags}) for zips, flags in
            ((["98765", "1"] * 50, [0.0, 1.0] * 50), ([98765, 1] * 50, [False, True] * 50))]  # fmt: skip
    assert told_apart(*same).distance < 0.1


@pytest.mark.parametrize("values", [[], [None, None], [1.0], [float("nan")], [float("inf"), -float("inf"), 0.0]])
def test_columns_with_next_to_nothing_in_them(values: list[float | None]) -> None:
    tables = [pa.table({"x": pa.array(items, pa.float64())}) for items in (values, [1.0, 2.0, None])]
    for one in tables:
        for other in tables:
            profile = make_profile(one)
            assert not compare(profile, count(other, profile)).drifted


# --- monitor


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., Any]:
    def run(table: pd.DataFrame, **parameters: Any) -> Any:
        table.to_parquet(tmp_path / "data.parquet", index=False)
        return monitor.python_func(
            data=Dataset(name="data", uri=str(tmp_path / "data.parquet")),
            report=HTML(name="report", uri=str(tmp_path / "report")),
            findings=Artifact(name="findings", uri=str(tmp_path / "findings")),
            metrics=Metrics(name="metrics", uri=str(tmp_path / "metrics")),
            **parameters,
        )

    return run


def test_data_that_drifted_may_train_and_data_that_is_broken_may_not(
    watch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prometheus_client.values.ValueClass", None)  # as a library such as Feast may leave it
    table = flights(1, 3).to_pandas()
    table.to_parquet(tmp_path / "reference.parquet", index=False)
    given = {"reference": str(tmp_path / "reference.parquet"), "ignore": ["weekday"], "least_distance": 0.05}
    same = watch(table.sample(5000, random_state=0), **given)
    assert (same.drifted, same.broken, same.alert, same.train, same.severity) == (False, False, False, False, "info")
    other = flights(9, 9).to_pandas()
    found = watch(other, **given, prometheus=str(tmp_path / "drift.prom"))
    assert (found.drifted, found.broken, found.train, found.severity) == (True, False, True, "warning")
    assert any(reason.startswith("late: the mean went from 0.2283 to 0.132") for reason in found.reasons)
    page = (tmp_path / "report").read_text()
    assert "The data is drifted" in page
    told = json.loads((tmp_path / "findings").read_text())["findings"]
    assert page.count("<figure>") == len([item for item in told if item["check"] == "distribution" and item["counts"]])
    assert json.loads((tmp_path / "findings").read_text())["state"] == "drifted"
    metrics = {
        (sample.name, sample.labels.get("column"), sample.labels.get("check")): sample.value
        for family in text_string_to_metric_families((tmp_path / "drift.prom").read_text())
        for sample in family.samples
    }
    assert metrics["turnout_monitor_drifted", None, None] == 1
    assert metrics["turnout_monitor_distance", "late", "distribution"] == pytest.approx(0.096, abs=0.002)
    for broken in (
        other.drop(columns="dest"), other.assign(dest=None), other.assign(dest=1), other.head(20), other.head(0)
    ):  # fmt: skip
        found = watch(broken, **given)
        assert (found.broken, found.train, found.severity) == (True, False, "critical")
    assert found.reasons == ["the dataset has no rows"]


def test_rows_twice_and_rows_that_are_late(watch: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": range(500), "x": np.random.default_rng(0).normal(size=500)})
    table["when"] = pd.date_range("2024-01-01", periods=500, freq="min", tz="UTC")
    table.to_parquet(tmp_path / "reference.parquet", index=False)
    given = {"reference": str(tmp_path / "reference.parquet"), "ignore": ["id"], "until": "2024-01-02T00:00:00Z"}
    assert not watch(table, **given, keys=["id"], timestamp="when", stale_hours=24).alert
    twice = watch(pd.concat([table, table[:5]]), **given, keys=["id"])
    assert (twice.alert, twice.broken, twice.train) == (True, False, False)
    assert twice.reasons == ["id: 5 of 505 rows have the key of another"]
    late = watch(table, **given, timestamp="when", stale_hours=12)
    assert (late.broken, late.train) == (True, False)
    said = "the newest row is of 2024-01-01 08:19 UTC, 15.7 hours before 2024-01-02 00:00 UTC"
    assert late.reasons == [said]
    with pytest.raises(ComponentError, match="no column 'key' @ data"):
        watch(table, **given, keys=["key"])


def test_spark_looks_as_this_process_does(tmp_path: Path) -> None:
    table = flights(1, 1)
    table = table.append_column("n", pa.array(np.arange(len(table)) % 1000))
    pq.write_table(table, tmp_path / "flights.parquet", row_group_size=5_000)
    given = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    with (
        current(str(tmp_path), "arrow") as here,
        current(str(tmp_path), "spark", "local[2]", given) as there,
    ):
        profile = make_profile(table)
        assert here.count(profile) == there.count(profile)
        assert here.span("event_timestamp") == there.span("event_timestamp")
        assert here.repeated(["n", "dest"]) == there.repeated(["n", "dest"]) > 0
        for one in (here, there):
            rows = one.sample(1_000)
            assert len(rows) == 1_000
            assert stats.ks_2samp(rows["n"], table["n"].to_numpy()).pvalue > 0.001
            assert len(one.sample(50_000)) == len(table)


def test_what_cannot_be_compared_is_told(watch: Any, tracking: str) -> None:
    table = pd.DataFrame({"x": [1.0]})
    with pytest.raises(ComponentError, match="give a model or a reference"):
        watch(table)
    from predictions import register
    from sklearn.linear_model import LinearRegression

    uri = register("plain", LinearRegression().fit(table, [1.0]), table)
    with pytest.raises(ComponentError, match="has no reference to compare with"):
        watch(table, model=uri)
    assert not watch(table, model=uri, required=False, least_rows=1).alert


# --- notices


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]], list[int]]]:
    """A server that keeps what it is told; it answers with the statuses in a list, then with 200."""
    told: list[dict[str, Any]] = []
    statuses: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/hook", told, statuses
    server.shutdown()
    thread.join()
    server.server_close()


def test_people_are_told_once(webhook: Any, tmp_path: Path) -> None:
    url, told, _ = webhook
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    drifted = Notice("drift m", "warning", "m: drifted", "a column moved")

    def tell(notice: Notice, hours: float) -> int:
        before = len(told)
        now = start + datetime.timedelta(hours=hours)
        send(notice, [url], str(tmp_path / "state.json"), datetime.timedelta(hours=24), now)
        return len(told) - before

    assert tell(drifted, 0) == 1
    assert told[0]["title"] == "m: drifted"
    assert told[0]["message"] == "a column moved"
    assert tell(drifted, 23) == 0
    assert tell(Notice("drift n", "warning", "m: drifted", ""), 23) == 1  # another matter
    assert tell(Notice("drift m", "critical", "m: drifted", ""), 23) == 1  # it got worse
    assert tell(Notice("drift m", "critical", "m: drifted", "still"), 48) == 1  # it is still so a day later


def test_a_channel_that_fails_is_named_and_tried_again_alone(
    webhook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, told, statuses = webhook
    monkeypatch.setenv("TEAM", url)
    given: dict[str, Any] = {"title": "t", "text": "x", "key": "k", "state": str(tmp_path / "state.json")}
    channels = ["$TEAM", f"file:{tmp_path}/notices.jsonl"]
    statuses.append(503)
    with pytest.raises(ComponentError, match=r"^\$TEAM could not be told: .*503"):
        notify.python_func(channels=channels, **given)
    assert len((tmp_path / "notices.jsonl").read_text().splitlines()) == 1
    notify.python_func(channels=channels, **given)
    assert len(told) == 2
    assert len((tmp_path / "notices.jsonl").read_text().splitlines()) == 1
    with pytest.raises(ComponentError, match="no such variable @ \\$NOBODY"):
        notify.python_func(channels=["$NOBODY"], **given)
    with pytest.raises(ComponentError, match="this is no channel @ nonsense://"):
        notify.python_func(channels=["nonsense://secret@host"], **given)


def test_a_training_lets_no_other_start_for_some_days(tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ComponentError, match="the registry cannot be asked"):
        cool_down.python_func(registered_model="m")
    mlflow.MlflowClient().create_registered_model("m")
    monkeypatch.setenv("TURNOUT_RUN_ID", "one")
    assert cool_down.python_func(registered_model="m").start
    assert cool_down.python_func(registered_model="m").start  # tried again
    monkeypatch.setenv("TURNOUT_RUN_ID", "two")
    found = cool_down.python_func(registered_model="m", days=7)
    assert not found.start
    assert "by one; the next may in 7.0 days" in found.reason
    assert cool_down.python_func(registered_model="m", days=0).start
