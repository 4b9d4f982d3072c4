"""What is kept of a table to compare others with: counts by column, small however large the table.

A number's cells are marked off by quantiles of the reference: each cell is one of these values, or what lies between
two of them, so values that many rows share stay apart. Counts on the same cells add up, and so a table may be counted
in parts, on as many machines as there are.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CELLS = 128
"""Quantiles that mark off a number's cells; more would not find more (`benchmarks/drift_power.py`)."""

MOST_CATEGORIES = 10_000
_SAMPLE = 200_000
"""Rows of which a number's quantiles are taken; all are counted."""

Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Column:
    """Counts of a column.

    Attributes:
        cells: of numbers, the values that mark cells off, ascending; of categories, their names, as texts.
        counts: of numbers, below the first value, at it, between it and the second, ...: twice as many as values, and
            one. Of categories, by name, and last those that are none of them.
        nulls: missing, or not a number.
        low, high: the least and the greatest number; None when there is none.
        singles: categories that occur once, whose share is that of rows with a category never seen before.
    """

    kind: Kind
    cells: tuple[Any, ...]
    counts: tuple[int, ...]
    nulls: int
    low: float | None = None
    high: float | None = None
    singles: int = 0

    @property
    def rows(self) -> int:
        """Those that have a value."""
        return sum(self.counts)


@dataclass(frozen=True)
class Profile:
    """Counts of a table, by column; `rows` in all. Times and nested columns are left out."""

    rows: int
    columns: dict[str, Column]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Profile:
        raw = json.loads(text)
        columns = {
            name: Column(**{**item, "cells": tuple(item["cells"]), "counts": tuple(item["counts"])})
            for name, item in raw["columns"].items()
        }
        return cls(raw["rows"], columns)

    def __or__(self, other: Profile) -> Profile:
        """The columns of both, which need not be of the same rows."""
        return Profile(self.rows, {**self.columns, **other.columns})


def make_profile(table: pa.Table, ignore: Iterable[str] = (), seed: int = 0) -> Profile:
    """The profile of a table that others are to be compared with.

    Args:
        ignore: columns to leave out, such as identifiers.
    """
    left_out = set(ignore)
    grids = {
        name: _grid(table[name], kind, seed)
        for name in table.column_names
        if name not in left_out and (kind := kind_of(table.schema.field(name).type))
    }
    return _count(table, grids)


def count(table: pa.Table | pa.RecordBatch, like: Profile) -> Profile:
    """Count a table, or a part of one, in the cells of another's profile; columns that are not in both are left out."""
    grids = {
        name: column
        for name, column in like.columns.items()
        if name in table.schema.names and kind_of(table.schema.field(name).type) == column.kind
    }
    return _count(table, grids)


def add(parts: Iterable[Profile]) -> Profile:
    """The profile of several parts of a table together, all counted in the same cells."""
    return functools.reduce(_add, parts)


def kind_of(kind: pa.DataType) -> Kind | None:
    """How a column of a type is compared; None for one that is not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if any(test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)):
        return "number"
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_boolean)
    return "category" if any(test(kind) for test in texts) else None


def _grid(values: pa.ChunkedArray, kind: Kind, seed: int) -> Column:
    if kind == "number":
        numbers = _numbers(values)
        if len(numbers) > _SAMPLE:
            numbers = np.random.default_rng(seed).choice(numbers, _SAMPLE, replace=False)
        steps = np.linspace(0, 1, min(CELLS, max(1, len(numbers))))
        marks = np.unique(np.quantile(numbers, steps, method="closest_observation")) if len(numbers) else np.array([])
        return Column("number", tuple(marks.tolist()), (), 0)
    found = pc.value_counts(_texts(values))
    names, counts = found.field("values"), found.field("counts")
    if len(names) > MOST_CATEGORIES:
        top = pc.select_k_unstable(pa.table({"counts": counts}), MOST_CATEGORIES, [("counts", "descending")])
        names = names.take(top)
    return Column("category", tuple(sorted(name for name in names.to_pylist() if name is not None)), (), 0)


def _count(table: pa.Table | pa.RecordBatch, grids: dict[str, Column]) -> Profile:
    return Profile(table.num_rows, {name: _counted(table[name], column) for name, column in grids.items()})


def _counted(values: Any, like: Column) -> Column:
    if like.kind == "number":
        numbers = _numbers(values)
        marks = np.asarray(like.cells, float)
        left = np.searchsorted(marks, numbers, "left")
        at = np.concatenate([marks, [np.nan]])[left] == numbers
        counts = np.bincount(2 * left + at, minlength=2 * len(marks) + 1)
        low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (None, None)
        return Column("number", like.cells, tuple(counts.tolist()), len(values) - len(numbers), low, high)
    found = pc.value_counts(_texts(values))
    names, counts = found.field("values"), found.field("counts").to_numpy(zero_copy_only=False)
    places = pc.index_in(names, value_set=pa.array(like.cells, names.type)).to_numpy(zero_copy_only=False)
    missing = pc.is_null(names).to_numpy(zero_copy_only=False)
    known = ~np.isnan(places.astype(float)) & ~missing
    counted = np.zeros(len(like.cells) + 1, int)
    counted[places[known].astype(int)] = counts[known]
    counted[-1] = counts[~known & ~missing].sum()
    return Column(
        "category",
        like.cells,
        tuple(counted.tolist()),
        int(counts[missing].sum()),
        singles=int((counts[~missing] == 1).sum()),
    )


def _add(one: Profile, other: Profile) -> Profile:
    columns = {}
    for name in one.columns.keys() & other.columns.keys():
        a, b = one.columns[name], other.columns[name]
        lows = [item for item in (a.low, b.low) if item is not None]
        highs = [item for item in (a.high, b.high) if item is not None]
        columns[name] = Column(
            a.kind,
            a.cells,
            tuple(x + y for x, y in zip(a.counts, b.counts, strict=True)),
            a.nulls + b.nulls,
            min(lows, default=None),
            max(highs, default=None),
        )
    ordered = {name: columns[name] for name in one.columns if name in columns}
    return Profile(one.rows + other.rows, ordered)


def _numbers(values: Any) -> np.ndarray[Any, Any]:
    array = values.cast(pa.float64()).drop_null() if values.null_count else values.cast(pa.float64())
    chunked = isinstance(array, pa.ChunkedArray)
    numbers: np.ndarray[Any, Any] = array.to_numpy() if chunked else array.to_numpy(zero_copy_only=False)
    missing = np.isnan(numbers)
    return numbers[~missing] if missing.any() else numbers


def _texts(values: Any) -> Any:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # no chunks at all, or too long for one
        array = pa.concat_arrays(
            [chunk.cast(pa.large_string()) for chunk in array.chunks] or [pa.array([], pa.string())]
        )
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) else array.cast(pa.string())
