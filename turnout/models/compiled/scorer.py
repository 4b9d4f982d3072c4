"""A compiled model as a function of rows: arrays and onnxruntime, without scikit-learn and without pickle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.errors import ComponentError
from turnout.models.compiled import preparation
from turnout.models.compiled.form import GRAPH, Form, read_form
from turnout.models.compiled.one_row import of_row
from turnout.models.predicted import by_name
from turnout.models.signature import Column


class CompiledScorer:
    """A compiled model that is loaded; what `turnout.models.scorer.Scorer` is for the model itself.

    Args:
        directory: the compiled form's files.

    Attributes:
        columns: what the model takes, by its signature.
        classes: of a classifier, in the order of its probabilities; empty for any other model.
    """

    def __init__(self, directory: str | Path):
        import onnxruntime

        place = Path(directory)
        self.form: Form = read_form(place)
        self.columns: tuple[Column, ...] = self.form.columns
        self.classes: tuple[Any, ...] = self.form.output.classes
        options = onnxruntime.SessionOptions()
        # One process a core is faster than threads in each; and one order of additions is repeatable.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            (place / GRAPH).read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self._run, self._asked = session.run, [self.form.graph_output]
        names = self.names
        self._rows = preparation.of_rows(self.form.preparation, names)
        self._row = of_row(self.form.preparation, names)
        refused = self.form.refused
        self._columns_checked = bool(refused.missing or refused.infinite)
        self._check_inputs = _input_check(refused.inputs)
        self._precision = np.float64 if self.form.precision == "double" else np.float32
        kind = pa.type_for_alias(self.form.output.kind)
        self._kind = kind
        self._labels = pa.array(self.classes, kind) if self.classes else None
        self._names = tuple(map(str, self.classes))

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Predictions by column, as those of the model itself.

        Args:
            batch: has the columns that the model takes, of any type that they can be read from.

        Raises:
            ComponentError: the model refuses a value.
        """
        arrays = [column.cast(batch[column.name]) for column in self.columns]
        if self._columns_checked:
            self._check_rows(arrays)
        found = self._found(self._rows(arrays))
        if self._labels is None:
            return {"prediction": pa.array(found.reshape(-1)).cast(self._kind)}
        if len(self.classes) == 2:
            chances = np.ascontiguousarray(found[:, -1])
            labels = self._labels.take(pa.array((chances > 0.5).astype(np.int64)))
            return {"prediction": labels, "probability": pa.array(chances)}
        labels = self._labels.take(pa.array(found.argmax(axis=1)))
        return {"prediction": labels, "probabilities": by_name(found, self.classes)}

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """The predictions of one row, as Python's values.

        Args:
            values: in the order of the columns, of the types that the signature says, None for a missing one; times
                as datetime, in UTC if they have no zone.

        Raises:
            ComponentError: the model refuses a value, or has no prediction for the row.
        """
        if self._columns_checked:
            self._check_row(values)
        found = self._found(np.array([self._row(values)]))[0]
        if self._labels is None:
            number = float(found) if found.ndim == 0 else float(found[0])
            if math.isnan(number):
                raise _nothing()
            return {"prediction": number}
        if len(self.classes) == 2:
            chance = float(found[-1])
            if math.isnan(chance):
                raise _nothing()
            return {"prediction": self.classes[chance > 0.5], "probability": chance}
        if math.isnan(found.sum()):
            raise _nothing()
        label = self.classes[int(found.argmax())]
        return {"prediction": label, "probabilities": dict(zip(self._names, found.tolist(), strict=True))}

    def _found(self, prepared: np.ndarray) -> np.ndarray:
        if self._check_inputs is not None:
            self._check_inputs(prepared)
        inputs = np.ascontiguousarray(prepared, dtype=self._precision)
        (found,) = self._run(self._asked, {self.form.graph_input: inputs})
        return np.asarray(found, dtype=np.float64)

    def _check_row(self, values: Sequence[Any]) -> None:
        for place in self.form.refused.missing:
            if values[place] is None or values[place] != values[place]:
                raise _refused(self.columns[place], "a missing value")
        for place in self.form.refused.infinite:
            if values[place] is not None and math.isinf(values[place]):
                raise _refused(self.columns[place], "an infinite value")

    def _check_rows(self, arrays: Sequence[pa.Array]) -> None:
        for place in self.form.refused.missing:
            if arrays[place].null_count or (self.columns[place].numeric and _any_nan(arrays[place])):
                raise _refused(self.columns[place], "a missing value")
        for place in self.form.refused.infinite:
            if np.isinf(preparation.as_doubles(arrays[place])).any():
                raise _refused(self.columns[place], "an infinite value")


def _input_check(refused: Sequence[str]) -> Callable[[np.ndarray], None] | None:
    """What raises for numbers that the estimator refuses."""
    if not refused:
        return None
    nan, largest = "nan" in refused, np.inf
    if "large" in refused:
        largest = float(np.finfo(np.float32).max)
    elif "infinite" in refused:
        largest = float(np.finfo(np.float64).max)

    def check(prepared: np.ndarray) -> None:
        size = np.abs(prepared)
        good = size <= largest if nan else ~(size > largest)
        if not good.all():
            hint = "look for missing and extreme values in the row"
            raise ComponentError("the model refuses a number that its preparation made", where="row", hint=hint)

    return check


def _any_nan(array: pa.Array) -> bool:
    return bool(np.isnan(preparation.as_doubles(array)).any())


def _refused(column: Column, what: str) -> ComponentError:
    hint = "fill it in before, or train the model with a step that does"
    return ComponentError(f"the model refuses {what}", where=column.name, hint=hint)


def _nothing() -> ComponentError:
    hint = "look for missing and extreme values in the row"
    return ComponentError("the model gives no prediction", where="row", hint=hint)
