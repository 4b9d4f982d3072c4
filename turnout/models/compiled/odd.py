"""Rows that are not as others: nulls, unseen categories, extremes, and columns that do not belong together."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.models.signature import Column

_ODD: dict[str, tuple[Any, ...]] = {
    "double": (None, 0.0, -0.0, float("nan"), 1e-310, 2.0**53 + 2, -1e9),
    "float": (None, 0.0, 1e-42, -1e9),
    "long": (None, 0, -1, 2**53 + 1, 2**62, -(2**62)),
    "integer": (None, 0, -1, 2**31 - 1, -(2**31)),
    "boolean": (None, True, False),
    "string": (None, "", " ", "never seen", "missing", "nan", "None", "0", "é\u0000\n'\"", "x" * 10_000),
    "datetime": (
        None,
        *(
            datetime.datetime.fromisoformat(text)
            for text in ("1970-01-01", "1700-01-01", "2261-12-31", "2024-02-29T23:59:59.999999", "2024-12-31T23:30:00")
        ),
        *(datetime.datetime(2024, month, day, hour, 30) for month, day in ((3, 31), (10, 27)) for hour in (0, 1, 2)),
    ),
}
"""Values of each kind of column that a model seldom sees; the last are hours in which Europe's clocks change."""

_WILD = (float("inf"), float("-inf"), 1e308, -1e308, 1e39)
_MOST_WILD = 16
"""Numbers that many models refuse, and rows with one of them. A row that is refused is found by halving its batch, so
they are few, and stand together."""


def odd_rows(rows: pa.Table, columns: Sequence[Column], seed: int = 0) -> pa.Table:
    """Odd rows made from rows: one odd value at a time; several; values just beside those known; columns shuffled.

    Args:
        rows: one or more, with the columns in the types of the signature.
    """
    rng, drawn = random.Random(seed), np.random.default_rng(seed)
    known = rows.select([column.name for column in columns])
    lists = {column.name: known[column.name].to_pylist() for column in columns}
    count = known.num_rows

    def row() -> dict[str, Any]:
        index = rng.randrange(count)
        return {name: values[index] for name, values in lists.items()}

    made: list[dict[str, Any]] = []
    for column in columns:
        for value in _ODD[column.kind]:
            made.append(row() | {column.name: value})
    for _ in range(50):  # several odd values at once
        one = row()
        for column in rng.sample(list(columns), rng.randint(1, len(columns))):
            one[column.name] = rng.choice(_ODD[column.kind])
        made.append(one)
    made.append({column.name: None for column in columns})
    for _ in range(100):  # values of different rows
        made.append({name: values[rng.randrange(count)] for name, values in lists.items()})
    for _ in range(100):  # doubles next to those known, which a float cannot tell apart
        one = row()
        for column in columns:
            if column.kind == "double" and one[column.name] is not None:
                one[column.name] = float(np.nextafter(one[column.name], drawn.choice([-np.inf, np.inf])))
        made.append(one)
    doubles = [column.name for column in columns if column.kind == "double"]
    wild = [(name, value) for name in doubles for value in _WILD]
    made += [row() | {name: value} for name, value in rng.sample(wild, min(_MOST_WILD, len(wild)))]
    return pa.table({column.name: pa.array([one[column.name] for one in made], column.arrow) for column in columns})
