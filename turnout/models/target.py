"""The target of a table: which rows have one, in which form models learn it, and whether it fits the task."""

from __future__ import annotations

import decimal
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from turnout.data.tables import require
from turnout.errors import ComponentError

Task = Literal["classification", "regression"]

MOST_CLASSES = 1_000
"""More values than that are no classes, but identifiers or amounts."""

_EXACT = 2**53
"""Beyond it a float does not tell whole numbers apart."""


def rows_with_target(table: pd.DataFrame, target: str, drop_null: bool) -> pd.DataFrame:
    """The rows that have a target; says how many have none, where there are some.

    Args:
        drop_null: whether rows without one are left out.

    Raises:
        ComponentError: no such column; or rows without a target, which are not to be left out, or no others.
    """
    require(table, [target], "data")
    missing = table[target].isna()
    count = int(missing.sum())
    if not count:
        return table
    where = f"data.{target}"
    if not drop_null:
        hint = "set drop_null_target=true to leave these rows out, or give them a target at the source"
        raise ComponentError(f"the target is null in {count:,} of {len(table):,} rows", where=where, hint=hint)
    if count == len(table):
        hint = "take rows whose target is known already"
        raise ComponentError("the target is null in every row", where=where, hint=hint)
    print(f"{count:,} of {len(table):,} rows are left out: their target is null")
    kept: pd.DataFrame = table[~missing]
    return kept


def plain_target(labels: pd.Series) -> pd.Series:
    """A target without nulls as numpy has it: truth values, whole numbers, numbers or texts.

    One form for what means the same: whole numbers that were read as floats, because some were null, are whole again;
    categories are what they are categories of; decimals are numbers.

    Raises:
        ComponentError: it holds times, lists, or values of several kinds.
    """
    kind = labels.dtype
    if isinstance(kind, pd.CategoricalDtype):
        labels = labels.astype(kind.categories.dtype)
    if types.is_bool_dtype(labels):
        return labels.astype(bool)
    if types.is_integer_dtype(labels):
        return labels.astype("int64")
    if types.is_float_dtype(labels):
        return _whole(labels.astype("float64"))
    plain = labels.astype(object)
    kinds = {type(value) for value in plain}
    if all(issubclass(kind, str) for kind in kinds):
        return plain
    if kinds == {bool}:
        return plain.astype(bool)
    if all(issubclass(kind, int | float | decimal.Decimal | np.number) and kind is not bool for kind in kinds):
        return _whole(plain.astype("float64"))
    names = sorted(kind.__name__ for kind in kinds)
    hint = "make it a column of texts, of truth values or of numbers"
    what = f"the target holds values of type {' and '.join(names)}"
    raise ComponentError(what, where=f"data.{labels.name}", hint=hint)


def _whole(numbers: pd.Series) -> pd.Series:
    values = numbers.to_numpy()
    finite = np.isfinite(values)
    if finite.all() and (np.abs(values) < _EXACT).all() and (values == np.round(values)).all():
        return numbers.astype("int64")
    return numbers


def check_target(labels: pd.Series, task: Task) -> None:
    """Raise ComponentError unless a target, as `plain_target` gives it, fits the task: classes, or numbers."""
    where = f"data.{labels.name}"
    number = types.is_numeric_dtype(labels) and not types.is_bool_dtype(labels)
    if task == "regression":
        if not number:
            raise ComponentError("the target of a regression is not a number", where=where,
                                 hint="set task=classification")  # fmt: skip
        if infinite := int((~np.isfinite(labels.to_numpy(dtype=float))).sum()):
            raise ComponentError(f"the target is infinite in {infinite:,} rows", where=where,
                                 hint="leave these rows out at the source")  # fmt: skip
        return
    classes = labels.unique()
    shown = [str(item) for item in classes[:10]]
    if types.is_float_dtype(labels):
        raise ComponentError("the target is a number with fractions, and no class", where=where, available=shown,
                             hint="set task=regression, or make it a column of classes")  # fmt: skip
    if len(classes) < 2:
        raise ComponentError(f"the target has the same value in every row: {shown[0]}", where=where,
                             hint="take rows with other targets too")  # fmt: skip
    if len(classes) > MOST_CLASSES:
        hint = "set task=regression for a number, or put rare classes together"
        what = f"the target has {len(classes):,} classes, more than {MOST_CLASSES:,}"
        raise ComponentError(what, where=where, available=shown, hint=hint)
