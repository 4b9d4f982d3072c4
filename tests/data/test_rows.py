"""A row is the same row wherever it is stored, and whatever rows stand around it."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout import ComponentError
from turnout.data.rows import identify, in_test, mixed

WHEN = pd.Timestamp("2024-03-01T06:00", tz="UTC")


def digests(**columns: object) -> list[int]:
    table = pd.DataFrame(columns)
    return identify(table, list(table)).digests.tolist()


def test_numbers_are_mixed_as_published() -> None:
    """The first outputs of SplitMix64 with the seed 0."""
    states = np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mixed(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_digests_of_records_stay_what_they_are() -> None:
    """Records hold them: a change needs another name of the scheme."""
    given = digests(id=["a1", "ü", None], number=[1, 2.5, np.nan], when=[WHEN, WHEN, pd.NaT])
    assert [f"{digest:016x}" for digest in given] == ["2c5f5b4ff1703b5c", "84e2cddc1d9656d0", "169f2ee2b8ffb3e6"]


SAME = [
    ("whole numbers as doubles", [1, -2, 3], [1.0, -2.0, 3.0]),
    ("a column that got a null", [1, 2**53, 3], pd.array([1, 2**53, 3], dtype="Int64")),
    ("zeros", [0.0], [-0.0]),
    ("narrow numbers", np.array([1.5, 2], dtype="float32"), [1.5, 2.0]),
    ("truth", [True, False], [1, 0]),
    ("decimals", [decimal.Decimal("2.50"), decimal.Decimal("-1")], [2.5, -1.0]),
    ("identifiers as decimals", [decimal.Decimal(2**53 + 1)], [2**53 + 1]),
    ("categories", pd.Categorical(["b", "a", None, "b"]), ["b", "a", None, "b"]),
    ("categories that are numbers", pd.Categorical([7, 5, 7]), [7, 5, 7]),
    ("more categories than a byte counts", pd.Categorical([str(n) for n in range(128)]), [str(n) for n in range(128)]),
    ("kinds of text", pd.array(["a", None], dtype="string"), ["a", np.nan]),
    ("nothing", [None, None], [np.nan, np.nan]),
    ("units of time", pd.Series([WHEN]).dt.as_unit("s"), pd.Series([WHEN]).dt.as_unit("ns")),
    ("times without a zone", [WHEN.tz_localize(None)], [WHEN]),
    ("zones", [WHEN.tz_convert("Asia/Tokyo")], [WHEN]),
    ("dates", [datetime.date(2024, 3, 1)], [pd.Timestamp("2024-03-01", tz="UTC")]),
]


@pytest.mark.parametrize(("stored", "otherwise"), [pair[1:] for pair in SAME], ids=[pair[0] for pair in SAME])
def test_how_a_value_is_stored_does_not_matter(stored: object, otherwise: object) -> None:
    assert digests(x=stored) == digests(x=otherwise)


def test_different_values_are_different_rows() -> None:
    values = [0, 1, 2, -1, 0.5, 1e300, np.inf, -np.inf, np.nan, 2.0**63, 5e-324]
    texts = ["", "0", "1", "nan", " ", "None"]
    odd = [[1], [1, 2], {"a": 1}, datetime.time(1), b"a"]
    given = [*digests(x=values), *digests(x=texts), *digests(x=[WHEN]), *(digests(x=[value])[0] for value in odd)]
    assert len(set(given)) == len(given)
    assert digests(a=[1], b=[2]) != digests(a=[2], b=[1])


def test_the_order_of_columns_does_not_matter_and_parquet_changes_nothing(table, tmp_path: Path) -> None:
    table.to_parquet(tmp_path / "table.parquet")
    read = pd.read_parquet(tmp_path / "table.parquet")[list(table)[::-1]]
    assert (identify(table, list(table)).digests == identify(read, list(read)).digests).all()


def test_two_columns_of_one_name_are_told() -> None:
    table = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(ComponentError, match="more than one column 'a'"):
        identify(table, ["a"])


@given(rows=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), data=st.data())
def test_a_row_stays_on_its_side_whatever_rows_there_are(rows: list[int], data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(rows), min_size=1))
    table, other = (pd.DataFrame({"id": np.array(values, dtype="int64")}) for values in (rows, some))
    sides = dict(zip(rows, in_test(identify(table, ["id"]).digests, 0.3, 0), strict=True))
    assert in_test(identify(other, ["id"]).digests, 0.3, 0).tolist() == [sides[row] for row in some]


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.7])
def test_the_share_for_testing_is_that_asked_for(fraction: float) -> None:
    known = identify(pd.DataFrame({"id": np.arange(40_000)}), ["id"]).digests
    drawn = [in_test(known, fraction, seed) for seed in range(20)]
    error = np.sqrt(fraction * (1 - fraction) / len(known))
    shares = (np.array([rows.mean() for rows in drawn]) - fraction) / error
    assert np.abs(shares).max() < 4
    assert (drawn[0] & drawn[1]).mean() == pytest.approx(fraction**2, abs=5 * error)  # seeds have nothing in common
    assert in_test(known, fraction / 2, 0)[~drawn[0]].sum() == 0  # a larger fraction adds rows, and moves none back
