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
import pyarrow.dataset as ds

from turnout.monitoring import statistics
from turnout.monitoring.dependence import LEAST_ROWS, Blocks, Dependence, learn, learn_from

CELLS = 128
"""Quantiles that mark off a number's cells; more would not find more (`benchmarks/drift_power.py`)."""

_BATCH_ROWS = 262_144
_STEPS = 32
"""Parts of a number's range that have a mark of their own, however few rows are there."""

MOST_CATEGORIES = 10_000
_MOST_NEW = 1_000
_SAMPLE = 200_000
"""Rows of which a number's quantiles are taken; all are counted."""

Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Column:
    """Counts of a column.

    Attributes:
        cells: of numbers, the values that mark cells off, ascending; of categories, their names, as texts.
        counts: of numbers, below the first value, at it, between it and the second, ...: twice as many as values, and
            one. Of categories, by name, and last those that are none of them. What is counted like another's has first
            the cells of that one, then those of its own: the most frequent new categories.
        nulls: missing, or no finite number.
        low, high: the least and the greatest number; None when there is none.
        singles: of what others are compared with: categories that occur once, whose share of the rows is that of rows
            with a category never seen before.
        dependence: of values of rows that come together; None when that is not known.
        null_correlation: of missing values of such rows.
    """

    kind: Kind
    cells: tuple[Any, ...]
    counts: tuple[int, ...]
    nulls: int
    low: float | None = None
    high: float | None = None
    singles: int = 0
    dependence: Dependence | None = None
    null_correlation: float = 0.0

    @property
    def rows(self) -> int:
        """Those that have a value."""
        return sum(self.counts)


@dataclass(frozen=True)
class Profile:
    """Counts of a table, by column. Times and nested columns are left out.

    Attributes:
        optional: columns that another table need not have, such as labels that come later.
    """

    rows: int
    columns: dict[str, Column]
    optional: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Profile:
        raw = json.loads(text)
        columns = {}
        for name, item in raw["columns"].items():
            dependence = Dependence(**item["dependence"]) if item["dependence"] else None
            plain = {"cells": tuple(item["cells"]), "counts": tuple(item["counts"]), "dependence": dependence}
            columns[name] = Column(**{**item, **plain})
        return cls(raw["rows"], columns, tuple(raw["optional"]))

    def __or__(self, other: Profile) -> Profile:
        """The columns of both, which need not be of the same rows."""
        return Profile(self.rows, {**self.columns, **other.columns}, (*self.optional, *other.optional))


def make_profile(table: pa.Table, optional: Iterable[str] = (), blocks: Blocks = (), seed: int = 0) -> Profile:
    """The profile of a table that others are to be compared with.

    Args:
        optional: columns that others need not have.
        blocks: rows that come together, which are not taken for independent.
    """
    grids = {
        name: _grid(table[name], kind, seed)
        for name in table.column_names
        if (kind := kind_of(table.schema.field(name).type))
    }
    columns = _count(table, grids).columns
    if blocks:
        columns = {name: _with_dependence(table[name], column, blocks) for name, column in columns.items()}
    return Profile(table.num_rows, columns, tuple(optional))


def _with_dependence(values: pa.ChunkedArray, column: Column, blocks: Blocks) -> Column:
    """A column with how much its values, and whether they are missing, differ from block to block."""
    whole, parts = np.array(column.counts), _counted_in_blocks(values, column, blocks)
    counts = np.array([_in_cells_of(column, part) for part in parts])
    counts = counts[(counts.sum(axis=1) >= LEAST_ROWS) & (counts.sum(axis=1) < column.rows)]
    dependence = None
    if len(counts) and column.kind == "number":
        found = statistics.ordered_statistics(whole, counts)
        dependence = learn_from(found, counts.sum(axis=1).astype(float), float(column.rows))
    elif len(counts):
        dependence = learn(statistics.unordered_statistic, [(whole - of, of) for of in counts])
    if not column.nulls:
        return dataclasses.replace(column, dependence=dependence)
    pairs = [
        (np.array([column.nulls - part.nulls, column.rows - part.rows]), np.array([part.nulls, part.rows]))
        for part in parts
    ]
    missing = learn(statistics.unordered_statistic, pairs)
    return dataclasses.replace(column, dependence=dependence, null_correlation=missing.correlation if missing else 0.0)


def _counted_in_blocks(values: pa.ChunkedArray, like: Column, blocks: Blocks) -> list[Column]:
    """Counts of each block's rows; a number's cell is found once for all of them."""
    if like.kind == "category":
        array = values.combine_chunks()
        return [_counted(array.take(pa.array(rows)), like) for rows in blocks]
    cells = np.full(len(values), -1)
    numbers = values.cast(pa.float64()).to_numpy()  # nan where there is none
    known = np.isfinite(numbers)
    cells[known] = _cells(numbers[known], like)
    counts = [np.bincount(cells[rows][cells[rows] >= 0], minlength=2 * len(like.cells) + 1) for rows in blocks]
    return [
        Column("number", like.cells, tuple(of.tolist()), len(rows) - int(of.sum()))
        for rows, of in zip(blocks, counts, strict=True)
    ]


def _cells(numbers: np.ndarray[Any, Any], like: Column) -> np.ndarray[Any, Any]:
    """The cell of each number, by its place."""
    marks = np.asarray(like.cells, float)
    left = np.searchsorted(marks, numbers, "left")
    cells: np.ndarray[Any, Any] = 2 * left + (np.concatenate([marks, [np.nan]])[left] == numbers)
    return cells


def _in_cells_of(column: Column, part: Column) -> list[int]:
    """The counts of a part of a table in the table's own cells: of rare categories, which have none, in the last."""
    cells = len(column.counts) - 1
    return [*part.counts[:cells], sum(part.counts[cells:])]


def count(table: pa.Table | pa.RecordBatch, like: Profile) -> Profile:
    """Count a table, or a part of one, in the cells of another's profile; columns that are not in both are left out."""
    grids = {
        name: column
        for name, column in like.columns.items()
        if name in table.schema.names and counts_as(table.schema.field(name).type, column)
    }
    return _count(table, grids)


def count_dataset(dataset: ds.Dataset, like: Profile) -> Profile:
    """Count a dataset as `count` does a table, a piece at a time, whatever its size."""
    columns = [name for name in like.columns if name in dataset.schema.names]
    parts = (count(batch, like) for batch in dataset.to_batches(columns=columns, batch_size=_BATCH_ROWS))
    return functools.reduce(_add, parts, count(dataset.schema.empty_table(), like))


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


def counts_as(kind: pa.DataType, like: Column) -> bool:
    """Whether a column of a type can be held against another.

    Identifiers may look like whole numbers one day, and truth values are numbers to the catalogue's models.
    """
    if pa.types.is_null(kind) or kind_of(kind) == like.kind:
        return True
    if like.kind == "number":
        return bool(pa.types.is_boolean(kind))
    return bool(pa.types.is_integer(kind)) and all(cell.isdigit() for cell in like.cells)


def _grid(values: pa.ChunkedArray, kind: Kind, seed: int) -> Column:
    if kind == "number":
        numbers = _numbers(values)
        ends = [numbers.min(), numbers.max()] if len(numbers) else []  # of all: what lies beyond them is out of range
        if len(numbers) > _SAMPLE:
            numbers = np.random.default_rng(seed).choice(numbers, _SAMPLE, replace=False)
        steps = np.linspace(0, 1, min(CELLS, max(1, len(numbers))))
        inner = np.quantile(numbers, steps, method="closest_observation") if len(numbers) else []
        marks = np.unique(np.concatenate([inner, ends]))
        return Column("number", tuple(_filled(marks).tolist()), (), 0)
    found = pc.value_counts(_texts(values))
    names, counts = found.field("values"), found.field("counts")
    if len(names) > MOST_CATEGORIES:
        top = pc.select_k_unstable(pa.table({"counts": counts}), MOST_CATEGORIES, [("counts", "descending")])
        names = names.take(top)
    return Column("category", tuple(sorted(name for name in names.to_pylist() if name is not None)), (), 0)


def _filled(marks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Marks with further ones where they are far apart, so that it can be told how far values move there."""
    if len(marks) < 2:
        return marks
    steps = np.minimum(np.ceil(np.diff(marks) / (marks[-1] - marks[0]) * _STEPS), _STEPS).astype(int)
    if len(marks) <= _STEPS and (marks == marks.round()).all():
        return marks  # numbers that count something
    filled = [np.linspace(low, high, n, endpoint=False) for low, high, n in zip(marks, marks[1:], steps, strict=False)]
    return np.concatenate([*filled, marks[-1:]])


def _count(table: pa.Table | pa.RecordBatch, grids: dict[str, Column]) -> Profile:
    return Profile(table.num_rows, {name: _counted(table[name], column) for name, column in grids.items()})


def _counted(values: Any, like: Column) -> Column:
    if like.kind == "number":
        numbers = _numbers(values)
        counts = np.bincount(_cells(numbers, like), minlength=2 * len(like.cells) + 1)
        low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (None, None)
        return Column("number", like.cells, tuple(counts.tolist()), len(values) - len(numbers), low, high)
    found = pc.value_counts(_texts(values))
    names, counts = found.field("values"), found.field("counts").to_numpy(zero_copy_only=False)
    missing = pc.is_null(names).to_numpy(zero_copy_only=False)
    known = pc.is_in(names, value_set=pa.array(like.cells, names.type)).to_numpy(zero_copy_only=False) & ~missing
    places = pc.index_in(names.filter(pa.array(known)), value_set=pa.array(like.cells, names.type))
    counted = np.zeros(len(like.cells), int)
    counted[places.to_numpy(zero_copy_only=False)] = counts[known]
    others = np.flatnonzero(~known & ~missing)
    new = others[np.argsort(-counts[others], kind="stable")][:_MOST_NEW] if like.counts else others[:0]
    rest = int(counts[others].sum() - counts[new].sum())
    return Column(
        "category",
        (*like.cells, *names.take(pa.array(new)).to_pylist()),
        (*counted.tolist(), *counts[new].tolist(), rest),
        int(counts[missing].sum()),
        singles=0 if like.counts else int((counts[~missing] == 1).sum()),
    )


def aligned(one: Column, other: Column) -> tuple[tuple[Any, ...], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The cells of two columns that were counted alike, and the counts of each in them."""
    if one.cells == other.cells:
        return one.cells, np.array(one.counts), np.array(other.counts)
    cells = tuple(dict.fromkeys([*one.cells, *other.cells]))
    counts = []
    for column in (one, other):
        known_counts = dict(zip(column.cells, column.counts, strict=False))
        counts.append(np.array([*(known_counts.get(cell, 0) for cell in cells), column.counts[-1]]))
    return cells, counts[0], counts[1]


def _add(one: Profile, other: Profile) -> Profile:
    columns = {}
    for name in one.columns.keys() & other.columns.keys():
        a, b = one.columns[name], other.columns[name]
        lows = [item for item in (a.low, b.low) if item is not None]
        highs = [item for item in (a.high, b.high) if item is not None]
        cells, first, second = aligned(a, b)
        both = tuple((first + second).tolist())
        columns[name] = Column(
            a.kind, cells, both, a.nulls + b.nulls, min(lows, default=None), max(highs, default=None)
        )
    ordered = {name: columns[name] for name in one.columns if name in columns}
    return Profile(one.rows + other.rows, ordered)


def _numbers(values: Any) -> np.ndarray[Any, Any]:
    array = values.cast(pa.float64()).drop_null() if values.null_count else values.cast(pa.float64())
    chunked = isinstance(array, pa.ChunkedArray)
    numbers: np.ndarray[Any, Any] = array.to_numpy() if chunked else array.to_numpy(zero_copy_only=False)
    finite = np.isfinite(numbers)
    return numbers if finite.all() else numbers[finite]


def _texts(values: Any) -> Any:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # no chunks at all, or too long for one
        array = pa.concat_arrays(
            [chunk.cast(pa.large_string()) for chunk in array.chunks] or [pa.array([], pa.string())]
        )
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) else array.cast(pa.string())
