"""Labels that come later, and what they say of predictions that were given: how wrong each was, and what it brought."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.errors import ComponentError, did_you_mean


@dataclass(frozen=True)
class LabelSource:
    """Where labels come to, as `ingest` reads tables.

    Attributes:
        source: path or URI of a table; it is read again at each look, a file on this machine when it has changed.
        label: its column with the truth; empty for none.
        keys: its columns that tell requests apart: `request_id`, or columns that the model takes.
        business: its column with what a request brought, between 0 and 1, more is better; empty for none.
        largest_error: of a number that is predicted: an error of that size, or more, is a loss of 1.
    """

    source: str
    label: str = ""
    keys: tuple[str, ...] = ("request_id",)
    business: str = ""
    largest_error: float = 0.0


def stamp(source: LabelSource) -> tuple[int, int, int] | None:
    """What changes with the file of the labels; None where nobody knows without reading them."""
    try:
        found = Path(source.source).stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None


def read_labels(source: LabelSource) -> pa.Table:
    """The labels: the keys' columns, `label` and `business` where there are; the last row of each key.

    Raises:
        ComponentError: there is no such table, or it lacks a column.
    """
    from turnout.data.fetching import fetch
    from turnout.data.tables import read_table

    with tempfile.TemporaryDirectory() as directory:
        table = read_table(fetch(source.source, "", Path(directory)).path, "auto", [])[0]
    columns = {**{key: key for key in source.keys}, "label": source.label, "business": source.business}
    chosen = {name: column for name, column in columns.items() if column}
    for column in chosen.values():
        if column not in table.column_names:
            hint = did_you_mean(column, table.column_names) or "name a column of the table"
            raise ComponentError(f"the labels have no column {column}", where=source.source,
                                 available=table.column_names, hint=hint)  # fmt: skip
    found = pa.table({name: table[column] for name, column in chosen.items()})
    if "business" in found.column_names:
        found = found.set_column(found.schema.get_field_index("business"), "business", _shares(found, source))
    keys = list(source.keys)
    rest = [name for name in found.column_names if name not in keys]
    last = found.group_by(keys, use_threads=False).aggregate([(name, "last") for name in rest])
    return last.rename_columns([name.removesuffix("_last") if name not in keys else name for name in last.column_names])


def judged(kept: pa.Table, labels: pa.Table, source: LabelSource) -> pa.Table:
    """Predictions with `loss`, `bias` and `business`, null where no label has come.

    Of a probability the loss is its squared distance from the truth (Brier), of a class 1 when it is wrong, of a number
    its distance as a part of the largest error.

    Args:
        kept: the keys, `predicted` (the class or the number) and `probability` (null where the model gives none).
        labels: as `read_labels` gives them.

    Raises:
        ComponentError: the labels are of another kind than the predictions.
    """
    keys = list(source.keys)
    if missing := [key for key in keys if key not in kept.column_names]:
        known = [name for name in kept.column_names if name not in ("predicted", "probability", "version")]
        raise ComponentError(f"the request log has no column {missing[0]} to join labels by", where=source.source,
                             available=known, hint="name request_id, or columns that the model takes")  # fmt: skip
    for key in keys:
        labels = labels.set_column(
            labels.schema.get_field_index(key), key, _as(labels[key], kept.schema.field(key).type)
        )
    places = kept.append_column("place", pa.array(np.arange(len(kept))))
    joined = places.join(labels, keys, join_type="left outer", use_threads=False).sort_by("place").combine_chunks()
    none = pa.nulls(len(joined), pa.float64())
    loss = bias = none
    if "label" in joined.column_names:
        loss, bias = _wrong(joined["predicted"], joined["probability"], joined["label"], source)
    business = joined["business"] if "business" in joined.column_names else none
    for name, values in (("loss", loss), ("bias", bias), ("business", business)):
        kept = kept.append_column(name, values)
    return kept


def _wrong(
    predicted: pa.ChunkedArray, probability: pa.ChunkedArray, label: pa.ChunkedArray, source: LabelSource
) -> tuple[Any, Any]:
    none = pa.nulls(len(predicted), pa.float64())
    if not pc.any(pc.is_valid(label)).as_py():
        return none, none
    if pc.any(pc.is_valid(probability)).as_py():
        truth = _is_second(label, predicted, source)
        if truth is None:
            return none, none
        bias = pc.subtract(probability.cast(pa.float64()), truth)
        return pc.multiply(bias, bias), bias
    if pa.types.is_floating(predicted.type):
        if source.largest_error <= 0:
            raise ComponentError("of a number, it has to be said which error is as bad as can be", where=source.source,
                                 hint="give largest_error: an error that large is a loss of 1")  # fmt: skip
        part = pc.divide(pc.subtract(predicted, _as(label, pa.float64())), source.largest_error)
        bias = pc.max_element_wise(pc.min_element_wise(part, 1.0, skip_nulls=False), -1.0, skip_nulls=False)
        return pc.abs(bias), bias
    return pc.not_equal(predicted, _as(label, predicted.type)).cast(pa.float64()), none


def _is_second(label: pa.ChunkedArray, predicted: pa.ChunkedArray, source: LabelSource) -> Any:
    """1 where the label is the second of two classes, whose probability a model gives; None while one is unknown."""
    label = _as(label, predicted.type)
    classes = sorted({value for column in (label, predicted) for value in pc.unique(column).to_pylist()} - {None})
    if len(classes) > 2:
        what = f"the model predicts one of two classes, and with the labels there are {len(classes)}"
        raise ComponentError(what, where=source.source, available=list(map(str, classes[:20])),
                             hint="give labels as the model has learned them")  # fmt: skip
    if len(classes) < 2 and set(classes) - {0, 1}:
        return None
    second = classes[-1] if len(classes) == 2 else 1
    return pc.equal(label, pa.scalar(second, label.type)).cast(pa.float64())


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column in the type of the log's."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.type == kind:
        return column
    steps: tuple[Callable[[], pa.ChunkedArray], ...] = (
        lambda: column.cast(kind),
        lambda: column.cast(pa.string()).cast(kind),
    )
    for step in steps:
        try:
            return step()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    raise ComponentError(f"the labels have values of type {column.type}, and the request log {kind}",
                         where=str(column[:1].to_pylist()), hint="give them as the model has them")  # fmt: skip


def _shares(table: pa.Table, source: LabelSource) -> pa.ChunkedArray:
    values = _as(table["business"], pa.float64())
    ends = pc.min_max(values).as_py()
    if ends["min"] is not None and not 0 <= ends["min"] <= ends["max"] <= 1:
        what = (
            f"values of the business metric are between 0 and 1, and these between {ends['min']:g} and {ends['max']:g}"
        )
        raise ComponentError(what, where=f"{source.source}: {source.business}",
                             hint="divide by the most that a request can bring")  # fmt: skip
    return values


def key_columns(source: LabelSource | None) -> Sequence[str]:
    """Columns of the request log, beside the request's id, that labels are joined by."""
    return [key for key in source.keys if key != "request_id"] if source else []
