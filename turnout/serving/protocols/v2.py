"""The Open Inference Protocol, version 2, whatever it travels by: what KServe, Triton and their clients speak.

Each column of the model is an input of shape [rows] or [rows, 1]. A model whose columns are all numbers also takes one
input of shape [rows, columns]. `v2_rest` reads and writes it as JSON by HTTP, `v2_grpc` as messages of gRPC.

Source: https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from turnout.errors import Fault
from turnout.models.signature import Column
from turnout.serving.inputs import BadRequest, Inputs
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked, require_rows
from turnout.serving.protocols.tensors import DATATYPES, datatype_of

SERVER = "turnout"

_OF_COLUMN = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL",
              "string": "BYTES", "datetime": "BYTES"}  # fmt: skip

_LONGEST_ID = 256


@dataclass(frozen=True)
class Wanted:
    """What a request wants of the answer.

    Attributes:
        outputs: names and whether as bytes; None for all that there are.
        binary: whether those that are not named are bytes.
    """

    id: str
    outputs: Mapping[str, bool] | None
    binary: bool

    def __post_init__(self) -> None:
        if len(self.id) > _LONGEST_ID:
            object.__setattr__(self, "id", self.id[:_LONGEST_ID])


class Tensor(NamedTuple):
    """An input: its values one after the other, a list or an Arrow array."""

    name: str
    shape: Sequence[int]
    values: Any


class Output(NamedTuple):
    """An output: its values one after the other; of probabilities by class, which the classes are."""

    name: str
    datatype: str
    shape: list[int]
    values: Sequence[Any]
    classes: list[Any]
    binary: bool


def server_metadata(version: str) -> dict[str, Any]:
    return {"name": SERVER, "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(
    model: str, version: str, columns: Sequence[Column], outputs: Mapping[str, pa.DataType], classes: Sequence[Any]
) -> dict[str, Any]:
    """What a client is told of a model; -1 is the number of rows."""
    found: list[dict[str, Any]] = []
    for name, kind in outputs.items():
        said: dict[str, Any] = {"name": name, "datatype": datatype_of(kind), "shape": [-1]}
        if pa.types.is_map(kind):
            said |= {"shape": [-1, len(classes)], "parameters": {"classes": [str(item) for item in classes]}}
        found.append(said)
    return {
        "name": model,
        "versions": [version],
        "platform": SERVER,
        "inputs": [{"name": item.name, "datatype": _OF_COLUMN[item.kind], "shape": [-1]} for item in columns],
        "outputs": found,
    }


class Meaning:
    """What requests and answers mean for a model.

    Args:
        inputs: the columns that requests give.
        outputs: types of the predictions, by name.
        rows_limit: rows in one request.
    """

    def __init__(self, inputs: Inputs, outputs: Mapping[str, pa.DataType], rows_limit: int):
        self._inputs, self._outputs, self._limit = inputs, outputs, rows_limit

    @property
    def most_tensors(self) -> int:
        """Inputs above which most of them can be nobody's."""
        return 2 * len(self._inputs.columns) + 16

    def require_few(self, tensors: int) -> None:
        """Raises BadRequest when there are more inputs than `most_tensors`."""
        if tensors > self.most_tensors:
            hint = f"the model takes {len(self._inputs.columns)} columns"
            raise BadRequest(422, f"the request has {tensors:,} inputs", hint=hint)

    def require_output(self, name: Any) -> None:
        """Raises BadRequest for an output that the model does not have."""
        if type(name) is not str or name not in self._outputs:
            fault = Fault("the model has no such output", f"outputs.{name!s:.100}", tuple(self._outputs))
            raise BadRequest(422, f"the model has no output '{name!s:.100}'", [fault])

    def asked(self, tensors: Iterable[Tensor], number: int, wanted: Wanted) -> Asked:
        """What is asked with inputs, which are so many; raises BadRequest."""
        columns: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for name, shape, values in tensors:
            if number == 1 and len(shape) == 2 and shape[1] == len(self._inputs.names) != 1:
                width = shape[1]
                for index, column in enumerate(self._inputs.names):
                    columns[column], counts[column] = values[index::width], shape[0]
                continue
            if len(shape) > 1 and any(size != 1 for size in shape[1:]):
                hint = (
                    f"give each column an input of shape [ROWS], or all {len(self._inputs.names)} one of two dimensions"
                )
                raise BadRequest(422, f"the input '{name:.100}' has the shape {list(shape[:8])}", hint=hint)
            columns[name], counts[name] = values, len(values)
        used = {counts[name] for name in self._inputs.names if name in counts}
        if len(used) > 1:
            raise BadRequest(422, f"the inputs have {min(used)} to {max(used)} rows", hint="give all the same number")
        rows = max(used, default=1)
        require_rows(rows, self._limit)
        if rows == 1:
            first = {name: found[0] for name, found in columns.items() if len(found)}
            given = {name: value.as_py() if isinstance(value, pa.Scalar) else value for name, value in first.items()}
            return Asked(values=self._inputs.row(given), context=wanted)
        return Asked(batch=self._inputs.table(columns, rows), context=wanted)

    def outputs(self, answer: Answer, wanted: Wanted) -> Iterator[Output]:
        """What is answered."""
        for name, values in answer.predictions.items():
            if wanted.outputs is not None and name not in wanted.outputs:
                continue
            binary = wanted.outputs[name] if wanted.outputs is not None else wanted.binary
            shape, classes = [len(values)], []
            if values and type(values[0]) is dict:
                classes = list(values[0])
                shape = [len(values), len(classes)]
                values = [value[key] for value in values for key in classes]
            yield Output(name, datatype_of(self._outputs[name]), shape, values, classes, binary)


def checked(name: Any, shape: Any, kind: Any) -> tuple[str, list[int], str]:
    """An input's name, shape and datatype; raises BadRequest when it lacks one, or there is no such datatype."""
    if type(name) is not str:
        raise BadRequest(400, "an input has no name", hint="write its column's")
    if type(shape) is not list or not shape or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise BadRequest(400, f"the input '{name:.100}' has no shape", hint="write [ROWS], or [ROWS, 1]")
    if kind not in DATATYPES:
        fault = Fault("no such datatype", f"{name:.100}.datatype", tuple(DATATYPES), "write one of these")
        raise BadRequest(400, f"the input '{name:.100}' has the datatype {kind!s:.20}", [fault])
    return name, shape, kind


def require_values(name: str, shape: Sequence[int], values: int) -> None:
    """Raises BadRequest when an input has another number of values than its shape says."""
    expected = 1
    for length in shape:
        expected = min(expected * length, 2**62)
    if values != expected:
        what = f"the input '{name:.100}' has {values:,} values, and its shape says {expected:,}"
        raise BadRequest(422, what, hint="make them agree")
