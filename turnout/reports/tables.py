"""Tables of the libraries that people compute with, as rows of cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turnout.errors import ComponentError
from turnout.reports.cells import Bar, Histogram, Link, Mark, Number
from turnout.reports.numbers import NOTHING, alike

MOST_ROWS = 200
"""Rows that a report shows: what a person reads."""

_LONGEST = 500


def table_of(table: Any, columns: Sequence[str] = ()) -> tuple[list[str], list[list[Any]], int]:
    """A table's columns, its first rows, and how many rows there are.

    Args:
        table: a DataFrame (pandas, Polars), a table of Arrow, a list of dicts or of lists, or a dict of names and
            values.
        columns: of a list of lists; of other tables, those to show.

    Raises:
        ComponentError: it is none of these.
    """
    names, rows, count = _read(table, list(columns))
    width = max([len(names), *map(len, rows)], default=0)
    names = [*names, *[""] * (width - len(names))]
    return names, _formed([[*row, *[None] * (width - len(row))] for row in rows]), count


def _read(table: Any, columns: list[str]) -> tuple[list[str], list[list[Any]], int]:
    if hasattr(table, "iloc") and hasattr(table, "columns"):  # pandas
        shown = (table[columns] if columns else table).iloc[:MOST_ROWS]
        names, index = [_name(name) for name in shown.columns], shown.index
        rows = [list(row) for row in shown.itertuples(index=False, name=None)]
        if index.nlevels == 1 and index.name is None and index.dtype.kind in "iu":  # the rows' numbers
            return names, rows, len(table)
        keys = [list(key) if index.nlevels > 1 else [key] for key in index]
        return [*(_name(name or "") for name in index.names), *names], list(map(list.__add__, keys, rows)), len(table)
    if hasattr(table, "to_frame") and hasattr(table, "iloc"):  # a Series of pandas
        return _read(table.to_frame(table.name if table.name is not None else "value"), columns)
    if hasattr(table, "to_pylist") and hasattr(table, "column_names"):  # Arrow
        return *_of_mappings(table.slice(0, MOST_ROWS).to_pylist(), columns or table.column_names), table.num_rows
    if hasattr(table, "iter_rows") and hasattr(table, "columns"):  # Polars
        return *_of_mappings(list(table.head(MOST_ROWS).iter_rows(named=True)), columns or list(table.columns)), len(
            table
        )
    if isinstance(table, Mapping):
        return columns or ["", ""], [[str(name), value] for name, value in list(table.items())[:MOST_ROWS]], len(table)
    if isinstance(table, Iterable) and not isinstance(table, str | bytes):
        given: list[Any] = list(table)
        first = given[:MOST_ROWS]
        if all(isinstance(row, Mapping) for row in first):
            return *_of_mappings(first, columns), len(given)
        if all(isinstance(row, Sequence) and not isinstance(row, str | bytes) for row in first):
            return columns, [list(row) for row in first], len(given)
    hint = "give a DataFrame, a list of dicts, a list of lists with columns, or a dict of names and values"
    raise ComponentError(f"not a table: {type(table).__name__}", where="report.table", hint=hint)


def _of_mappings(rows: Sequence[Mapping[Any, Any]], columns: list[Any]) -> tuple[list[str], list[list[Any]]]:
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    return [_name(name) for name in names], [[row.get(name) for name in names] for row in rows]


def _name(name: Any) -> str:
    return " ".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)


def _formed(rows: list[list[Any]]) -> list[list[Any]]:
    """The rows with cells that a page can show; the numbers of a column have as many digits after the point."""
    plain = [[_plain(value) for value in row] for row in rows]
    for place in range(len(plain[0]) if plain else 0):
        floats = [row[place] for row in plain if isinstance(row[place], float)]
        for row, text in zip((row for row in plain if isinstance(row[place], float)), alike(floats), strict=True):
            row[place] = Number(text)
        whole = [row[place] for row in plain if type(row[place]) is int]
        if whole and min(whole) >= 1900 and max(whole) < 2100:  # years
            for row in plain:
                row[place] = Number(row[place]) if type(row[place]) is int else row[place]
    return plain


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, Link | Bar | Histogram | Mark | Number):
        return NOTHING if value is None else value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a scalar of numpy
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else Number(NOTHING if math.isnan(value) else f"{value:g}")
    if isinstance(value, bool | int):
        return "yes" if value is True else "no" if value is False else value
    text = NOTHING if str(value) in ("NaT", "<NA>") else str(value)
    if hasattr(value, "isoformat") and text.endswith(" 00:00:00"):
        text = text.removesuffix(" 00:00:00")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
