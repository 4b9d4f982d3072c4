"""A model's preparation gives one row what it gives the same row of a table, to the last bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from turnout.errors import ComponentError
from turnout.models.compiled.one_row import of_row
from turnout.models.compiled.preparation import Categories, Encoding, Numbers, Preparation, Step, of_rows

ODD = [None, 0.0, -0.0, 1.0, 0.1, -3.7, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan]
STEPS = [
    Step("finite"),
    Step("impute", (0.5, -2.0), (1,)),
    Step("subtract", (0.1, 7.3, 0.5)),
    Step("divide", (3.0, 1e-300, 0.7)),
    Step("multiply", (1e10, 0.3, -1.0)),
    Step("add", (0.2, 0.2, 0.2)),
    Step("clip", (-1e9, 1e9)),
]


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero)")
@pytest.mark.parametrize(
    "steps",
    [STEPS, STEPS[1:], [Step("divide", (0.0, -0.0))], [Step("clip", (-1.0, 1.0))], [Step("multiply", (0.0, 2.0))]],
)
def test_odd_numbers_become_the_same_in_one_row_and_in_a_table(steps: list[Step]) -> None:
    preparation = Preparation((Numbers((0, 1), tuple(steps)),))
    pairs = [(first, second) for first in ODD for second in ODD]
    table = of_rows(preparation, ["a", "b"])(
        [pa.array(list(column), pa.float64()) for column in zip(*pairs, strict=True)]
    )
    one = of_row(preparation, ["a", "b"])
    for pair, expected in zip(pairs, table, strict=True):
        found = np.array(one(pair))
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        assert same.all(), (pair, found, expected)


def test_categories_become_the_same_and_an_unknown_one_is_refused() -> None:
    encodings = (
        Encoding(("x", "y", None), (0.0, 1.0, 2.0), 3, -1.0),
        Encoding(("x", "y"), (4.0, 5.0), 1, None, fill="y", ordinal=True),
    )
    preparation = Preparation((Categories((0, 1), encodings),))
    rows: list[list[Any]] = [["x", "y"], ["y", None], [None, "x"], ["z", "x"]]
    columns = [pa.array(list(column), pa.string()) for column in zip(*rows, strict=True)]
    one = of_row(preparation, ["a", "b"])
    assert [one(row) for row in rows] == of_rows(preparation, ["a", "b"])(columns).tolist()
    with pytest.raises(ComponentError, match="does not know the category 'z'"):
        one(["x", "z"])
