"""A model's record of the rows that it has learned, and what it is judged by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from turnout import ComponentError
from turnout.models.judged_rows import judged_rows
from turnout.models.learned import FALSE_POSITIVE_RATE, Learned, learned
from turnout.models.registry import ModelVersion

CHAMPION = ModelVersion("m", "3", "run")


def people(first: int, last: int) -> pd.DataFrame:
    ids = np.arange(first, last)
    return pd.DataFrame({"id": ids, "age": ids % 90, "target": ids % 2})


def judge(table: pd.DataFrame, ours: Learned | None, theirs: Learned | None, minimum_rows: int = 10):
    return judged_rows(table, ours, CHAMPION, theirs, target="target", task="classification", minimum_rows=minimum_rows)


@pytest.mark.parametrize("rows", [1, 100, 200_000])
def test_a_record_knows_its_rows_and_errs_as_seldom_as_it_says(tmp_path: Path, rows: int) -> None:
    record = learned(people(0, rows), ["id", "age"])
    record.write(tmp_path / "learned.parquet")
    read = Learned.read(tmp_path / "learned.parquet")
    assert read.knows(people(0, rows)).all()
    others = 1_000_000
    mistakes = read.knows(people(rows, rows + others)).sum()
    expected = read.false_positive_rate * others
    assert read.false_positive_rate <= FALSE_POSITIVE_RATE
    assert abs(mistakes - expected) <= 4 * np.sqrt(expected) + 1
    assert (tmp_path / "learned.parquet").stat().st_size < 1_000 + 3.5 * rows


def test_rows_that_one_of_two_has_learned_are_left_out_for_both() -> None:
    table = people(0, 1_000)
    judged = judge(table, learned(people(900, 1_200), ["id"]), learned(people(-500, 300), ["id"]))
    assert table["id"][judged.chosen].tolist() == list(range(300, 900))
    assert not judged.refused
    assert "this model has learned 100 of the 1,000 rows, which are left out" in judged.reasons[0]
    assert "the champion (version 3) has learned 300 of the 1,000 rows" in judged.reasons[1]
    assert "by mistake" in judged.reasons[1]


def test_other_columns_and_their_kinds_do_not_hide_a_learned_row() -> None:
    """Features that came later, a null that made doubles of whole numbers, and another order of columns."""
    record = learned(people(0, 500), ["id", "age"])
    table = people(0, 1_000).astype({"age": "float64"}).assign(feature=1.5)[["feature", "target", "age", "id"]]
    assert judge(table, None, record).chosen.tolist() == [False] * 500 + [True] * 500


def test_a_champion_that_has_learned_all_rows_is_not_compared() -> None:
    table = people(0, 200)
    judged = judge(table, None, learned(people(0, 5_000), ["id"]))
    assert judged.refused.startswith(
        "not compared with the champion (version 3): of 200 rows it has learned 200; 0 rows"
    )
    assert any("by the same keys (for it a row is its id), seed and test_fraction" in said for said in judged.reasons)
    assert judged.chosen.all()  # the model's own score is still honest


def test_too_few_rows_or_classes_are_not_compared() -> None:
    record = learned(people(0, 190), ["id"])
    assert "10 rows are left, and minimum_rows asks for 11" in judge(people(0, 200), None, record, 11).refused
    assert not judge(people(0, 200), None, record, 10).refused
    positives = people(0, 400).query("id < 100 or target == 1")
    assert "rows that are left have one class only" in judge(positives, None, record).refused


def test_a_model_is_not_judged_by_its_own_rows_alone() -> None:
    with pytest.raises(ComponentError, match="this model has learned all 200 rows"):
        judge(people(0, 200), learned(people(0, 200), ["id"]), None)
    with pytest.raises(ComponentError, match=r"the 100 rows to judge by have one class only @ data\.target"):
        judge(people(0, 200).query("target == 1"), None, None)


def test_what_cannot_be_checked_is_said() -> None:
    record = learned(people(0, 100), ["id"])
    cases = {
        "it was trained without a record": (people(0, 100), None),
        "no column 'id'": (people(0, 100).drop(columns="id"), record),
        "column 'id' was learned as number, and is text now": (people(0, 100).astype({"id": str}), record),
        "by the scheme rows-0": (people(0, 100), dataclasses.replace(record, scheme="rows-0")),
    }
    for why, (table, theirs) in cases.items():
        for judged, who in ((judge(table, None, theirs), "the champion"), (judge(table, theirs, None), "this model")):
            said = [reason for reason in judged.reasons if f"whether {who}" in reason]
            assert "could not be checked" in said[0]
            assert why in said[0]


def test_rows_that_cannot_be_told_again_are_told() -> None:
    """A time of export makes each row another one each time, and the champion would seem to know none of them."""
    first, second = (people(0, 2_000).assign(exported=day) for day in ("monday", "tuesday"))
    test, columns = second[1_500:], list(first)
    said = judge(test, learned(second[:1_500], columns), learned(first, columns)).reasons
    assert any("have learned no row in common" in reason for reason in said)
    said = judge(test, learned(second[:1_500], ["id"]), learned(first[:1_000], ["id"])).reasons
    assert not any("no row in common" in reason for reason in said)


def test_a_champion_that_knows_the_time_of_the_rows_is_told() -> None:
    table = people(0, 200).assign(when=pd.date_range("2024-01-01", periods=200, freq="D"))

    def said(before: pd.DataFrame) -> str:
        record = learned(before, ["id"], before["when"])
        judged = judged_rows(table[121:], None, CHAMPION, record, target="target", task="classification",
                             minimum_rows=10, timestamp="when")  # fmt: skip
        return " ".join(judged.reasons)

    assert "until" not in said(table[:121])
    assert "has learned rows until 2024-05-29 00:00, and these begin at 2024-05-01 00:00" in said(table[:150:149])
