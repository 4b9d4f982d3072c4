"""What a row is: a digest of its key columns, the same on every machine and as tables change around it.

A row's digest does not depend on the other rows, nor on the order of the rows or columns. It depends on values, not on
how they are stored: 1, 1.0 and true are one number, a category is its value, a date is its midnight in UTC, a time is
meant in UTC where it has no zone and counts to the microsecond, and all missing values are one. A number and the text
that shows it are different.

Digests go into records. So they are made of functions that are defined outside of any library: BLAKE2b (RFC 7693) of
texts, and the finaliser of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014) of
numbers. A change of them needs a new `SCHEME`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from turnout.data.tables import require
from turnout.data.times import array_in_utc
from turnout.errors import ComponentError

SCHEME = "rows-1"
"""The name of this way to make digests, for records."""

Kind = Literal["number", "time", "text", "other", "null"]
"""How the values of a column are read. Two kinds of one column have no digests in common."""

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The golden gamma of SplitMix64: it keeps whole numbers in use apart from null, whose code is 0."""


@dataclass(frozen=True)
class Identity:
    """What the rows of a table are.

    Attributes:
        digests: one for each row, evenly distributed; shape (rows,), uint64.
        kinds: how the values of each column are read.
    """

    digests: np.ndarray
    kinds: dict[str, Kind]


def identify(table: pd.DataFrame, columns: Sequence[str], where: str = "data") -> Identity:
    """What the rows of a table are by some of its columns, in any order.

    Args:
        where: what the table is, for errors.

    Raises:
        ComponentError: a column is missing, or is there twice.
    """
    require(table, columns, where)
    twice = [name for name in columns if isinstance(table[name], pd.DataFrame)]
    if twice:
        raise ComponentError(f"more than one column '{twice[0]}'", where=where, hint="rename one of them")
    digests, kinds = np.zeros(len(table), dtype=np.uint64), {}
    for name in columns:
        chunks = _chunks(table[name])
        digests += mixed(np.concatenate([_codes(chunk) for chunk in chunks]) + _text_code(name))
        kinds[name] = _kind(chunks[0].type)
    return Identity(mixed(digests), kinds)


def in_test(digests: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Which rows are for testing: by nothing but their digests and the seed; shape (rows,), bool.

    A row for testing stays one with a larger fraction. Another seed draws others.
    """
    drawn = mixed(digests + _text_code(f"seed {seed}")) >> np.uint64(11)  # the 53 bits that a double holds
    chosen: np.ndarray = drawn.astype(np.float64) < fraction * 2.0**53
    return chosen


def part_of(digests: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Which of `count` parts each row is in, drawn as by `in_test`, and independent of it; shape (rows,), int64."""
    drawn = mixed(digests + _text_code(f"part {seed}")) >> np.uint64(11)
    return (drawn.astype(np.float64) / 2.0**53 * count).astype(np.int64)


def mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: one to one, and each bit of the result depends on all bits; uint64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def _chunks(values: pd.Series) -> list[pa.Array]:
    try:
        found = pa.Array.from_pandas(values)
    except pa.ArrowException:  # values of several types
        found = _written(values)
    return found.chunks if isinstance(found, pa.ChunkedArray) else [found]


def _written(values: Iterable[Any]) -> pa.Array:
    """Values as Python writes them."""
    return pa.array([None if value is None else repr(value) for value in values], pa.string())


def _kind(kind: pa.DataType) -> Kind:
    types = pa.types
    if types.is_dictionary(kind):
        return _kind(kind.value_type)
    if types.is_null(kind):
        return "null"
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time"
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return "text" if texts else "other"


def _codes(values: pa.Array) -> np.ndarray:
    """A code of each value; 0 of a missing one; uint64."""
    kind = _kind(values.type)
    if kind == "null":
        return np.zeros(len(values), dtype=np.uint64)
    if pa.types.is_dictionary(values.type):
        return _taken(_codes(values.dictionary), values.indices)
    if kind == "number":
        return _number_codes(values)
    if kind == "time":
        times = values if pa.types.is_timestamp(values.type) else values.cast(pa.timestamp("us"))
        return _number_codes(array_in_utc(times).cast(pa.int64()))
    if kind == "other":  # times of day, bytes, lists, structs
        values = _written(values.to_pylist())
    encoded = values.dictionary_encode()
    distinct = [_text_code(text) for text in encoded.dictionary.to_pylist()]
    return _taken(np.array(distinct, dtype=np.uint64), encoded.indices)


def _taken(codes: np.ndarray, indices: pa.Array) -> np.ndarray:
    """The codes at indices; 0 where an index is null."""
    places = indices.cast(pa.int64()).fill_null(len(codes)).to_numpy()
    return np.asarray(np.append(codes, np.uint64(0))[places])


def _number_codes(values: pa.Array) -> np.ndarray:
    null = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if pa.types.is_decimal(values.type):
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid:  # not all are whole, or one is too large
            values = values.cast(pa.float64())
    if pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
        integral = (np.abs(numbers) < 2.0**63) & (np.floor(numbers) == numbers)
        codes = mixed(mixed(numbers.view(np.uint64)) + _GAMMA)
        codes[integral] = mixed(numbers[integral].astype(np.int64).view(np.uint64) + _GAMMA)
    else:
        plain = values.cast(pa.uint64() if pa.types.is_uint64(values.type) else pa.int64())
        codes = mixed(plain.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64) + _GAMMA)
    codes[null] = 0
    return codes


def _text_code(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
