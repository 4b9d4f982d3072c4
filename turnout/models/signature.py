"""What a model takes, by its MLflow signature, and whether a table has it."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from turnout.data.tables import require
from turnout.errors import ComponentError, Fault, did_you_mean

_Test = Callable[[pa.DataType], bool]


def _number(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal))


def _text(kind: pa.DataType) -> bool:
    if kinds.is_dictionary(kind):
        return _text(kind.value_type)
    return any(test(kind) for test in (kinds.is_string, kinds.is_large_string, kinds.is_string_view))


_TYPES: dict[str, tuple[pa.DataType, _Test]] = {
    "double": (pa.float64(), _number),
    "float": (pa.float32(), _number),
    "long": (pa.int64(), _number),
    "integer": (pa.int32(), _number),
    "boolean": (pa.bool_(), kinds.is_boolean),
    "string": (pa.string(), lambda kind: _text(kind) or kinds.is_integer(kind)),  # identifiers, on a day without zeros
    "datetime": (pa.timestamp("ns"), lambda kind: kinds.is_timestamp(kind) or kinds.is_date(kind)),
}
"""Types of a signature (MLflow's `DataType`): as what they are handed over, and what can be read as them."""


@dataclass(frozen=True)
class Column:
    """A column that a model takes; `kind` is the signature's name for its type."""

    name: str
    kind: str

    @property
    def numeric(self) -> bool:
        return self.kind in ("double", "float", "long", "integer", "boolean")

    @property
    def arrow(self) -> pa.DataType:
        """The type in which the model takes it."""
        return _TYPES[self.kind][0]

    def reads(self, kind: pa.DataType) -> bool:
        """Whether values of a type can be read as this column's."""
        return kinds.is_null(kind) or _TYPES[self.kind][1](kind)

    def cast(self, array: pa.Array) -> pa.Array:
        """Values as the model takes them; what is no number is null among whole numbers.

        Raises:
            ComponentError: a number would lose its fraction, or is too large.
        """
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        target = self.arrow
        if array.type == target:
            return array
        if kinds.is_boolean(array.type) and not kinds.is_boolean(target):
            array = array.cast(pa.int8())
        if kinds.is_floating(array.type) and kinds.is_integer(target):
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        try:
            return array.cast(target, safe=not kinds.is_floating(target))
        except pa.ArrowInvalid as error:
            hint = "give it such values, or log the model with a signature that says double there"
            raise ComponentError(f"the model takes {self.kind}: {error}", where=self.name, hint=hint) from error

    def value(self, value: Any) -> Any:
        """One value of JSON as the model takes it, by the rules of `reads` and `cast`; null is None, as is nan.

        Times are texts of ISO 8601; those with an offset are turned to UTC, as in a table.

        Raises:
            ComponentError: it is of another type, a number would lose its fraction, or is too large.
        """
        given = type(value)
        if value is None or (given is float and value != value and self.kind not in ("string", "boolean", "datetime")):
            return None
        if self.kind in ("double", "float") and given in (float, int, bool):
            return float(value) if self.kind == "double" else ctypes.c_float(value).value
        if self.kind in _BITS and given in (float, int, bool):
            whole = int(value) if given is not float or value.is_integer() else None
            if whole is not None and -(1 << _BITS[self.kind]) <= whole < 1 << _BITS[self.kind]:
                return whole
            hint = f"give a whole number of {_BITS[self.kind] + 1} bits"
            raise ComponentError(f"the model takes {self.kind}, and not {value}", where=self.name, hint=hint)
        if (self.kind == "string" and given is str) or (self.kind == "boolean" and given is bool):
            return value
        if self.kind == "string" and given is int:
            return str(value)
        if self.kind == "datetime" and given is str:
            with contextlib.suppress(ValueError, OverflowError):
                time = datetime.datetime.fromisoformat(value)
                return time.astimezone(datetime.UTC).replace(tzinfo=None) if time.tzinfo else time
        text = f"{value!r:.60}" if isinstance(value, str | int | float) else ""
        raise ComponentError(
            f"the model takes {self.kind}, and this is {_JSON_TYPES.get(given, given.__name__)} {text}".rstrip(),
            where=self.name,
            hint=f"give {_EXPECTED[self.kind]}, or null",
        )


_BITS = {"long": 63, "integer": 31}
"""Of whole numbers, without the sign."""

_JSON_TYPES = {str: "the text", bool: "the boolean", int: "the number", float: "the number", dict: "an object",
               list: "a list"}  # fmt: skip

_EXPECTED = {
    "double": "a number",
    "float": "a number",
    "long": "a whole number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a text",
    "datetime": "a time in ISO 8601, such as 2026-01-31T12:30:00Z",
}


def signature_columns(model: Any) -> tuple[Column, ...]:
    """The columns of an MLflow model's signature.

    Raises:
        ComponentError: it has none, or takes something else than columns of plain types.
    """
    where, hint = str(model.model_uuid), "log it with turnout.models.log, or with infer_signature(inputs, predictions)"
    schema = model.get_input_schema()
    if schema is None:
        raise ComponentError("the model has no signature", where=where, hint=hint)
    if not schema.has_input_names():
        raise ComponentError("the model's signature names no columns", where=where, hint="fit and log it with a table")
    found = tuple(Column(item.name, str(getattr(item.type, "name", item.type))) for item in schema.inputs)
    for column in found:
        if column.kind not in _TYPES:
            hint = "train the model on columns of these types"
            raise ComponentError(f"column '{column.name}' is {column.kind}", where=where, available=_TYPES, hint=hint)
    return found


def signature_of(directory: str | Path) -> tuple[Column, ...]:
    """The columns that a model takes, by its files; as `signature_columns`."""
    from mlflow.models import Model

    return signature_columns(Model.load(str(directory)))


def columns_of(table: pd.DataFrame, columns: Sequence[Column], where: str = "data") -> pd.DataFrame:
    """The columns of a table that a model takes, in the types of its signature.

    Raises:
        ComponentError: one is missing, or its values cannot be read as the model's.
    """
    names = [column.name for column in columns]
    require(table, names, where)
    try:
        rows = pa.Table.from_pandas(table[names], preserve_index=False)
        check_columns(rows.schema, columns, [])
        arrays = [column.cast(rows[column.name]) for column in columns]
    except pa.ArrowException as error:
        hint = "give the columns the types that they had when the model was trained"
        raise ComponentError(f"not what the model takes: {error}", where=where, hint=hint) from error
    taken: pd.DataFrame = pa.table(arrays, names=names).to_pandas()
    return taken.set_index(table.index)


def check_columns(schema: pa.Schema, columns: Sequence[Column], others: Iterable[str]) -> list[str]:
    """Hold a table's schema against what is asked of it; all that is wrong at once.

    Args:
        columns: what the model takes.
        others: further columns that must be there.

    Returns:
        The columns of the table that nobody asked for, in its order.

    Raises:
        ComponentError: a column is missing, or of a type that cannot be read as the model's.
    """
    faults: list[Fault] = []
    others = list(others)
    for name in dict.fromkeys([*(column.name for column in columns), *others]):
        if name not in schema.names:
            faults.append(Fault(f"no column '{name}'", "data", tuple(schema.names), did_you_mean(name, schema.names)))
    for column in columns:
        if column.name in schema.names and not column.reads(kind := schema.field(column.name).type):
            what = f"the model takes {column.kind}, and the column is {kind}"
            hint = "give the column the type that it had when the model was trained"
            faults.append(Fault(what, f"data.{column.name}", (), hint))
    if faults:
        raise ComponentError("\n".join(map(str, faults)))
    asked = {*others, *(column.name for column in columns)}
    return [name for name in schema.names if name not in asked]
