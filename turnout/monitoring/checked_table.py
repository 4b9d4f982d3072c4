"""The table that is checked, wherever it is counted: in this process, a piece at a time, or on Spark."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from turnout.data.parquet import open_table
from turnout.data.times import in_utc
from turnout.engines.spark_session import session
from turnout.errors import ComponentError
from turnout.monitoring.profile import Profile, count_dataset
from turnout.monitoring.spark_counts import count_on_spark


class Current(Protocol):
    """A table of any size."""

    schema: pa.Schema

    def count(self, like: Profile) -> Profile:
        """Its counts, in the cells of another's profile."""

    def sample(self, rows: int, seed: int = 0) -> pd.DataFrame:
        """So many of its rows, or all, drawn at random; in the table's order."""

    def span(self, timestamp: str) -> tuple[datetime.datetime, datetime.datetime] | None:
        """The first and the last time in a column, in UTC; None when there is none."""

    def repeated(self, keys: Sequence[str]) -> int:
        """How many rows have the keys of another, the first of each not counted."""


@contextlib.contextmanager
def current(uri: str, engine: str = "arrow", master: str = "", settings: Mapping[str, str] = {}) -> Iterator[Current]:
    """A table of Parquet.

    Args:
        uri: path or URI of a file, or of a directory of them.
        engine: `arrow` or `spark`.
        master, settings: of the Spark session.

    Raises:
        ComponentError: there is none, or Spark cannot be reached.
    """
    if engine == "spark":
        # Otherwise Spark refuses files with times in nanoseconds, such as pandas writes.
        own = {"spark.sql.session.timeZone": "UTC", "spark.sql.legacy.parquet.nanosAsLong": "true"}
        with session(master, {**own, **settings}) as spark:
            yield SparkTable(uri, spark)
    else:
        yield ArrowTable(open_table(uri)[0])


class ArrowTable:
    """A table that this process reads."""

    def __init__(self, dataset: ds.Dataset):
        self._dataset = dataset
        self.schema: pa.Schema = dataset.schema

    def count(self, like: Profile) -> Profile:
        return count_dataset(self._dataset, like)

    def sample(self, rows: int, seed: int = 0) -> pd.DataFrame:
        total = self._dataset.count_rows()
        chosen = np.sort(np.random.default_rng(seed).choice(total, min(rows, total), replace=False))
        table: pd.DataFrame = self._dataset.take(pa.array(chosen)).to_pandas()
        return table

    def span(self, timestamp: str) -> tuple[datetime.datetime, datetime.datetime] | None:
        ends = [pc.min_max(batch[0]).as_py() for batch in self._dataset.to_batches(columns=[timestamp])]
        found = [end for end in ends if end["min"] is not None]
        return _in_utc(min(end["min"] for end in found), max(end["max"] for end in found)) if found else None

    def repeated(self, keys: Sequence[str]) -> int:
        rows = self._dataset.to_table(columns=list(keys))
        return int(rows.num_rows - rows.group_by(list(keys)).aggregate([]).num_rows)


class SparkTable:
    """A table that Spark's workers read."""

    def __init__(self, uri: str, spark: Any):
        self._uri, self._spark = uri, spark
        self.schema: pa.Schema = open_table(uri)[0].schema

    def count(self, like: Profile) -> Profile:
        return count_on_spark(self._uri, like, self._spark)

    def sample(self, rows: int, seed: int = 0) -> pd.DataFrame:
        found = self._rows()
        total = found.count()
        if total > rows:  # a little more than needed, since each row is drawn by itself, and of those so many
            share = min(1.0, (rows + 5 * rows**0.5) / total)
            found = found.sample(fraction=share, seed=seed)
        table: pd.DataFrame = found.toArrow().to_pandas()
        for name in [str(name) for name in table if self._in_nanoseconds(str(name))]:
            table[name] = pd.to_datetime(table[name], utc=bool(self.schema.field(name).type.tz))
        if len(table) > rows:
            table = table.sample(rows, random_state=seed).sort_index().reset_index(drop=True)
        return table

    def span(self, timestamp: str) -> tuple[datetime.datetime, datetime.datetime] | None:
        from pyspark.sql import functions

        ends = [functions.min(timestamp), functions.max(timestamp)]
        nanoseconds = self._in_nanoseconds(timestamp)
        found = self._rows().agg(*(end if nanoseconds else end.cast("timestamp") for end in ends)).toArrow()
        first, last = (column[0].as_py() for column in found.columns)
        if first is None:
            return None
        return _in_utc(*(pd.Timestamp(end, unit="ns").to_pydatetime() if nanoseconds else end for end in (first, last)))

    def repeated(self, keys: Sequence[str]) -> int:
        rows = self._rows().select(*keys)
        return int(rows.count() - rows.distinct().count())

    def _rows(self) -> Any:
        return self._spark.read.parquet(self._uri)

    def _in_nanoseconds(self, name: str) -> bool:
        kind = self.schema.field(name).type
        return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")


def _in_utc(*ends: Any) -> tuple[datetime.datetime, datetime.datetime]:
    for end in ends:
        if not isinstance(end, datetime.datetime):
            hint = "name a column of times; ingest reads those of a CSV file that are named in timestamps"
            raise ComponentError(f"not a time: {end!r}", where="timestamp", hint=hint)
    first, last = (in_utc(end) for end in ends)
    return first, last
