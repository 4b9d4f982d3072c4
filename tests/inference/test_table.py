"""The table of predictions: what runs that write at once make of it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from turnout import ComponentError
from turnout.inference import table as tables

SMALL = pa.schema([("x", pa.int64()), ("date", pa.string())])


def small_parts(table: Path, days: list[str]) -> list[tables.Part]:
    """One new file of one row for each day."""
    parts = []
    for day in days:
        file = table / f"date={day}" / f"{uuid.uuid4()}.parquet"
        file.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"x": [1]}), file)
        parts.append(tables.Part(str(table), str(file.relative_to(table)), day, 1, file.stat().st_size, 0))
    return parts


def replace_days(prepared: Any, days: list[str]) -> None:
    table = Path(prepared.table_uri.removeprefix("file://"))
    tables.replace(prepared, small_parts(table, days), days, {})


def test_runs_that_begin_at_once_make_one_table(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(30):
            found = pool.map(lambda table: tables.prepare(table, SMALL).version(), [str(tmp_path / str(number))] * 8)
            assert list(found) == [0] * 8


@pytest.mark.parametrize("existing", [[], ["2024-01-01"], ["2024-01-01", "2024-01-02", "2024-01-03"]])
@pytest.mark.parametrize("days", [["2024-01-01"], ["2024-01-01", "2024-01-02"]])
def test_of_two_runs_of_one_day_the_later_fails_and_nothing_is_doubled(
    existing: list[str], days: list[str], tmp_path: Path
) -> None:
    replace_days(tables.prepare(str(tmp_path), SMALL), existing)
    later, sooner = (tables.prepare(str(tmp_path), SMALL) for _ in range(2))
    replace_days(sooner, days)
    with pytest.raises(ComponentError, match="another run wrote the same dates meanwhile"):
        replace_days(later, ["2024-01-01", "2024-01-03"])
    assert sorted(map(str, tables.read(str(tmp_path))["date"].to_pylist())) == sorted({*existing, *days})


def test_runs_of_other_days_and_streams_go_on_when_a_day_is_replaced(tmp_path: Path) -> None:
    replace_days(tables.prepare(str(tmp_path), SMALL), ["2024-01-01", "2024-01-02"])
    again, other, new, stream = (tables.prepare(str(tmp_path), SMALL) for _ in range(4))
    replace_days(again, ["2024-01-01"])
    replace_days(other, ["2024-01-02"])
    replace_days(new, ["2024-01-03"])
    tables.append(stream, small_parts(tmp_path, ["2024-01-03"]), "a stream", 0, {})
    days = sorted(map(str, tables.read(str(tmp_path))["date"].to_pylist()))
    assert days == ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-03"]


def test_runs_of_many_days_that_end_at_once_are_all_there(tmp_path: Path) -> None:
    days = [f"2024-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 29)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda day: replace_days(tables.prepare(str(tmp_path), SMALL), [day]), days))
    assert sorted(map(str, tables.read(str(tmp_path))["date"].to_pylist())) == days


def test_of_two_writers_of_one_batch_the_later_fails(tmp_path: Path) -> None:
    first, second = (tables.prepare(str(tmp_path), SMALL) for _ in range(2))
    tables.append(first, small_parts(tmp_path, ["2024-01-01"]), "a stream", 0, {})
    with pytest.raises(ComponentError, match="another run wrote the same batch meanwhile"):
        tables.append(second, small_parts(tmp_path, ["2024-01-01"]), "a stream", 0, {})
    assert tables.read(str(tmp_path)).num_rows == 1
