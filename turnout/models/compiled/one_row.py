"""A model's preparation for one row, on Python's own numbers: an array's operations take longer than the arithmetic.

Each number goes through the same operations in the same order as in `turnout.models.compiled.preparation`, in double
precision: the results are the same to the last bit.
"""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from turnout.models.compiled.preparation import Block, Categories, Numbers, Preparation, Step, Times, unseen

Row = Callable[[Sequence[Any]], list[float]]
_Operation = Callable[[list[float]], list[float]]


def of_row(preparation: Preparation, names: Sequence[str]) -> Row:
    """A function from a row's values, in the columns' order, to what the estimator takes.

    Args:
        names: of the model's columns, for errors.
    """
    blocks = [_row_of(block, names) for block in preparation.blocks]
    after = [_applied(step) for step in preparation.after]

    def prepare(values: Sequence[Any]) -> list[float]:
        prepared: list[float] = []
        for block in blocks:
            prepared += block(values)
        for step in after:
            prepared = step(prepared)
        return prepared

    return prepare


def _row_of(block: Block, names: Sequence[str]) -> Row:
    if isinstance(block, Categories):
        return _categories_of_row(block, names)
    steps = [_applied(step) for step in block.steps]
    read: Row = _numbers_of_row(block) if isinstance(block, Numbers) else _times_of_row(block)

    def prepare(values: Sequence[Any]) -> list[float]:
        numbers = read(values)
        for step in steps:
            numbers = step(numbers)
        return numbers

    return prepare


def _applied(step: Step) -> _Operation:
    values, tracked, nan = step.values, step.tracked, math.nan
    if step.operation == "impute":

        def impute(numbers: list[float]) -> list[float]:
            filled = [number if number == number else value for number, value in zip(numbers, values, strict=True)]
            if tracked:
                filled += [0.0 if numbers[place] == numbers[place] else 1.0 for place in tracked]
            return filled

        return impute
    if step.operation == "clip":
        low, high = values
        return lambda numbers: [min(max(number, low), high) if number == number else nan for number in numbers]
    divide = _ratio if 0 in values else operator.truediv
    simple: dict[str, _Operation] = {
        "finite": lambda numbers: [number if -math.inf < number < math.inf else nan for number in numbers],
        "subtract": lambda numbers: list(map(operator.sub, numbers, values)),
        "divide": lambda numbers: list(map(divide, numbers, values)),
        "multiply": lambda numbers: list(map(operator.mul, numbers, values)),
        "add": lambda numbers: list(map(operator.add, numbers, values)),
    }
    return simple[step.operation]


def _ratio(number: float, value: float) -> float:
    """As an array divides: also by zero."""
    if value:
        return number / value
    return math.nan if number == 0 or number != number else math.copysign(math.inf, number) * math.copysign(1, value)


def _numbers_of_row(block: Numbers) -> Row:
    columns, nan = block.columns, math.nan
    return lambda values: [nan if (value := values[column]) is None else float(value) for column in columns]


def _times_of_row(block: Times) -> Row:
    zone, features = ZoneInfo(block.timezone), [_PYTHON[feature] for feature in block.derive]
    nothing = [math.nan] * len(features)

    def read(values: Sequence[Any]) -> list[float]:
        numbers: list[float] = []
        for column in block.columns:
            time = values[column]
            if time is None:
                numbers += nothing
                continue
            local = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).astimezone(zone)
            numbers += [feature(local) for feature in features]
        return numbers

    return read


_PYTHON: dict[str, Callable[[datetime.datetime], int]] = {
    "year": lambda time: time.year,
    "quarter": lambda time: (time.month + 2) // 3,
    "month": lambda time: time.month,
    "day": lambda time: time.day,
    "day_of_year": lambda time: time.timetuple().tm_yday,
    "weekday": lambda time: time.weekday(),
    "hour": lambda time: time.hour,
    "minute": lambda time: time.minute,
}


def _categories_of_row(block: Categories, names: Sequence[str]) -> Row:
    known = [
        (column, encoding, dict(zip(encoding.values, encoding.places, strict=True)), encoding.fill, encoding.unseen)
        for column, encoding in zip(block.columns, block.encodings, strict=True)
    ]
    width = block.width

    def read(values: Sequence[Any]) -> list[float]:
        encoded, start = [0.0] * width, 0
        for column, encoding, places, fill, of_unseen in known:
            value = values[column]
            place = places.get(fill if value is None else value, of_unseen)
            if place is None:
                raise unseen(names[column], value)
            if encoding.ordinal:
                encoded[start] = place
            elif place >= 0:
                encoded[start + int(place)] = 1.0
            start += encoding.width
        return encoded

    return read
