"""What a worker does, whichever engine it belongs to: read a piece of the input, score it, write a file.

Only the names of pieces and of files travel between workers and the one that leads them; rows never do.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from turnout.data.parquet import Piece, open_piece
from turnout.data.times import ALWAYS, Interval, array_in_utc, within
from turnout.errors import ComponentError
from turnout.inference.table import DATE, Part
from turnout.models.compiled.keeping import fetch
from turnout.models.compiled.opening import AnyScorer, open_scorer
from turnout.models.predicted import lacking
from turnout.models.registry import ModelVersion

BATCH_ROWS = 65_536
_MOST_FAILURES = 1_000
"""Rows of one batch that are looked at one by one; more of them is no accident of single rows."""


Schemas = tuple[pa.Schema, pa.Schema]
"""Columns of the predictions, and of the quarantine."""


@dataclass(frozen=True)
class Job:
    """What is to be scored, and where to.

    Attributes:
        model_directory: the model's files, on the worker's machine.
        table, quarantine: URIs of the tables for predictions, and for rows that failed; no quarantine when empty.
        keys: columns that are passed on, such as an identifier.
        timestamp: column with each row's time; without a zone it is meant in UTC. Empty when the rows have none.
        timezone: IANA name of the zone whose days the table is partitioned by.
        run_id: of the run that predicts.
        predicted_at: ISO 8601 in UTC.
        interval: whose rows are scored; all rows if it has no bounds.
        date: the day of rows that have no times; the one on which they are predicted when empty.
        prefix: before the name of each column that is no column of the input.
    """

    model: ModelVersion
    model_directory: str
    table: str
    quarantine: str
    keys: tuple[str, ...]
    timestamp: str
    timezone: str
    run_id: str
    predicted_at: str
    interval: Interval = ALWAYS
    date: str = ""
    prefix: str = ""

    @property
    def passed(self) -> list[str]:
        """The columns that are passed on, each once; the time is the last."""
        names = dict.fromkeys(name for name in self.keys if name != self.timestamp)
        return [*names, *([self.timestamp] if self.timestamp else [])]


def absolute(place: str) -> str:
    """A path from the root of this machine, whatever the worker's directory is; URIs are left as they are."""
    path = UPath(place)
    return str(Path(path.path).absolute()) if path.protocol in ("", "file", "local") else place


@contextlib.contextmanager
def open_job(
    version: ModelVersion,
    *,
    table: str,
    quarantine: str,
    keys: Sequence[str],
    timestamp: str,
    timezone: str,
    interval: Interval = ALWAYS,
    date: str = "",
    prefix: str = "",
) -> Iterator[Job]:
    """A job of this run, from now, with the model's files on this machine for as long as it is open.

    Args:
        table, quarantine: paths or URIs of the tables for predictions, and for rows that failed; no quarantine when
            empty.
        keys, timestamp, timezone, interval, date, prefix: as in `Job`.

    Raises:
        ComponentError: the model's files cannot be had.
    """
    with tempfile.TemporaryDirectory() as directory:
        yield Job(
            model=version,
            model_directory=str(fetch(version, directory)),
            table=absolute(table),
            quarantine=absolute(quarantine) if quarantine else "",
            keys=tuple(keys),
            timestamp=timestamp,
            timezone=timezone,
            run_id=os.environ.get("TURNOUT_RUN_ID", ""),
            predicted_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            interval=interval,
            date=date,
            prefix=prefix,
        )


def output_schemas(job: Job, schema: pa.Schema, scorer: AnyScorer) -> Schemas:
    """The columns of the predictions and of the quarantine: those passed on, those predicted, those that tell why.

    Raises:
        ComponentError: a column that is passed on has the name of another, or the model does not work.
    """
    time = pa.timestamp("us", "UTC")
    passed = [
        pa.field(name, time if name == job.timestamp else _plain_type(schema.field(name).type)) for name in job.passed
    ]
    run_fields = [
        pa.field(name, pa.string()) for name in ("model", "model_version", "run_id")
    ] + [pa.field("predicted_at", time), pa.field(DATE, pa.date32())]  # fmt: skip
    empty = pa.RecordBatch.from_arrays(
        [pa.array([_any(column.kind)], column.arrow) for column in scorer.columns], names=scorer.names
    )
    try:
        predicted = [pa.field(name, _plain_type(array.type)) for name, array in scorer(empty).items()]
    except Exception as error:
        what = f"the model fails on a row of zeros and blanks: {error}"
        hint = "try model.predict on such a row where it was trained; it tells the types of the predictions"
        raise ComponentError(what, where=job.model.uri, hint=hint) from error
    added = [[*predicted, *run_fields], [pa.field("reason", pa.string()), *run_fields]]
    named = [[field.with_name(job.prefix + field.name) for field in fields] for fields in added]
    _check_names(job, {field.name: None for fields in named for field in fields})
    return pa.schema([*passed, *named[0]]), pa.schema([*passed, *named[1]])


def _check_names(job: Job, added: Iterable[str]) -> None:
    """Raise ComponentError unless columns that are passed on, and those that are added, have names of their own."""
    reserved = {name.lower(): name for name in added}  # Delta takes names that differ by case for the same
    if clashing := [name for name in job.passed if name.lower() in reserved]:
        hint = "set a prefix for the columns that are added, such as prefix=scored_; or pass on other columns"
        what = f"columns that are passed on are named as those that predict adds: {', '.join(clashing)}"
        raise ComponentError(what, where="keys, timestamp", available=list(reserved.values()), hint=hint)


@functools.lru_cache(maxsize=1)
def load_scorer(directory: str) -> AnyScorer:
    """The model or its compiled form, loaded once in a process."""
    return open_scorer(directory)


def score_piece(job: Job, schemas: Schemas, piece: Piece) -> list[Part]:
    """Score a piece of the input into files of the tables, which no commit names yet.

    Raises:
        ComponentError: rows fail, and there is no quarantine for them.
    """
    scorer = load_scorer(job.model_directory)
    fragment = open_piece(piece)
    schema = fragment.physical_schema
    batches = fragment.scanner(
        columns=columns_read(job, scorer), filter=within(job.interval, schema, job.timestamp), batch_size=BATCH_ROWS,
        batch_readahead=2, use_threads=False,
    ).to_batches()  # fmt: skip
    return score_batches(job, batches, schemas, piece.uri)


def columns_read(job: Job, scorer: AnyScorer) -> list[str]:
    """The columns of the input that are needed, each once."""
    return list(dict.fromkeys([*scorer.names, *job.passed]))


def score_batches(job: Job, batches: Iterable[pa.RecordBatch], schemas: Schemas, where: str) -> list[Part]:
    """Score batches of rows into files of the tables, which no commit names yet.

    Args:
        where: what the batches are of, for errors.

    Raises:
        ComponentError: rows fail, and there is no quarantine for them.
    """
    scorer = load_scorer(job.model_directory)
    predictions, quarantine = schemas
    with _Writer(job) as writer:
        for batch in batches:
            if not batch.num_rows:
                continue
            found, failures = _score(scorer, batch, job.timestamp)
            if failures and not job.quarantine:
                raise ComponentError(_why(job, batch, failures), where=where, hint="set a quarantine to go on")
            bad = pa.array([index for index, _ in failures], pa.int64())
            good = pc.invert(pc.is_in(pa.array(range(batch.num_rows), pa.int64()), bad)) if failures else None
            rows = batch.filter(good) if good is not None else batch
            writer.write(job.table, predictions, rows, found)
            if failures:
                reasons = {"reason": pa.array([reason for _, reason in failures])}
                writer.write(job.quarantine, quarantine, batch.take(bad), reasons)
    return writer.parts


# --- rows that fail -----------------------------------------------------------------------------------------

Failures = list[tuple[int, str]]


def _score(scorer: AnyScorer, batch: pa.RecordBatch, timestamp: str) -> tuple[dict[str, pa.Array], Failures]:
    """Predictions for the rows that have one, and the index and reason of each that has none."""
    found: list[dict[str, pa.Array]] = []
    failures: Failures = []
    if timestamp and batch[timestamp].null_count:  # in a stream; an interval's rows have a time
        timed = pc.is_valid(batch[timestamp])
        places = pc.indices_nonzero(timed).to_pylist()
        found_here, failed = _score(scorer, batch.filter(timed), timestamp)
        timeless = pc.indices_nonzero(pc.invert(timed)).to_pylist()
        failures += [(places[index], reason) for index, reason in failed]
        failures += [(index, "the row has no time") for index in timeless]
        return found_here, sorted(failures)

    def score(start: int, count: int) -> None:
        part = batch.slice(start, count)
        try:
            predicted = scorer(part)
            if any(len(array) != count for array in predicted.values()):
                raise ComponentError(f"the model gave another number of predictions than {count}")
        except Exception as error:  # a model may raise anything
            if count == 1:
                own = isinstance(error, ComponentError)
                reason = str(error).partition("\n")[0] if own else f"{type(error).__name__}: {error}"
                failures.append((start, reason[:500]))
                if len(failures) > _MOST_FAILURES:
                    hint = "does the data fit the model? One such row is enough to try it"
                    raise ComponentError(f"the model fails on too many rows: {failures[0][1]}", hint=hint) from error
                return
            score(start, count // 2)
            score(start + count // 2, count - count // 2)
            return
        lacking = _lacking(predicted)
        if lacking is not None:
            failures.extend((start + int(index), "the model gives no prediction") for index in lacking.to_pylist())
            keep = pc.invert(pc.is_in(pa.array(range(count), pa.int64()), lacking))
            predicted = {name: array.filter(keep) for name, array in predicted.items()}
        found.append(predicted)

    score(0, batch.num_rows)
    names = found[0] if found else {}
    return {name: pa.concat_arrays([part[name] for part in found]) for name in names}, sorted(failures)


def _lacking(predicted: dict[str, pa.Array]) -> pa.Array | None:
    """Indices of the rows of which some prediction is null or not a number."""
    missing = None
    for array in predicted.values():
        null = lacking(array)
        missing = null if missing is None else pc.or_(missing, null)
    if missing is None or not pc.any(missing).as_py():
        return None
    return pc.indices_nonzero(missing).cast(pa.int64())


def _why(job: Job, batch: pa.RecordBatch, failures: Failures) -> str:
    index, reason = failures[0]
    row = {name: batch[name][index].as_py() for name in job.passed}
    return f"{len(failures)} rows cannot be predicted, the first is {row}: {reason}"


# --- files --------------------------------------------------------------------------------------------------


class _Writer:
    """Files of a piece: one for each table and date. Those of a piece that fails are removed."""

    def __init__(self, job: Job):
        self.job = job
        self.open: dict[tuple[str, str], tuple[str, Any, pq.ParquetWriter]] = {}
        self.rows: dict[tuple[str, str], int] = {}
        self.parts: list[Part] = []

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        for (table, date), (path, file, writer) in self.open.items():
            writer.close()
            size = file.tell()
            file.close()
            part = Part(table, path, date, self.rows[table, date], size, int(time.time() * 1000))
            if kind is None:
                self.parts.append(part)
            else:
                with contextlib.suppress(OSError):
                    UPath(table, path).unlink()

    def write(self, table: str, schema: pa.Schema, rows: pa.RecordBatch, more: dict[str, pa.Array]) -> None:
        """Write rows with further columns of theirs, each to the file of its date."""
        count = rows.num_rows
        if not count:
            return
        job = self.job
        run_values = {"model": job.model.name, "model_version": job.model.version, "run_id": job.run_id}
        run_values = {job.prefix + name: value for name, value in run_values.items()}
        arrays: dict[str, pa.Array] = {name: rows[name] for name in job.passed}
        arrays |= {job.prefix + name: array for name, array in more.items()}
        same = pa.repeat(pa.scalar(0, pa.int32()), count)
        arrays |= {name: pa.DictionaryArray.from_arrays(same, [value]) for name, value in run_values.items()}
        predicted_at = pa.repeat(pa.scalar(job.predicted_at).cast(pa.timestamp("us", "UTC")), count)
        arrays[job.prefix + "predicted_at"] = predicted_at
        if job.timestamp:
            arrays[job.timestamp] = array_in_utc(rows[job.timestamp])
        names = [name for name in schema.names if name != job.prefix + DATE]
        kinds = [arrays[name].type if name in run_values else schema.field(name).type for name in names]
        written = pa.schema(zip(names, kinds, strict=True))
        batch = pa.RecordBatch.from_arrays(
            [arrays[name].cast(kind) for name, kind in zip(names, kinds, strict=True)], schema=written
        )
        if job.date:
            self._add((table, job.date), batch)
            return
        # In the quarantine there may be rows without a time.
        known = pc.coalesce(arrays[job.timestamp], predicted_at) if job.timestamp else predicted_at
        dates = pc.local_timestamp(known.cast(pa.timestamp("us", job.timezone))).cast(pa.date32())
        for date in pc.unique(dates):
            chosen = pc.equal(dates, date)
            part = batch if pc.all(chosen).as_py() else batch.filter(chosen)
            self._add((table, date.as_py().isoformat()), part)

    def _add(self, key: tuple[str, str], rows: pa.RecordBatch) -> None:
        self._writer(key, rows.schema).write_batch(rows)
        self.rows[key] = self.rows.get(key, 0) + rows.num_rows

    def _writer(self, key: tuple[str, str], schema: pa.Schema) -> pq.ParquetWriter:
        if key not in self.open:
            table, date = key
            path = f"{self.job.prefix}{DATE}={date}/part-{uuid.uuid4().hex}.parquet"
            target = UPath(table, path)
            if target.protocol in ("", "file", "local"):
                target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("wb")
            # Identifiers and probabilities hardly repeat: to look for it takes longer than all the rest.
            repeated = [field.name for field in schema if pa.types.is_dictionary(field.type)]
            repeated.append(f"{self.job.prefix}predicted_at")
            writer = pq.ParquetWriter(
                file, schema, compression="zstd", compression_level=1, use_dictionary=repeated,
                write_statistics=[self.job.timestamp] if self.job.timestamp else False, store_schema=False,
            )  # fmt: skip
            self.open[key] = (path, file, writer)
        return self.open[key][2]


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """A type that the table can hold, for one that the data has."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    unsigned = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64()}
    return unsigned.get(kind, kind)


def _any(kind: str) -> Any:
    return {"boolean": False, "string": ""}.get(kind, 0)
