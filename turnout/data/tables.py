"""Tables for components: where they come from, what is in them, and what they descend from."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from turnout.data.delimited import AS_FOUND, EXACT, Dialect, compression, marked, read_delimited
from turnout.data.parquet import open_table
from turnout.data.times import Interval, in_utc, series_in_utc
from turnout.data.times import within as rows_within
from turnout.errors import ComponentError, did_you_mean

Format = Literal["auto", "parquet", "csv"]
_PARQUET_MAGIC = b"PAR1"
_LINEAGE = ("source", "revision", "data_digest", "features_digest", "interval", "newest")


def read_table(
    path: Path, form: Format = "auto", timestamps: Iterable[str] = (), dialect: Dialect = AS_FOUND
) -> tuple[pa.Table, str, list[str]]:
    """A table, the format it was in, and notes of what was found in it.

    Args:
        path: a file, or a directory of Parquet files.
        form: the format; found from the content when `auto`.
        timestamps: columns that hold times; meant in UTC where they have no offset.
        dialect: of a CSV file.

    Raises:
        ComponentError: the content is not in that format, or a column holds no times.
    """
    found = form if form != "auto" else detect_format(path)
    notes: list[str] = []
    if found == "csv":
        if path.is_dir():
            hint = "give one file, or convert them to Parquet, which may be a directory"
            raise ComponentError("a directory is read as Parquet only", where=path.name, hint=hint)
        table, notes = read_delimited(path, dialect)
    else:
        table = _read_parquet(path, notes)
    names = table.column_names
    for column in timestamps:
        require_among(names, [column], path.name)
        times = series_in_utc(table[column].to_pandas().rename(column))
        table = table.set_column(names.index(column), column, pa.array(times, from_pandas=True))
    return table, found, notes


def _read_parquet(path: Path, notes: list[str]) -> pa.Table:
    """All rows. Whole numbers that pandas, in which the next steps read them, would round are texts."""
    try:
        table = open_table(str(path))[0].to_table()
    except (OSError, pa.ArrowException) as error:
        raise ComponentError(f"not readable as parquet: {error}", where=path.name, hint="set the format") from error
    for index, field in enumerate(table.schema):
        column = table[index]
        if pa.types.is_integer(field.type) and column.null_count and beyond_doubles(column):
            table = table.set_column(index, field.name, column.cast(pa.string()))
            notes.append(f"{field.name}: whole numbers beyond 2^53, with missing ones, are kept as texts")
    return table.replace_schema_metadata(None)


def beyond_doubles(whole: pa.ChunkedArray | pa.Array) -> bool:
    """Whether some whole number is one that a double does not tell from its neighbours."""
    ends = pc.min_max(whole).as_py()
    return ends["min"] is not None and max(abs(ends["min"]), abs(ends["max"])) > EXACT


def within(table: pa.Table, timestamp: str, interval: Interval) -> pa.Table:
    """The rows of an interval; rows without a time are in none.

    Args:
        timestamp: column with each row's time; times without a zone are meant in UTC.

    Raises:
        ComponentError: no such column, or it holds no times.
    """
    require_among(table.column_names, [timestamp], "data")
    if not pa.types.is_timestamp(table.schema.field(timestamp).type):
        raise ComponentError(f"column '{timestamp}' is not a time", where="data", hint="name it in timestamps")
    chosen = rows_within(interval, table.schema, timestamp)
    return table if chosen is None else table.filter(chosen)


def newest(table: pa.Table, timestamp: str) -> datetime.datetime | None:
    """The latest time in a column of times, in UTC; None when there is none."""
    found = pc.max(table[timestamp]).as_py()
    return in_utc(found) if found is not None else None


def no_rows(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with a dataset without rows, and what can be done.

    Args:
        metadata: the dataset's: the `interval` of the rows that were asked for, and the `newest` time in their source.
    """
    chosen, newest = interval_of(metadata), metadata.get("newest")
    if not newest:
        return "the dataset has no rows" + (f" {chosen}" if chosen.bounded else ""), "look at the source"
    last = datetime.datetime.fromisoformat(newest)
    if chosen.since and last < chosen.since:
        what = f"the table ends on {last:%Y-%m-%d %H:%M} UTC, before the interval {chosen}"
        return what, "bring the table up to date (the example's: make data), or choose an earlier interval"
    return f"the dataset has no rows {chosen}; its newest is of {last:%Y-%m-%d %H:%M} UTC", "look at the interval"


def interval_of(metadata: Mapping[str, Any]) -> Interval:
    """The interval that an artifact's metadata says its rows are of."""
    recorded: Mapping[str, str] = metadata.get("interval") or {}
    return Interval(**{name: datetime.datetime.fromisoformat(text) for name, text in recorded.items()})


def detect_format(path: Path) -> str:
    """`parquet` or `csv`, by the first bytes, not by the name."""
    if path.is_dir():
        return "parquet"
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_PARQUET_MAGIC):
        return "parquet"
    if b"\0" in start and not compression(start) and not marked(start):
        hint = "convert it to Parquet; for text in utf-16 without a mark, give format and encoding"
        raise ComponentError("neither Parquet nor CSV", where=path.name, hint=hint)
    return "csv"


def write_table(table: pd.DataFrame | pa.Table, path: str) -> dict[str, Any]:
    """Write a table as Parquet; what its artifact's metadata says of it."""
    if isinstance(table, pa.Table):
        pq.write_table(table, path)
        kinds = table.schema.empty_table().to_pandas().dtypes
    else:
        table.to_parquet(path, index=False)
        kinds = table.dtypes
    return {"format": "parquet", "rows": len(table), "schema": {name: str(kind) for name, kind in kinds.items()}}


def lineage(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an artifact's metadata that its descendants keep: where the data came from."""
    return {key: metadata[key] for key in _LINEAGE if metadata.get(key)}


def require_interval(metadata: Mapping[str, Any], needed: Interval) -> None:
    """Raise ComponentError where an artifact's metadata says that it has only the rows of another interval."""
    if not (kept := interval_of(metadata)).covers(needed):
        what = f"the data has only rows {kept}, and the interval is {needed}"
        hint = "give the step that reads the data the same since, until and timezone"
        raise ComponentError(what, where="since, until, timezone", hint=hint)


def require(table: pd.DataFrame, columns: Iterable[str], where: str) -> None:
    """Raise ComponentError unless the table has all these columns."""
    require_among(map(str, table.columns), columns, where)


def require_among(known: Iterable[str], columns: Iterable[str], where: str) -> None:
    """Raise ComponentError unless all these columns are among those that are known."""
    names = list(known)
    missing = [column for column in columns if column not in names]
    if missing:
        raise ComponentError(f"no column {', '.join(map(repr, missing))}", where=where, available=names,
                             hint=did_you_mean(missing[0], names))  # fmt: skip
