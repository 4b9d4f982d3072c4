"""Parquet as it lies in stores: directories whose files differ, and types that tables of one process do not have."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp.dsl import HTML, Artifact, Dataset, Metrics

from turnout import ComponentError
from turnout.components.ingest import ingest
from turnout.components.monitor import monitor
from turnout.data.parquet import open_table
from turnout.data.tables import read_table

DAY = datetime.date(2024, 1, 31)
NANOSECONDS = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))

DIRECTORIES: dict[str, tuple[dict[str, pa.Table], dict[str, list[Any]]]] = {
    "a column that comes later": (
        {"1": pa.table({"a": [1]}), "2": pa.table({"a": [2], "b": ["x"]})},
        {"a": [1, 2], "b": [None, "x"]},
    ),
    "a column that goes": (
        {"1": pa.table({"a": [1], "b": [True]}), "2": pa.table({"a": [2]})},
        {"a": [1, 2], "b": [True, None]},
    ),
    "types that widen": (
        {"1": pa.table({"a": pa.array([1], pa.int32())}), "2": pa.table({"a": [2**40]}), "3": pa.table({"a": [0.5]})},
        {"a": [1.0, 2.0**40, 0.5]},
    ),
    "a column that was null": ({"1": pa.table({"a": [None]}), "2": pa.table({"a": ["x"]})}, {"a": [None, "x"]}),
    "decimals that widen": (
        {
            "1": pa.table({"a": pa.array([decimal.Decimal("1.5")], pa.decimal128(4, 1))}),
            "2": pa.table({"a": pa.array([decimal.Decimal("10.25")], pa.decimal128(9, 2))}),
        },
        {"a": [decimal.Decimal("1.50"), decimal.Decimal("10.25")]},
    ),
    "categories in one file": (
        {"1": pa.table({"a": pa.array(["x"]).dictionary_encode()}), "2": pa.table({"a": ["y"]})},
        {"a": ["x", "y"]},
    ),
    "partitions": (
        {"day=2024-01-31/zone=eu/1": pa.table({"a": [1]}), "day=2024-02-01/zone=us/1": pa.table({"a": [2]})},
        {"a": [1, 2], "day": ["2024-01-31", "2024-02-01"], "zone": ["eu", "us"]},
    ),
    "another order of columns": (
        {"1": pa.table({"a": [1], "b": [2]}), "2": pa.table({"b": [4], "a": [3]})},
        {"a": [1, 3], "b": [2, 4]},
    ),
}


@pytest.mark.parametrize(("files", "expected"), DIRECTORIES.values(), ids=DIRECTORIES)
def test_a_directory_has_the_columns_and_rows_of_all_its_files(tmp_path: Path, files: Any, expected: Any) -> None:
    for name, table in files.items():
        path = tmp_path / "data" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    (tmp_path / "data" / "_SUCCESS").write_text("")
    assert read_table(tmp_path / "data")[0].to_pydict() == expected
    assert open_table(str(tmp_path / "data"))[0].count_rows() == len(expected["a"])


def test_files_whose_types_do_not_go_together_are_told_by_column_and_file(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(ComponentError, match=r"column 'b' is string in .*2.parquet, and int64 in those before"):
        read_table(tmp_path)


def test_a_directory_that_is_no_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="no Parquet files"):
        read_table(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    (tmp_path / "notes.txt").write_text("not a table")
    with pytest.raises(ComponentError, match=r"cannot be read as Parquet: .*notes.txt"):
        read_table(tmp_path)
    with pytest.raises(ComponentError, match="a directory is read as Parquet only"):
        read_table(tmp_path, "csv")


ODD: dict[str, tuple[pa.Array, Any]] = {
    "decimals": (pa.array([decimal.Decimal("1.10")]), decimal.Decimal("1.10")),
    "dates": (pa.array([DAY]), DAY),
    "nanoseconds": (NANOSECONDS, pd.Timestamp("2023-11-14T22:13:20.123456789")),
    "whole numbers beyond doubles": (pa.array([2**53 + 1]), 2**53 + 1),
    "unsigned ones": (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
    "lists": (pa.array([[1, 2]]), [1, 2]),
    "structs": (pa.array([{"x": 1}]), {"x": 1}),
    "binary": (pa.array([b"\0\1"]), b"\0\1"),
    "nothing at all": (pa.array([None], pa.null()), None),
}


@pytest.mark.parametrize(("array", "value"), ODD.values(), ids=ODD)
def test_ingest_passes_on_what_it_reads(artifact, tmp_path: Path, array: pa.Array, value: Any) -> None:
    pq.write_table(pa.table({"odd": array, "n": [1]}), tmp_path / "source")
    data = artifact(Dataset, "data")
    ingest.python_func(source=str(tmp_path / "source"), data=data)
    assert pq.read_table(data.path)["odd"].to_pylist() == [value]


def test_whole_numbers_that_pandas_would_round_are_texts(artifact, tmp_path: Path, capsys) -> None:
    """pandas has numbers with missing ones as doubles."""
    pq.write_table(pa.table({"id": [2**53 + 1, None], "n": [1, None]}), tmp_path / "source")
    data = artifact(Dataset, "data")
    ingest.python_func(source=str(tmp_path / "source"), data=data)
    assert pd.read_parquet(data.path)["id"].tolist() == ["9007199254740993", None]
    assert pd.read_parquet(data.path)["n"].tolist()[0] == 1
    assert "id: whole numbers beyond 2^53, with missing ones, are kept as texts" in capsys.readouterr().out


def test_the_index_of_pandas_is_a_column_where_it_has_a_name(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2, 3]}).iloc[[2, 1]]
    table.to_parquet(tmp_path / "plain")
    table.rename_axis("id").to_parquet(tmp_path / "named")
    assert read_table(tmp_path / "plain")[0].to_pydict() == {"a": [3, 2]}
    assert read_table(tmp_path / "named")[0].to_pydict() == {"a": [3, 2], "id": [2, 1]}


def test_tables_with_an_index_of_pandas_are_compared_and_counted_by_their_columns(artifact, tmp_path: Path) -> None:
    table = pd.DataFrame({"a": np.arange(300.0), "b": np.tile([0, 1, 2], 100)})
    table[table["b"] > 0].to_parquet(tmp_path / "reference")
    report, findings = artifact(HTML, "report"), artifact(Artifact, "findings")
    data = artifact(Dataset, "data")
    table[table["b"] > 0].rename_axis("id").to_parquet(data.path)
    found = monitor.python_func(data, report, findings, artifact(Metrics, "m"), reference=str(tmp_path / "reference"))
    assert (found.alert, found.reasons) == (False, [])
    compared = {item["column"] for item in json.loads(Path(findings.path).read_text())["findings"] if "column" in item}
    assert {"a", "b"} == compared - {"all columns"}


def test_two_columns_of_one_name_are_told(artifact, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "source")
    with pytest.raises(ComponentError, match="several columns are of one name"):
        ingest.python_func(source=str(tmp_path / "source"), data=artifact(Dataset, "data"))


def test_dates_and_texts_become_times_where_they_are_named(artifact, tmp_path: Path) -> None:
    source = pa.table({"when": [DAY, DAY + datetime.timedelta(1)], "text": ["2024-01-31", None]})
    pq.write_table(source, tmp_path / "source")
    data = artifact(Dataset, "data")
    ingest.python_func(source=str(tmp_path / "source"), data=data, timestamps=["when", "text"], timestamp="when",
                       since="2024-02-01")  # fmt: skip
    assert pd.read_parquet(data.path)["when"].tolist() == [pd.Timestamp("2024-02-01", tz="UTC")]
    with pytest.raises(ComponentError, match="'text' is not a time"):
        ingest.python_func(source=str(tmp_path / "source"), data=data, timestamp="text", since="2024-02-01")
