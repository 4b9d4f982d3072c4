"""Tables for components: where they come from, what is in them, and what they descend from."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from turnout.data.times import Interval, series_in_utc
from turnout.errors import ComponentError, did_you_mean

Format = Literal["auto", "parquet", "csv"]
_PARQUET_MAGIC = b"PAR1"
_LINEAGE = ("source", "revision", "data_digest", "features_digest", "interval")


def read_table(path: Path, form: Format = "auto", timestamps: Iterable[str] = ()) -> tuple[pd.DataFrame, str]:
    """A table, and the format it was in.

    Args:
        path: a file, or a directory of Parquet files.
        form: the format; found from the content when `auto`.
        timestamps: columns of a CSV file that hold times; meant in UTC where they have no offset.

    Raises:
        ComponentError: the content is not in that format, or a column holds no times.
    """
    found = form if form != "auto" else detect_format(path)
    try:
        if found == "parquet":
            return pd.read_parquet(path), found
        table = pd.read_csv(path, compression="infer")
    except Exception as error:  # pyarrow's and pandas' own
        raise ComponentError(f"not readable as {found}: {error}", where=path.name, hint="set the format") from error
    for column in timestamps:
        require(table, [column], path.name)
        table[column] = series_in_utc(table[column])
    return table, found


def within(table: pd.DataFrame, timestamp: str, interval: Interval) -> pd.DataFrame:
    """The rows of an interval; rows without a time are in none.

    Args:
        timestamp: column with each row's time; times without a zone are meant in UTC.

    Raises:
        ComponentError: no such column, or it holds no times.
    """
    require(table, [timestamp], "data")
    if not pd.api.types.is_datetime64_any_dtype(table[timestamp]):
        raise ComponentError(f"column '{timestamp}' is not a time", where="data", hint="name it in timestamps")
    times = series_in_utc(table[timestamp])
    chosen = times.notna()
    if interval.since:
        chosen &= times.ge(pd.Timestamp(interval.since))
    if interval.until:
        chosen &= times.lt(pd.Timestamp(interval.until))
    rows: pd.DataFrame = table[chosen]
    return rows


def detect_format(path: Path) -> str:
    """`parquet` or `csv`, by the first bytes, not by the name."""
    if path.is_dir():
        return "parquet"
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_PARQUET_MAGIC):
        return "parquet"
    if b"\0" in start and path.suffix not in (".gz", ".zip", ".bz2", ".xz", ".zst"):
        raise ComponentError("neither Parquet nor CSV", where=path.name, hint="convert it to Parquet")
    return "csv"


def write_table(table: pd.DataFrame, path: str) -> dict[str, Any]:
    """Write a table as Parquet; what its artifact's metadata says of it."""
    table.to_parquet(path, index=False)
    return {"format": "parquet", "rows": len(table), "schema": {name: str(kind) for name, kind in table.dtypes.items()}}


def lineage(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an artifact's metadata that its descendants keep: where the data came from."""
    return {key: metadata[key] for key in _LINEAGE if metadata.get(key)}


def require_interval(metadata: Mapping[str, Any], needed: Interval) -> None:
    """Raise ComponentError where an artifact's metadata says that it has only the rows of another interval."""
    recorded: Mapping[str, str] = metadata.get("interval") or {}
    bounds = {name: datetime.datetime.fromisoformat(text) for name, text in recorded.items()}
    if not (kept := Interval(**bounds)).covers(needed):
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
