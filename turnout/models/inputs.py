"""The columns that a model learns from: numbers, texts and times; what none of these is, is told by name."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from pandas.api import types

from turnout.data.times import series_in_utc, time_zone
from turnout.errors import ComponentError

Kind = Literal["number", "text", "time", "other"]

_EXACT = 2**53
"""The largest whole number up to which a double tells each from its neighbours."""

_INFERRED: dict[str, Kind] = {
    **dict.fromkeys(["boolean", "decimal", "floating", "integer", "mixed-integer-float"], "number"),
    **dict.fromkeys(["string", "mixed-integer", "categorical", "empty"], "text"),
    **dict.fromkeys(["date", "datetime", "datetime64"], "time"),
}
"""Of columns of Python's objects, by pandas' names for what is in them."""


def kind_of(column: pd.Series) -> Kind:
    """What a column is to a model. Whole numbers that a double cannot tell apart are identifiers: texts."""
    if types.is_bool_dtype(column.dtype) or types.is_float_dtype(column.dtype):
        return "number"
    if types.is_integer_dtype(column.dtype):
        known = column.dropna()
        return "text" if len(known) and max(-int(known.min()), int(known.max())) > _EXACT else "number"
    if types.is_datetime64_any_dtype(column.dtype):
        return "time"
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "text"
    if column.dtype == object:
        return _INFERRED.get(types.infer_dtype(column, skipna=True), "other")
    return "text" if types.is_string_dtype(column.dtype) else "other"


def check_inputs(inputs: pd.DataFrame, derive: Sequence[str], timezone: str = "UTC") -> None:
    """Raise ComponentError unless a model can learn from each column, and from one at least.

    Args:
        derive: calendar features that are made of times, by pandas' names; empty where times cannot be learned from.
        timezone: in which they are counted.
    """
    time_zone(timezone)
    if not len(inputs):
        raise ComponentError("the table has no rows", where="data", hint="look at the source and the interval")
    if not len(inputs.columns):
        raise ComponentError("no column is left to learn from", where="data", hint="name fewer of them in ignore")
    kinds = {str(name): kind_of(column) for name, column in inputs.items()}
    if others := [name for name, kind in kinds.items() if kind == "other"]:
        found = ", ".join(f"{name} ({_example(inputs[name])})" for name in others)
        hint = "name it in ignore, or make numbers or texts of it at the source"
        raise ComponentError(f"neither numbers, texts nor times: {found}", where="data", hint=hint)
    times = [name for name, kind in kinds.items() if kind == "time"]
    if times and not derive:
        hint = 'name it in ignore, or derive features from it, such as derive=["month", "weekday", "hour"]'
        raise ComponentError(f"a time cannot be learned from: {', '.join(times)}", where="data", hint=hint)
    made = {f"{name}_{feature}" for name in times for feature in derive}
    if taken := sorted(made & set(kinds)):
        hint = "rename the column, or name it in ignore"
        raise ComponentError(f"derived features have the names of columns: {', '.join(taken)}", where="data", hint=hint)


def _example(column: pd.Series) -> str:
    """What is in a column that cannot be learned from."""
    if column.dtype != object:
        return str(column.dtype)
    value = next(iter(column.dropna()), None)
    names = {"ndarray": "lists", "list": "lists", "dict": "structs", "bytes": "bytes", "time": "times of the day"}
    kind = type(value).__name__
    return names.get(kind, kind)


def plain_types(inputs: pd.DataFrame) -> pd.DataFrame:
    """Columns in the forms that a model's signature says: float64, text with None for null, times in UTC.

    One form for all numbers, since an integer column that one day has a null arrives as floats.

    Raises:
        ComponentError: times that nanoseconds cannot count: before 1678 or after 2261.
    """
    forms: dict[Kind, Any] = {"number": _numbers, "time": _times, "text": _texts, "other": _texts}
    return pd.DataFrame({name: forms[kind_of(column)](column) for name, column in inputs.items()}, index=inputs.index)


def _numbers(column: pd.Series) -> pd.Series:
    if column.dtype == object:
        return column.map(lambda value: float(value) if isinstance(value, decimal.Decimal) else value).astype("float64")
    return column.astype("float64")


def _texts(column: pd.Series) -> pd.Series:
    objects = column.astype(object)
    return objects.where(column.notna(), None).map(lambda value: None if value is None else str(value))


def _times(column: pd.Series) -> pd.Series:
    try:
        times: pd.Series = series_in_utc(column).dt.as_unit("ns").dt.tz_localize(None)
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        hint = "give a missing time as null"
        what = f"column '{column.name}' has times before 1678 or after 2261"
        raise ComponentError(what, where="data", hint=hint) from error
    return times


def leave_out_empty(inputs: pd.DataFrame) -> pd.DataFrame:
    """The columns that have some value; the others are told, since nothing can be learned from them.

    Raises:
        ComponentError: none has.
    """
    empty = [str(name) for name, column in inputs.items() if column.isna().all()]
    if len(empty) == len(inputs.columns):
        raise ComponentError("no column has any value", where="data", hint="look at the source")
    if empty:
        print(f"columns without any value are left out: {', '.join(empty)}")
    return inputs.drop(columns=empty)


def tell_identifiers(inputs: pd.DataFrame, rare: float) -> None:
    """Say which texts have so many values, each of fewer than that share of the rows, that nothing is learned of them.

    Args:
        inputs: as `plain_types` gives them.
    """
    for name, column in inputs.items():
        if column.dtype == object and column.nunique() > 1:
            shares = column.value_counts(normalize=True)
            if shares.iloc[0] < rare:
                what = f"{name}: {len(shares):,} values, each in less than {rare:.1%} of the rows, are one to the model"
                print(f"{what}; name it in ignore, if it is an identifier")
