"""The table of predictions: a Delta table, whose partitions are replaced whole and all at once.

Scoring writes Parquet files beside those of the table; nobody sees them until one commit to the table's log names
them, and drops what its dates held before. So readers have the old rows or the new, and a rerun doubles none.

Source: the Delta transaction log protocol; `deltalake` writes it, without Spark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from upath import UPath

from turnout.data.parquet import open_table
from turnout.errors import ComponentError

DATE = "date"
"""The column that the table is partitioned by: the day of the row's time; behind the prefix of its columns' names."""

_ALL = ("*",)

RETRIES = 1_000
"""How often a commit is tried again because runs of other dates were faster; a backfill has many that end at once."""


@dataclass(frozen=True)
class Part:
    """A file that scoring wrote.

    Attributes:
        table: URI of the table that it is for.
        path: within the table.
        rows, size: how many, in bytes.
        modified: milliseconds since 1970.
    """

    table: str
    path: str
    date: str
    rows: int
    size: int
    modified: int


def prepare(table: str, schema: pa.Schema) -> Any:
    """The table as it is before the work begins; made when it does not exist.

    Args:
        table: path or URI.
        schema: of the rows; the date, by which the table is partitioned, is the last.

    Raises:
        ComponentError: it has other columns, or cannot be written.
    """
    from deltalake.exceptions import DeltaError

    try:
        found = _opened(table, schema)
        existing = pa.schema(found.schema().to_arrow())
    except (DeltaError, OSError) as error:
        hint = "give the path or URI of a Delta table, or of a new directory; check the credentials in the environment"
        raise ComponentError(f"the table cannot be opened: {error}", where=table, hint=hint) from error
    if found.metadata().partition_columns != schema.names[-1:]:
        by, hint = ", ".join(found.metadata().partition_columns) or "nothing", "write to another table"
        what = f"the table is partitioned by {by}, and not by {schema.names[-1]}"
        raise ComponentError(what, where=table, hint=hint)
    if _plain(existing) != _plain(schema):
        raise ComponentError(
            "the table has other columns than this model's predictions",
            where=table,
            available=[f"{field.name}: {field.type}" for field in existing],
            hint=f"write {', '.join(f'{field.name}: {field.type}' for field in schema)} to another table",
        )
    return found


def _opened(table: str, schema: pa.Schema) -> Any:
    """The table; of several runs that find none, one makes it, and the others open that one.

    A creation may not try again: it would be a second version, which changes the table for those who have it open.
    """
    from deltalake import CommitProperties, DeltaTable, Schema
    from deltalake.exceptions import DeltaError

    once = CommitProperties(max_commit_retries=0)
    fields = Schema.from_arrow(schema)
    try:
        return DeltaTable.create(table, fields, mode="ignore", partition_by=[schema.names[-1]], commit_properties=once)
    except DeltaError:
        if DeltaTable.is_deltatable(table):
            return DeltaTable(table)
        raise


def replace(prepared: Any, parts: Iterable[Part], dates: Sequence[str] | None, properties: Mapping[str, str]) -> int:
    """Make files the content of the table's partitions of some dates, at once; the table's new version.

    Each date is held by a transaction id: of two runs of one date that began from the same version, the later fails,
    also when the date had no rows before.

    Args:
        prepared: the table as `prepare` gave it, before the work began.
        parts: files under the table's directory.
        dates: whose partitions are replaced; one without files becomes empty. None for all that the table has.
        properties: kept with the commit, for who asks the table's history.

    Raises:
        ComponentError: somebody replaced the same dates meanwhile, or the table cannot be written.
    """
    holds = {f"{DATE}={date}": int(prepared.version()) for date in (_ALL if dates is None else dates)}
    replaced = [] if dates is None else [(_date_column(prepared), "in", list(dates))]
    return _commit(prepared, parts, properties, holds, "dates", replaced)


def append(prepared: Any, parts: Iterable[Part], stream: str, batch: int, properties: Mapping[str, str]) -> int:
    """Add files to the table, once for each batch of a stream; the table's new version.

    Args:
        prepared: the table as it was when `appended` said that it lacks the batch.
        stream, batch: the stream's own id, and the number of its batch; kept in the table by the same commit.

    Raises:
        ComponentError: somebody else added the batch meanwhile, or the table cannot be written.
    """
    return _commit(prepared, parts, properties, {stream: batch}, "batch")


def appended(prepared: Any, stream: str, batch: int) -> bool:
    """Whether the table, as it is now, has a batch of a stream."""
    prepared.update_incremental()
    last = prepared.transaction_version(stream)
    return last is not None and last >= batch


def _commit(
    prepared: Any,
    parts: Iterable[Part],
    properties: Mapping[str, str],
    holds: Mapping[str, int],
    what: str,
    replaced: list[Any] | None = None,
) -> int:
    """Add files and replace partitions in one commit, unless somebody else committed one of the transaction ids.

    `replaced` says which partitions, all when it is empty; None adds files only.

    delta-rs takes every commit for a reader of the whole table: it refuses one if any row was replaced meanwhile, of
    whichever date. So a commit that is refused is tried again from the table as it is now, if nobody has its ids.
    """
    from deltalake import CommitProperties, Transaction
    from deltalake.exceptions import CommitFailedError, DeltaError
    from deltalake.transaction import AddAction

    date = _date_column(prepared)
    actions = [
        AddAction(part.path, part.size, {date: part.date}, part.modified, True, json.dumps({"numRecords": part.rows}))
        for part in parts
    ]
    ids = [Transaction(name, number) for name, number in holds.items()]
    before = [prepared.transaction_version(name) for name in holds]
    while True:
        try:
            prepared.create_write_transaction(
                actions,
                "append" if replaced is None else "overwrite",
                prepared.schema(),
                partition_by=[date],
                partition_filters=replaced,
                commit_properties=CommitProperties(dict(properties), max_commit_retries=RETRIES, app_transactions=ids),
            )
            prepared.update_incremental()
            return int(prepared.version())
        except CommitFailedError as error:
            version = prepared.version()
            prepared.update_incremental()
            if prepared.version() == version or [prepared.transaction_version(name) for name in holds] != before:
                hint = f"run the step again: it writes the {what} once"
                raise ComponentError(f"another run wrote the same {what} meanwhile: {error}",
                                     where=prepared.table_uri, hint=hint) from error  # fmt: skip
        except (DeltaError, OSError) as error:
            hint = "check space and permissions there, and run the step again: the table is as it was before"
            raise ComponentError(
                f"the table cannot be written: {error}", where=prepared.table_uri, hint=hint
            ) from error


def read(table: str, dates: Sequence[str] = (), columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a table as it is now, all or those of some dates.

    Args:
        table: path or URI of a Delta table, or of a directory of Parquet with a directory a day, such as a server's log
            of requests.
    """
    from deltalake import DeltaTable

    if files := _by_day(table):
        day = pc.field(DATE).cast(pa.string())
        return files.to_table(list(columns) if columns else None, filter=day.isin(list(dates)) if dates else None)
    found = DeltaTable(table)
    chosen: Any = [(_date_column(found), "in", list(dates))] if dates else None
    return found.to_pyarrow_table(filters=chosen, columns=list(columns) if columns else None)


def latest(table: str, dates: Sequence[str] = ()) -> list[str]:
    """Those of some dates of which a table has rows; where there is none, the last before them, or of all."""
    from deltalake import DeltaTable

    if _by_day(table):
        known = sorted(path.name.partition("=")[2] for path in UPath(table).glob(f"{DATE}=*"))
    else:
        found = DeltaTable(table)
        known = sorted(str(item[_date_column(found)]) for item in found.partitions())
    before = [date for date in known if not dates or date < min(dates)]
    return [date for date in known if date in dates] or before[-1:]


def _by_day(table: str) -> ds.Dataset | None:
    """A directory of Parquet with a directory a day; None for what is none, or a Delta table."""
    path = UPath(table)
    if not path.is_dir() or (path / "_delta_log").is_dir() or not any(path.glob(f"{DATE}=*")):
        return None
    return open_table(table)[0]


def _date_column(found: Any) -> str:
    return str(found.metadata().partition_columns[0])


def remove(parts: Iterable[Part]) -> None:
    """Remove files that no commit has named."""
    for part in parts:
        UPath(part.table, part.path).unlink(missing_ok=True)


def _plain(schema: pa.Schema) -> list[tuple[str, str]]:
    """Names and types, without the difference of long and short texts."""
    return [(field.name, str(field.type).replace("large_", "").replace("_view", "")) for field in schema]
