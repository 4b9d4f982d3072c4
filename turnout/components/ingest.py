"""Bring a dataset into a run."""

from typing import Literal

from turnout import Asset, Dataset, Output, component
from turnout.data import outside


@component(outside=outside.data_revision, reads=[Asset("{source}")])
def ingest(
    source: str,
    data: Output[Dataset],
    revision: str = "",
    format: Literal["auto", "parquet", "csv"] = "auto",
    timestamps: list[str] = [],
    timestamp: str = "event_timestamp",
    since: str = "",
    until: str = "",
    timezone: str = "UTC",
    allow_empty: bool = False,
    separator: str = "",
    decimal: Literal["auto", ".", ","] = "auto",
    encoding: str = "",
) -> None:
    """Read a table from where it is kept, and record exactly what was read.

    The artifact's metadata holds the source and its revision, the digest of the source's bytes, the
    number of rows and the schema; of an interval also its bounds, and the newest time in the source.

    Args:
        source: a path or URI (file, s3, gs, http) of a file, compressed or not, or a directory of Parquet files, of
            which later ones may have more columns; with a revision, a path in the DVC repository here, or
            REPOSITORY#PATH.
        data: the table, as Parquet.
        revision: a git revision (commit, tag, branch) of the DVC repository to take the data from;
            empty for the data as it is now.
        format: the source's format; found from its content when auto.
        timestamps: columns that hold times, as texts or dates; without an offset they are meant in UTC.
        timestamp: column with each row's time, for an interval; without a zone it is meant in UTC. Empty for a table
            without times, whose rows all belong to any interval.
        since: only rows from this time on, ISO 8601; empty for all.
        until: only rows before this time; empty for all.
        timezone: IANA name of the zone in which `since` and `until` are meant if they have no offset.
        allow_empty: go on with no rows, for a step that has something to say of that.
        separator: what separates the values of a CSV source, such as `;`, or `tab`; found from its rows when empty.
        decimal: what stands before the fraction of a CSV source's numbers; found from its columns when auto.
        encoding: of a CSV source, such as latin-1 or cp1252; UTF-8, or what the file's mark says, when empty.
    """
    given = dict(locals())
    import tempfile
    from pathlib import Path

    from turnout import ComponentError
    from turnout.data.delimited import Dialect
    from turnout.data.digest import content_digest
    from turnout.data.fetching import fetch
    from turnout.data.recipe import MADE_BY, made_by
    from turnout.data.tables import newest, no_rows, read_table, within, write_table
    from turnout.data.times import ALWAYS, interval

    chosen = interval(since, until, timezone)
    if chosen.bounded and not timestamp:
        print(f"the table has no times: all rows are read, whatever the interval ({chosen})")
        chosen = ALWAYS
    with tempfile.TemporaryDirectory() as directory:
        fetched = fetch(source, revision, Path(directory))
        table, found, notes = read_table(fetched.path, format, timestamps, Dialect(separator, decimal, encoding))
        if chosen.bounded:
            everything, table = table, within(table, timestamp, chosen)
            if last := newest(everything, timestamp):
                data.metadata["newest"] = last.isoformat()
        data.metadata.update(chosen.to_metadata())
        if not len(table) and not allow_empty:
            what, hint = no_rows(data.metadata)
            raise ComponentError(what, where=source, hint=f"{hint}; allow_empty goes on without rows")
        digest = content_digest(fetched.path)
    data.metadata.update(write_table(table, data.path))
    read = {"source": {"digest": digest, "revision": fetched.revision}}
    data.metadata[MADE_BY] = made_by("turnout.components.ingest:ingest", given, output="data", read=read)
    data.metadata.update(source=source, source_format=found, revision=fetched.revision, data_digest=digest)
    print(f"{len(table):,} rows and {table.num_columns} columns from {source} ({found}, {digest[:19]})")
    print(*notes, sep="\n", end="\n" if notes else "")
