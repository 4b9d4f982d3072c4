"""What a model does with its columns before its estimator, as arrays: the same for one row and for many.

No scikit-learn and no pickle is needed to run it. `turnout.models.compiled.reading` makes it of a fitted pipeline, and
`turnout.models.compiled.one_row` runs it for one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import ComponentError

Operation = Literal["finite", "impute", "subtract", "divide", "multiply", "add", "clip"]


@dataclass(frozen=True)
class Step:
    """What is done with each number of a block, in double precision and in scikit-learn's order of operations.

    Attributes:
        values: by column; what `impute` puts in place of a missing one; the lower bound and the upper of `clip`.
        tracked: places of the columns of which `impute` adds whether they were missing, after all others.
    """

    operation: Operation
    values: tuple[float, ...] = ()
    tracked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers, and what is done with them one after the other.

    Attributes:
        columns: their places among the model's columns.
    """

    columns: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    @property
    def width(self) -> int:
        return len(self.columns) + _tracked(self.steps)


@dataclass(frozen=True)
class Times:
    """Calendar features of columns of times, as `turnout.models.preparation.calendar` makes them, and the same steps.

    Attributes:
        derive: pandas' names of the features.
        timezone: IANA name of the zone in which they are counted.
    """

    columns: tuple[int, ...]
    derive: tuple[str, ...]
    timezone: str
    steps: tuple[Step, ...] = ()

    @property
    def width(self) -> int:
        return len(self.columns) * len(self.derive) + _tracked(self.steps)


@dataclass(frozen=True)
class Encoding:
    """A column of categories as numbers.

    Attributes:
        values: the known categories; None is a missing one.
        places: of each category: the column that is 1, or with `ordinal` the number itself; -1 for no column.
        width: how many columns it becomes.
        unseen: the place of a category that is not known; None to refuse it.
        fill: the category that a missing one is; None for a category of its own.
    """

    values: tuple[Any, ...]
    places: tuple[float, ...]
    width: int
    unseen: float | None
    fill: Any = None
    ordinal: bool = False


@dataclass(frozen=True)
class Categories:
    """Columns of categories, each with its encoding."""

    columns: tuple[int, ...]
    encodings: tuple[Encoding, ...]

    @property
    def width(self) -> int:
        return sum(item.width for item in self.encodings)


Block = Numbers | Times | Categories


@dataclass(frozen=True)
class Preparation:
    """From a model's columns to what its estimator takes: blocks side by side, and steps on all of it."""

    blocks: tuple[Block, ...]
    after: tuple[Step, ...] = ()

    @property
    def width(self) -> int:
        return sum(block.width for block in self.blocks) + _tracked(self.after)


def _tracked(steps: Sequence[Step]) -> int:
    return sum(len(step.tracked) for step in steps)


Rows = Callable[[Sequence[pa.Array]], np.ndarray]


def of_rows(preparation: Preparation, names: Sequence[str]) -> Rows:
    """A function from columns, each in its signature's type, to doubles of shape (rows, inputs).

    Args:
        names: of the model's columns, for errors.
    """
    blocks = [(_rows_of(block, names), block.width) for block in preparation.blocks]
    after = [_applied(step) for step in preparation.after]
    width = sum(size for _, size in blocks)

    def prepare(arrays: Sequence[pa.Array]) -> np.ndarray:
        prepared = np.empty((len(arrays[0]), width))
        start = 0
        for block, size in blocks:
            prepared[:, start : start + size] = block(arrays)
            start += size
        for step in after:
            prepared = step(prepared)
        return prepared

    return prepare


def _applied(step: Step) -> Callable[[np.ndarray], np.ndarray]:
    """A step as a function of arrays whose last axis are the columns."""
    values = np.array(step.values)
    if step.operation == "impute":
        tracked = np.array(step.tracked, dtype=int)

        def impute(numbers: np.ndarray) -> np.ndarray:
            missing = np.isnan(numbers)
            filled = np.where(missing, values, numbers)
            return np.concatenate([filled, missing[..., tracked]], axis=-1) if len(tracked) else filled

        return impute
    if step.operation == "clip":
        return lambda numbers: np.clip(numbers, values[0], values[1])
    simple: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "finite": lambda numbers: np.where(np.isfinite(numbers), numbers, np.nan),
        "subtract": lambda numbers: numbers - values,
        "divide": lambda numbers: numbers / values,
        "multiply": lambda numbers: numbers * values,
        "add": lambda numbers: numbers + values,
    }
    return simple[step.operation]


def _rows_of(block: Block, names: Sequence[str]) -> Rows:
    if isinstance(block, Categories):
        return _categories_of_rows(block, names)
    steps = [_applied(step) for step in block.steps]
    read: Rows = _numbers_of_rows(block) if isinstance(block, Numbers) else _times_of_rows(block)

    def prepare(arrays: Sequence[pa.Array]) -> np.ndarray:
        numbers = read(arrays)
        for step in steps:
            numbers = step(numbers)
        return numbers

    return prepare


def _numbers_of_rows(block: Numbers) -> Rows:
    def read(arrays: Sequence[pa.Array]) -> np.ndarray:
        numbers = np.empty((len(arrays[0]), len(block.columns)))
        for place, column in enumerate(block.columns):
            numbers[:, place] = as_doubles(arrays[column])
        return numbers

    return read


def as_doubles(array: pa.Array) -> np.ndarray:
    """Numbers or truth values as doubles, null as nan."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    found: np.ndarray = array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return found


def _times_of_rows(block: Times) -> Rows:
    def read(arrays: Sequence[pa.Array]) -> np.ndarray:
        numbers = np.empty((len(arrays[0]), len(block.columns) * len(block.derive)))
        for place, column in enumerate(block.columns):
            local = arrays[column].cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns", block.timezone))
            for index, feature in enumerate(block.derive):
                numbers[:, place * len(block.derive) + index] = as_doubles(_ARROW[feature](local))
        return numbers

    return read


_ARROW: dict[str, Callable[[pa.Array], pa.Array]] = {
    "year": pc.year,
    "quarter": pc.quarter,
    "month": pc.month,
    "day": pc.day,
    "day_of_year": pc.day_of_year,
    "weekday": pc.day_of_week,
    "hour": pc.hour,
    "minute": pc.minute,
}


def _categories_of_rows(block: Categories, names: Sequence[str]) -> Rows:
    known = []
    for encoding in block.encodings:
        values = [value for value in encoding.values if value is not None]
        places = [place for value, place in zip(encoding.values, encoding.places, strict=True) if value is not None]
        of_unseen = math.nan if encoding.unseen is None else encoding.unseen
        of_null = dict(zip(encoding.values, encoding.places, strict=True)).get(encoding.fill)
        known.append((encoding, values, np.array([*places, of_unseen]), of_null))

    def read(arrays: Sequence[pa.Array]) -> np.ndarray:
        encoded = np.zeros((len(arrays[0]), block.width))
        every, start = np.arange(len(arrays[0])), 0
        for column, (encoding, values, places, of_null) in zip(block.columns, known, strict=True):
            array = arrays[column]
            found = pc.index_in(array, value_set=pa.array(values, array.type))
            found = found.fill_null(len(values)).to_numpy(zero_copy_only=False)
            strange = found == len(values)
            place = places[found]
            if array.null_count and of_null is not None:
                null = array.is_null().to_numpy(zero_copy_only=False)
                place, strange = np.where(null, of_null, place), strange & ~null
            if encoding.unseen is None and strange.any():
                raise unseen(names[column], array[int(strange.argmax())].as_py())
            if encoding.ordinal:
                encoded[:, start] = place
            else:
                whole = place.astype(int)
                chosen = whole >= 0
                encoded[every[chosen], start + whole[chosen]] = 1
            start += encoding.width
        return encoded

    return read


def unseen(column: str, value: Any) -> ComponentError:
    """The error of a category that the model refuses."""
    hint = "train the model on such a category, or with an encoder that takes what it does not know"
    return ComponentError(f"the model does not know the category {value!r}", where=column, hint=hint)
