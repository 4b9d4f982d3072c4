"""The report of a check says the day, what counts, and why a large difference does not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from turnout.data.times import interval
from turnout.monitoring.check import Settings
from turnout.monitoring.checks.drift import compare
from turnout.monitoring.comparison_report import comparison_report, period_of
from turnout.monitoring.profile import count, make_profile
from turnout.reports.cells import Histogram, Mark
from turnout.reports.report import Report


def report_of(rows: int, shift: float) -> Report:
    rng = np.random.default_rng(0)
    reference = pa.table({"x": rng.normal(size=2_000), "shop": rng.choice(["a", "b"], 2_000)})
    now = pa.table({"x": rng.normal(size=rows) + shift, "shop": rng.choice(["a", "b"], rows)})
    profile = make_profile(reference)
    counts = count(now, profile)
    comparison = compare(profile, counts, least=0.1)
    return comparison_report(
        comparison, profile, counts, "said", False, [], Settings(), name="m/3", period="Monday, 2026-11-23 (UTC)"
    )


def test_the_day_stands_below_the_title_and_each_row_has_a_histogram() -> None:
    report = report_of(2_000, 1)
    assert report.about == "Monday, 2026-11-23 (UTC), 2,000 rows, held against 2,000 of m/3"
    different, as_before = report.sections[:2]
    assert (different.heading, as_before.heading) == ("What is different", "What does not count")
    (column, _, histogram, *_, counts) = different.rows[0]
    assert (column, counts) == ("x", Mark("yes", "bad"))
    assert isinstance(histogram, Histogram)
    assert len(histogram.now) == len(histogram.reference) == 12
    assert sum(histogram.reference) == pytest.approx(1, abs=0.05)
    assert sum(histogram.now) < sum(histogram.reference)  # a part of them lies beyond
    assert report.metrics[1] == ("columns that drifted", "1 of 2")


def test_a_large_distance_that_does_not_count_says_why() -> None:
    (table, _) = report_of(12, 0.2).sections
    row = next(row for row in table.rows if row[0] == "x" and row[1] == "values")
    assert float(row[4]) > 0.1
    assert "with so few independent rows, chance alone makes one as large in" in row[-1]


def test_a_small_distance_that_is_surely_there_says_so() -> None:
    table = next(item for item in report_of(50_000, 0.15).sections if item.heading == "What does not count")
    row = next(row for row in table.rows if row[0] == "x" and row[1] == "values")
    assert row[-1] == "no: it is surely there, but smaller than 0.1"


@pytest.mark.parametrize(
    ("since", "until", "zone", "said"),
    [
        ("2026-11-25", "2026-11-26", "Europe/Zurich", "Wednesday, 2026-11-25 (Europe/Zurich)"),
        ("2026-11-20", "2026-11-26", "UTC", "2026-11-20 to 2026-11-25 (UTC)"),
        ("2026-11-25T06:00", "", "UTC", "from 2026-11-25 06:00 (UTC)"),
        ("", "", "UTC", ""),
    ],
)
def test_a_period_as_a_person_says_it(since: str, until: str, zone: str, said: str) -> None:
    chosen = interval(since, until, zone)
    assert period_of(chosen, {}, zone) == said
    assert period_of(interval("", "", zone), chosen.to_metadata(), zone) == said
