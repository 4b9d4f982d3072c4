"""A model over the rows of an interval: checked before it starts, counted when it ends, committed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from turnout.data.parquet import Piece, open_table, pieces
from turnout.data.progress import Progress
from turnout.data.times import within
from turnout.errors import ComponentError
from turnout.inference import table
from turnout.inference.job import Job, Schemas, load_scorer, output_schemas
from turnout.inference.table import Part
from turnout.models.signature import check_columns

Engine = Callable[[Job, Sequence[Piece], Schemas], Iterator[list[Part]]]
"""Scores pieces of the input; the files of each, as they are done."""


@dataclass(frozen=True)
class Predicted:
    """What came of the rows of an interval: `rows` is `predicted` and `quarantined` together.

    Attributes:
        outside: rows of the input whose time is not in the interval; they are left alone.
        version: of the table of predictions.
        dates: whose partitions were replaced.
        extra: columns of the input that nobody asked for.
    """

    rows: int
    predicted: int
    quarantined: int
    outside: int
    version: int
    dates: tuple[str, ...]
    extra: tuple[str, ...]


CLUSTER_BYTES = 4 * 1024**3
"""Of Parquet; with less, this machine is done before a cluster's workers have the model."""


def choose_engine(asked: str, master: str, data: str) -> tuple[str, str]:
    """The engine for an input, and why that one.

    Args:
        asked: `arrow`, `spark` or `auto`.
        master: address of a cluster; empty when there is none.
        data: path or URI of the input.
    """
    if asked != "auto":
        return asked, "as asked"
    if not master or master.startswith("local"):
        return "arrow", "since no cluster is configured: one machine is fastest without Spark"
    path = UPath(data)
    files = [path] if path.is_file() else path.glob("**/*.parquet")
    size = sum(file.stat().st_size for file in files)
    reason = f"since the input has {size / 1024**3:.1f} GiB, and from {CLUSTER_BYTES / 1024**3:.0f} a cluster pays"
    return ("spark" if size >= CLUSTER_BYTES else "arrow"), reason


def predict(
    data: str, job: Job, dates: Sequence[str] | None, engine: Engine, quarantine_limit: float = 0.01
) -> Predicted:
    """Score the rows of the job's interval, and make them the content of its dates in the table.

    Args:
        data: path or URI of a Parquet file, or of a directory of them.
        dates: the days of the interval; None to replace whatever the table has.
        quarantine_limit: share of the rows that may fail, where the job has a quarantine.

    Raises:
        ComponentError: the input does not fit the model, rows fail, or what went in and came out does not add up.
    """
    dataset, prefix = open_table(data)
    scorer = load_scorer(job.model_directory)
    extra = check_columns(dataset.schema, scorer.columns, job.passed)
    if job.timestamp and not pa.types.is_timestamp(kind := dataset.schema.field(job.timestamp).type):
        hint = "give it Arrow's type timestamp; ingest does so for the columns named in timestamps"
        raise ComponentError(f"the column of times is {kind}", where=f"data.{job.timestamp}", hint=hint)
    schemas = output_schemas(job, dataset.schema, scorer)
    tables = [(job.table, schemas[0]), *([(job.quarantine, schemas[1])] if job.quarantine else [])]
    prepared = {uri: table.prepare(uri, schema) for uri, schema in tables}
    if job.timestamp and (timeless := dataset.count_rows(filter=pc.field(job.timestamp).is_null())):
        hint = "remove these rows, or give them a time: they belong to no interval"
        raise ComponentError(f"{timeless:,} rows have no time", where=f"data.{job.timestamp}", hint=hint)
    chosen = within(job.interval, dataset.schema, job.timestamp)
    rows = dataset.count_rows(filter=chosen)
    parts: list[Part] = []
    progress = Progress("predicted", rows)
    try:
        for found in engine(job, pieces(dataset, prefix, chosen), schemas):
            parts += found
            progress.add(sum(part.rows for part in found))
        counts = {uri: sum(part.rows for part in parts if part.table == uri) for uri in prepared}
        quarantined = counts.get(job.quarantine, 0)
        if sum(counts.values()) != rows:
            raise ComponentError(
                f"{rows:,} rows went in; {counts[job.table]:,} came out and {quarantined:,} were quarantined",
                where=job.table,
                hint="did the data change meanwhile? Run the step again: the table is as it was before",
            )
        if quarantined > quarantine_limit * rows:
            raise ComponentError(
                f"{quarantined:,} of {rows:,} rows fail, more than {quarantine_limit:.1%}",
                where=data,
                hint=f"the first reason is: {_first_reason(job, parts)}",
            )
        written = {part.date for part in parts}
        if dates is not None and (strangers := written - set(dates)):
            what = f"rows of {min(strangers)} in the interval {dates[0]} to {dates[-1]}"
            hint = f"clocks of {job.timezone} go back over midnight there; predict these two days in one interval"
            raise ComponentError(what, where=data, hint=hint)
    except BaseException:
        table.remove(parts)
        raise
    properties = {"run_id": job.run_id, "model": job.model.uri, "rows": str(rows)}
    versions = {
        uri: table.replace(prepared[uri], [part for part in parts if part.table == uri], dates, properties)
        for uri in reversed(prepared)  # the predictions last: they tell that all is there
    }
    outside = dataset.count_rows() - rows
    replaced = tuple(sorted(written) if dates is None else dates)
    return Predicted(rows, counts[job.table], quarantined, outside, versions[job.table], replaced, tuple(extra))


def _first_reason(job: Job, parts: Sequence[Part]) -> str:
    import pyarrow.parquet as pq
    from upath import UPath

    part = next(part for part in parts if part.table == job.quarantine)
    reason = f"{job.prefix}reason"
    with UPath(part.table, part.path).open("rb") as file:
        return str(pq.ParquetFile(file).read_row_group(0, [reason])[reason][0].as_py())
