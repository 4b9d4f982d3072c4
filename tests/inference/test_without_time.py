"""Tables without times, and columns named as those that predict adds."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from predictions import ROWS, Ran, make_table, register, rows_of
from sklearn.linear_model import LinearRegression

from turnout import ComponentError
from turnout.inference import table as tables


@pytest.fixture
def table(tracking: str) -> pd.DataFrame:
    """Rows without times, and a model in the registry that doubles their number."""
    table = make_table().drop(columns="when")
    inputs = table[["number"]].astype(float)
    register("m", LinearRegression().fit(inputs, table["number"] * 2), inputs)
    return table


def run(directory: Path, table: pd.DataFrame, **parameters: Any) -> Ran:
    return Ran(directory, table, **{"timestamp": "", "since": "", "until": "", **parameters})


def test_a_table_without_times_is_predicted_whole_and_replaces_all(table: pd.DataFrame, tmp_path: Path) -> None:
    ran = run(tmp_path, table, since="2024-01-01T05:00:00Z", until="2024-01-09")
    assert ran.result.predicted == ROWS
    assert ran.artifact.metadata["dates"] == ["2024-01-01"]
    run(tmp_path, table[:10])
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(10))
    assert found["prediction"].tolist() == pytest.approx((table["number"][:10] * 2).tolist())
    assert set(found["date"]) == {datetime.datetime.now(datetime.UTC).date()}
    assert "when" not in found


def test_a_snapshot_replaces_that_of_its_day_only(table: pd.DataFrame, tmp_path: Path) -> None:
    for rows, since in ((table, "2024-01-01"), (table[:20], "2024-01-02"), (table[:10], "2024-01-01T23:00-02:00")):
        run(tmp_path, rows, since=since, without_time="snapshot")
    counts = rows_of(tmp_path / "out")["date"].astype(str).value_counts().to_dict()
    assert counts == {"2024-01-01": ROWS, "2024-01-02": 10}


def test_of_two_runs_that_replace_all_the_later_fails(table: pd.DataFrame, tmp_path: Path) -> None:
    run(tmp_path, table)
    later = tables.prepare(str(tmp_path / "out"), tables.read(str(tmp_path / "out")).schema)
    run(tmp_path, table)
    with pytest.raises(ComponentError, match="another run wrote the same dates meanwhile"):
        tables.replace(later, [], None, {})
    assert len(rows_of(tmp_path / "out")) == ROWS


def test_rows_that_fail_are_quarantined_whole_too(table: pd.DataFrame, tmp_path: Path) -> None:
    aside = str(tmp_path / "aside")
    run(tmp_path, table.assign(number=table["number"].where(table["id"] != 7)), quarantine=aside)
    assert tables.read(aside)["id"].to_pylist() == [7]
    run(tmp_path, table, quarantine=aside, prefix="")
    assert tables.read(aside).num_rows == 0


def test_a_part_of_a_table_does_not_replace_all(table: pd.DataFrame, tmp_path: Path) -> None:
    metadata = {"interval": {"since": "2024-01-01T00:00:00+00:00"}}
    with pytest.raises(ComponentError, match="only rows from 2024-01-01 00:00 UTC, and the interval is all of time"):
        run(tmp_path, table, metadata=metadata)
    assert not (tmp_path / "out").exists()


RESERVED = {"id": "model", "size": "Prediction", "when": "date"}


def test_columns_named_as_those_that_are_added_are_told_before_work(table: pd.DataFrame, tmp_path: Path) -> None:
    named = make_table().rename(columns=RESERVED)
    with pytest.raises(ComponentError) as error:
        Ran(tmp_path, named, timestamp="date", keys=["model", "Prediction", "kind"])
    assert "named as those that predict adds: model, Prediction, date @ keys, timestamp" in str(error.value)
    assert "prefix=scored_" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_prefix_tells_the_added_columns_from_the_input_s(table: pd.DataFrame, tmp_path: Path) -> None:
    named = make_table().rename(columns=RESERVED)
    named.loc[named["model"] == 7, "number"] = None
    given = {"timestamp": "date", "keys": ["model", "Prediction"], "prefix": "scored_"}
    for _ in range(2):
        Ran(tmp_path, named, **given, quarantine=str(tmp_path / "aside"))
    found = tables.read(str(tmp_path / "out")).to_pandas().sort_values("model", ignore_index=True)
    expected = named[named["model"] != 7].reset_index(drop=True)
    assert found.columns.tolist() == [
        "model", "Prediction", "date", "scored_prediction", "scored_model", "scored_model_version", "scored_run_id",
        "scored_predicted_at", "scored_date",
    ]  # fmt: skip
    assert found["model"].tolist() == expected["model"].tolist()
    assert found["Prediction"].tolist() == expected["Prediction"].tolist()
    assert found["date"].tolist() == expected["date"].tolist()
    assert found["scored_prediction"].tolist() == pytest.approx((expected["number"] * 2).tolist())
    assert found["scored_date"].astype(str).tolist() == expected["date"].dt.strftime("%Y-%m-%d").tolist()
    assert tables.read(str(tmp_path / "aside"))["scored_reason"][0].as_py().startswith("ValueError")
    Ran(tmp_path, named.iloc[8:9], **given, since="2024-01-01", until="2024-01-02")
    days = tables.read(str(tmp_path / "out"), ["2024-01-01"])
    assert days["model"].to_pylist() == [8]


def test_a_key_that_is_also_the_time_is_there_once(table: pd.DataFrame, tmp_path: Path) -> None:
    Ran(tmp_path, make_table(), keys=["id", "when", "id"])
    assert rows_of(tmp_path / "out").columns.tolist()[:3] == ["id", "when", "prediction"]


def test_a_table_partitioned_otherwise_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    run(tmp_path, table)
    with pytest.raises(ComponentError, match="partitioned by date, and not by p_date"):
        run(tmp_path, table, prefix="p_")
