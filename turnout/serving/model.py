"""A model version that is ready to answer: loaded, tried on its input example, and timed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from turnout.errors import ComponentError
from turnout.models.compiled.opening import open_form
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.predicted import lacking
from turnout.serving.inputs import BadRequest, Inputs

_WARM_UP_ROWS = 5
_WARM_UP_CALLS = 20
_WARM_UP_SECONDS = 2.0


class ModelError(Exception):
    """The model failed, or gave no prediction; the request was as the model takes it."""


class ServedModel:
    """One version of a model.

    Attributes:
        version: its name, for answers.
        inputs: what it takes.
        classes: of a classifier, in the order of its probabilities.
        answering: which form of it answers, and why.
        compiled: whether it is arrays and trees, which cannot hang; and not code of anybody's.
        row_ms: what one row takes, of a warm model on a quiet machine.
        outputs: names and Arrow types of what it predicts.
        example: the rows that it was tried on.
    """

    def __init__(self, version: str, directory: str):
        self.version = version
        self._scorer, self.answering = open_form(directory)
        self.inputs = Inputs(self._scorer.columns)
        self.classes = self._scorer.classes
        self.example = self._example(Path(directory))
        self._row = self._scorer.row
        self.compiled = isinstance(self._scorer, CompiledScorer)
        self.outputs = {name: array.type for name, array in self.table(self.example).items()}
        self.classes = self._scorer.classes
        self.row_ms = self._warm_up()

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """Predictions of one row, by name.

        Args:
            values: checked, in the columns' order.

        Raises:
            ModelError: there are none.
            BadRequest: the model takes no such value, of a column that it names.
        """
        try:
            found = self._row(values)
        except Exception as error:  # a model may raise anything
            raise self._failed(error) from error
        for value in found.values():
            if value is None or value != value or (type(value) is dict and any(x != x for x in value.values())):
                raise ModelError("the model gives no prediction for this row")
        return found

    def table(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Predictions of rows, by name; raises as `row`."""
        try:
            found = self._scorer(batch)
        except Exception as error:  # a model may raise anything
            raise self._failed(error) from error
        for name, array in found.items():
            missing = lacking(array)
            if len(array) != batch.num_rows or missing.true_count:
                what = f"{len(array)} values of {name}, {missing.true_count} of them null, for {batch.num_rows} rows"
                raise ModelError(f"the model gives no prediction for each row: {what}")
        return found

    def _failed(self, error: Exception) -> Exception:
        if not isinstance(error, ComponentError):
            return ModelError(f"the model fails: {type(error).__name__}: {error}"[:500])
        if error.faults[0].where in self.inputs.by_name:
            fault = error.faults[0]
            return BadRequest(422, f"the input is not what the model takes: {fault.where}: {fault.what}", error.faults)
        return ModelError(str(error).partition("\n")[0])

    def _example(self, directory: Path) -> pa.RecordBatch:
        """Rows of the input example that was logged with the model; without one, a row of zeros and blanks."""
        file = directory / "input_example.json"
        try:
            split = json.loads(file.read_text())
            rows = split["data"][:_WARM_UP_ROWS]
            given = {name: [row[index] for row in rows] for index, name in enumerate(split["columns"])}
            return self.inputs.table(given, len(rows))
        except (OSError, ValueError, LookupError, TypeError, BadRequest):
            values = [{"boolean": False, "string": ""}.get(column.kind, 0) for column in self.inputs.columns]
            return self.inputs.batch(values)

    def _warm_up(self) -> float:
        """Call the model as requests will, until it is as fast as it gets; milliseconds for a row."""
        values = [column[0].as_py() for column in self.example.columns]
        taken: list[float] = []
        ends = time.perf_counter() + _WARM_UP_SECONDS
        while len(taken) < _WARM_UP_CALLS and (not taken or time.perf_counter() < ends):
            started = time.perf_counter()
            self.row(values)
            taken.append(time.perf_counter() - started)
        return 1000 * sorted(taken)[len(taken) // 4]  # others may be busy on the machine meanwhile


def plain(array: pa.Array) -> list[Any]:
    """The values of predictions, as JSON has them: maps from classes' names are objects."""
    values: list[Any] = array.to_pylist()
    return [dict(value) for value in values] if pa.types.is_map(array.type) else values
