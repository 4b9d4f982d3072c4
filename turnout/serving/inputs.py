"""What a request gives, held against the model's signature: all that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from turnout.errors import ComponentError, Fault, did_you_mean
from turnout.models.signature import Column

MOST_FAULTS = 20
"""That one answer tells."""

_PLAIN: dict[str, frozenset[type]] = {
    "double": frozenset({float, int, type(None)}),
    "long": frozenset({int, type(None)}),
    "integer": frozenset({int, type(None)}),
    "boolean": frozenset({bool, type(None)}),
    "string": frozenset({str, type(None)}),
}
"""Types of values that need not be looked at one by one."""

_AS_IT_IS: dict[str, frozenset[type]] = {
    "double": frozenset({float, type(None)}),
    "boolean": frozenset({bool, type(None)}),
    "string": frozenset({str, type(None)}),
}


class BadRequest(Exception):
    """A request that cannot be answered, and why.

    Attributes:
        status: of HTTP.
        faults: each `what`, `where` (a column, or a place in the request) and a hint.
    """

    def __init__(self, status: int, what: str, faults: Sequence[Fault] = (), hint: str = ""):
        self.status = status
        self.what = what
        self.faults = tuple(faults) or (Fault(what, hint=hint),)
        super().__init__(what)


@dataclass
class Faults:
    """What is wrong with a request; of more than a few, how many."""

    found: list[Fault] = field(default_factory=list)
    count: int = 0

    def add(self, fault: Fault) -> None:
        self.count += 1
        if len(self.found) < MOST_FAULTS:
            self.found.append(fault)

    def require_none(self) -> None:
        """Raises BadRequest."""
        if self.count:
            more = self.count - len(self.found)
            what = "; ".join(f"{fault.where}: {fault.what}" for fault in self.found[:3])
            what += f"; and {self.count - 3} more" if self.count > 3 else ""
            if more:
                self.found.append(Fault(f"and {more} more", "request", hint="put these right first"))
            raise BadRequest(422, f"the input is not what the model takes: {what}", self.found)


class Inputs:
    """The columns that a model takes."""

    def __init__(self, columns: Sequence[Column]):
        self.columns = tuple(columns)
        self.names = [column.name for column in columns]
        self.by_name = {column.name: column for column in columns}
        self.schema = pa.schema([(column.name, column.arrow) for column in columns])
        # What the fast path of one row looks at: the name, the types that need no work, and the rule for all others.
        self._rules = [(item.name, _AS_IT_IS.get(item.kind, frozenset({type(None)})), item.value) for item in columns]

    def row(self, given: Mapping[str, Any]) -> list[Any]:
        """One row's values, in the columns' order.

        Raises:
            BadRequest: a column is missing, or its value cannot be read as the model's.
        """
        values = []
        try:
            for name, as_it_is, rule in self._rules:
                value = given[name]
                if type(value) not in as_it_is or value != value:
                    value = rule(value)
                values.append(value)
        except (KeyError, ComponentError):
            self._explain([given])
            raise
        return values

    def batch(self, values: Sequence[Any]) -> pa.RecordBatch:
        """One row, as `row` gave it, as a batch."""
        arrays = [pa.array([value], item.type) for value, item in zip(values, self.schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def rows(self, given: Sequence[Any]) -> pa.RecordBatch:
        """Rows, each an object with the model's columns; raises BadRequest as `row`."""
        if not all(type(row) is dict for row in given):
            self._explain(given)
        try:
            return self.table({name: [row[name] for row in given] for name in self.names}, len(given))
        except KeyError:
            self._explain(given)
            raise

    def table(self, given: Mapping[str, Sequence[Any]], rows: int) -> pa.RecordBatch:
        """Columns of a table, each so many values of JSON, or an Arrow array; raises BadRequest as `row`."""
        faults = Faults()
        self._require_names(given, faults, "")
        arrays = []
        for column in self.columns:
            if column.name in given:
                arrays.append(self._array(column, given[column.name], faults, rows > 1))
        faults.require_none()
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, column: Column, values: Any, faults: Faults, many: bool) -> pa.Array:
        if isinstance(values, pa.Array):
            return self._cast(column, values, faults)
        if set(map(type, values)) <= _PLAIN.get(column.kind, frozenset()):
            try:
                array = pa.array(values, column.arrow, from_pandas=True)  # nan is null
            except (pa.ArrowException, OverflowError):
                pass
            else:
                return array
        found = []
        for index, value in enumerate(values):
            try:
                found.append(column.value(value))
            except ComponentError as error:
                faults.add(_placed(error, f"rows[{index}].{column.name}" if many else column.name))
        return pa.array(found, column.arrow)

    def _cast(self, column: Column, values: pa.Array, faults: Faults) -> pa.Array:
        if not column.reads(values.type):
            hint = "give the column the type that it had when the model was trained"
            faults.add(Fault(f"the model takes {column.kind}, and the column is {values.type}", column.name, (), hint))
            return values
        try:
            return column.cast(values)
        except ComponentError as error:
            faults.add(error.faults[0])
            return values

    def _require_names(self, given: Iterable[str], faults: Faults, place: str) -> None:
        names = list(given)
        known = set(names)
        if missing := [name for name in self.names if name not in known]:
            others = [name for name in names[:_COMPARED] if name not in self.by_name]
            for name in missing:
                if len(faults.found) == MOST_FAULTS:
                    faults.count += 1
                    continue
                close = did_you_mean(name[:100], [other for other in others if len(other) < 100])
                hint = close.replace("did you mean", f"write '{name}'; did you mean it by")
                all_of_them = "" if faults.found else f": the model takes {', '.join(self.names[:_SHOWN])}"
                hint = hint or f"give it a value, or null{all_of_them}"
                faults.add(Fault("the column is missing", f"{place}{name}", (), hint))

    def _explain(self, given: Sequence[Any]) -> None:
        """Raise BadRequest with all that is wrong with rows."""
        faults = Faults()
        for index, row in enumerate(given):
            place = f"rows[{index}]" if len(given) > 1 else "row"
            if type(row) is not dict:
                faults.add(Fault("a row is an object with a value for each column", place, (),
                                 f"write {{{', '.join(repr(name) for name in self.names[:3])}: ...}}"))  # fmt: skip
                continue
            inner = f"{place}." if len(given) > 1 else ""
            self._require_names(row, faults, inner)
            for column in self.columns:
                if column.name in row:
                    try:
                        column.value(row[column.name])
                    except ComponentError as error:
                        faults.add(_placed(error, f"{inner}{column.name}"))
            if faults.count > 10 * MOST_FAULTS:
                break
        faults.require_none()


_COMPARED, _SHOWN = 50, 50
"""Names of a request that are compared with those of missing columns; names of the model's columns in a hint."""


def _placed(error: ComponentError, where: str) -> Fault:
    fault = error.faults[0]
    return Fault(fault.what, where, fault.available, fault.hint)
