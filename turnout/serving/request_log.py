"""Requests and predictions, kept as Parquet: what `monitor` reads for drift, and what labels are joined to later.

Files stand in a directory a day, `date=YYYY-MM-DD`, in UTC. Each appears whole, by a rename, and is never changed: a
reader sees no half of one at any moment. A row is there once, unless the process is killed before it is written.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import sys
import threading
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked

FILE_ROWS = 20_000
"""At which a file is written before its time."""

MOST_ROWS, MOST_VALUES = 100_000, 4_000_000
"""That wait to be written, in memory; while the disk is full each further row is dropped."""

_LEFT_AFTER_S = 600
"""Age of an unfinished file at which the process that wrote it is gone."""

_OWN: dict[str, pa.DataType] = {
    "request_id": pa.string(),
    "row": pa.int32(),
    "time": pa.timestamp("us", "UTC"),
    "version": pa.string(),
    "latency_ms": pa.float64(),
    "fallback": pa.string(),
}
"""The log's own columns: `row` is the place in the request, `fallback` what stood in for the model, or nothing."""


_FAILED = pa.schema(
    {"request_id": pa.string(), "time": pa.timestamp("us", "UTC"), "version": pa.string(), "code": pa.int32()}
)


@dataclass(frozen=True)
class _Record:
    request_id: str
    time: float
    latency_ms: float
    asked: Asked
    answer: Answer

    @property
    def rows(self) -> int:
        return 1 if self.asked.batch is None else int(self.asked.batch.num_rows)


class RequestLog:
    """A log of one worker: requests are put into memory, and a thread writes them.

    Args:
        directory: of the days' directories.
        name: of this worker's files; a number follows.
        inputs: names and types of the model's columns, in their order.
        outputs: names and types of its predictions.
        masked: columns that are not kept.
        sample: the share of the requests that is kept. It is drawn by the request's id, so that another version, which
            is shown the same requests, keeps the same.
        flush_s: seconds after which a row is written, at the latest.
        count: is told outcomes (`kept`, `dropped`) and their rows, and `errors` of the disk.
        failures: of the days' directories of what could not be answered: of copies that a shadow gets nobody else
            knows. None to keep nothing of it.
    """

    def __init__(
        self,
        directory: str | Path,
        name: str,
        inputs: pa.Schema,
        outputs: Mapping[str, pa.DataType],
        *,
        masked: Collection[str] = (),
        sample: float = 1.0,
        flush_s: float = 60.0,
        count: Callable[[str, int], None] = lambda outcome, rows: None,
        failures: Path | None = None,
    ):
        self._directory = Path(directory)
        self._name = f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
        self._kept = [(index, field) for index, field in enumerate(inputs) if field.name not in masked]
        self._outputs = dict(outputs)
        prefix = prefix_of(inputs.names, outputs)
        own = [pa.field(prefix + name, kind) for name, kind in {**_OWN, **outputs}.items()]
        self.schema = pa.schema([*own, *(field for _, field in self._kept)])
        self._most_rows = min(MOST_ROWS, MOST_VALUES // len(self.schema))
        self._below, self._flush_s, self._count = sample * 2**32, flush_s, count
        self._records: list[_Record] = []
        self._failures = failures
        self._failed_requests: list[tuple[str, float, str, int]] = []
        self._rows = self._number = 0
        self._unwritten: dict[datetime.date, pa.Table] = {}
        self._lock, self._wake, self._ended = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._rows

    def add(self, request_id: str, time: float, latency_ms: float, asked: Asked, answer: Answer) -> None:
        """Keep a request, if it is in the sample.

        Args:
            time: when it came, in seconds since 1970.
        """
        if self._below < 2**32 and zlib.crc32(request_id.encode()) >= self._below:
            return
        record = _Record(request_id, time, latency_ms, asked, answer)
        with self._lock:
            if self._rows + record.rows > self._most_rows:
                self._count("dropped", record.rows)
                return
            self._records.append(record)
            self._rows += record.rows
        if self._rows >= min(FILE_ROWS, self._most_rows // 2):
            self._wake.set()

    def fail(self, request_id: str, time: float, version: str, code: int) -> None:
        """Keep that a request was not answered, if it is in the sample."""
        if self._failures is None or (self._below < 2**32 and zlib.crc32(request_id.encode()) >= self._below):
            return
        with self._lock:
            if len(self._failed_requests) < MOST_ROWS:
                self._failed_requests.append((request_id, time, version, code))

    def close(self, timeout: float = 10.0) -> None:
        """Write what is left, and end."""
        self._ended = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        self._remove_left()
        while not self._ended:
            self._wake.wait(self._flush_s)
            self._wake.clear()
            self._write()
            if self._unwritten and not self._ended:  # of a full disk, also when many rows come
                time.sleep(min(1.0, self._flush_s))
        self._write()

    def _write(self) -> None:
        with self._lock:
            records, self._records = self._records, []
        try:
            self._sort_in(records)
        except Exception as error:  # a constant or a model that gives other types than it did
            self._failed(error)
            self._written("dropped", sum(record.rows for record in records))
        self._write_failures()
        for day, table in list(self._unwritten.items()):
            try:
                self._file(self._directory, day, table)
            except (OSError, pa.ArrowException) as error:
                self._failed(error)
            else:
                del self._unwritten[day]
                self._written("kept", table.num_rows)

    def _sort_in(self, records: list[_Record]) -> None:
        days: dict[datetime.date, list[_Record]] = {}
        for record in records:
            days.setdefault(datetime.datetime.fromtimestamp(record.time, datetime.UTC).date(), []).append(record)
        for day, found in days.items():
            single = [record for record in found if record.asked.batch is None]
            tables = [self._table([record], record.asked.batch) for record in found if record.asked.batch is not None]
            tables += [self._table(single, None)] if single else []
            known = [self._unwritten[day]] if day in self._unwritten else []
            self._unwritten[day] = pa.concat_tables([*known, *tables])

    def _table(self, records: list[_Record], batch: pa.RecordBatch | None) -> pa.Table:
        """Records of one row each, or the one record of a batch."""
        own: list[list[Any]] = [
            [record.request_id for record in records],
            [0] * len(records),
            [int(record.time * 1e6) for record in records],
            [record.answer.version for record in records],
            [record.latency_ms for record in records],
            [record.answer.fallback or None for record in records],
        ]
        columns: list[Any] = list(own)
        if batch is not None:
            kinds = self.schema.types
            columns = [
                pa.repeat(pa.scalar(values[0], kind), batch.num_rows)
                for values, kind in zip(own, kinds[: len(own)], strict=True)
            ]
            columns[1] = pa.array(range(batch.num_rows), kinds[1])
        for name in self._outputs:
            values = [value for record in records for value in record.answer.predictions[name]]
            columns.append([list(value.items()) if isinstance(value, dict) else value for value in values])
        for index, _ in self._kept:
            if batch is not None:
                columns.append(batch.column(index))
            else:
                columns.append([record.asked.values[index] for record in records if record.asked.values is not None])
        arrays = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for column, field in zip(columns, self.schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _write_failures(self) -> None:
        with self._lock:
            failed, self._failed_requests = self._failed_requests, []
        if not failed or self._failures is None:
            return
        columns = [list(column) for column in zip(*failed, strict=True)]
        columns[1] = [int(second * 1e6) for second in columns[1]]
        table = pa.table(dict(zip(_FAILED.names, columns, strict=True)), _FAILED)
        day = datetime.datetime.fromtimestamp(failed[-1][1], datetime.UTC).date()
        try:
            self._file(self._failures, day, table)
        except (OSError, pa.ArrowException) as error:
            self._failed(error)

    def _file(self, place: Path, day: datetime.date, table: pa.Table) -> None:
        """Write a file of a day, so that nobody sees it before it is whole."""
        directory = place / f"date={day.isoformat()}"
        directory.mkdir(parents=True, exist_ok=True)
        self._number += 1
        target = directory / f"{self._name}-{self._number:06d}.parquet"
        part = directory / f".{target.name}.part"
        try:
            pq.write_table(table, part, compression="zstd", compression_level=1)
            part.rename(target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def _written(self, outcome: str, rows: int) -> None:
        with self._lock:
            self._rows -= rows
        self._count(outcome, rows)

    def _failed(self, error: Exception) -> None:
        self._count("errors", 1)
        with contextlib.suppress(OSError):  # the disk may be standard error's too
            print(f"the request log cannot be written: {error}", file=sys.stderr, flush=True)

    def _remove_left(self) -> None:
        """Remove what a worker that was killed has left unfinished."""
        for part in self._directory.glob("date=*/.*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > _LEFT_AFTER_S:
                    part.unlink()


def prefix_of(inputs: Collection[str], outputs: Collection[str]) -> str:
    """What stands before the names of the log's own columns: nothing, unless the model has a column of such a name."""
    prefix, taken = "", {name.lower() for name in inputs}
    while any((prefix + name).lower() in taken for name in (*_OWN, *outputs)):
        prefix += "served_"
    return prefix
