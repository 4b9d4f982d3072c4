"""The Open Inference Protocol, version 2, over REST: what KServe, Triton and their clients speak.

Each column of the model is an input of shape [rows] or [rows, 1]. A model whose columns are all numbers also takes one
input of shape [rows, columns]. Tensors may be JSON, or bytes behind it.

Sources: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton's extension
for binary tensor data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from turnout.errors import Fault
from turnout.models.signature import Column
from turnout.serving.inputs import BadRequest, Inputs
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked, Request, Written, dumps, parse, require_rows
from turnout.serving.protocols.tensors import DATATYPES, datatype_of, from_bytes, to_bytes

SERVER = "turnout"
HEADER_LENGTH = b"inference-header-content-length"

_OF_COLUMN = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL",
              "string": "BYTES", "datetime": "BYTES"}  # fmt: skip


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


def paths(model: str, version: str) -> list[str]:
    """The addresses of a model, without and with its version."""
    return [f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"]


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


class V2:
    """`POST /v2/models/MODEL/infer`."""

    name = "v2"

    def __init__(self, model: str, inputs: Inputs, outputs: Mapping[str, pa.DataType], rows_limit: int):
        self._model, self._inputs, self._outputs, self._limit = model, inputs, outputs, rows_limit

    def read(self, request: Request) -> Asked:
        document, data = _parts(request)
        tensors = document.get("inputs")
        if type(tensors) is not list or not tensors or not all(type(item) is dict for item in tensors):
            hint = 'write {"inputs": [{"name": COLUMN, "shape": [ROWS], "datatype": "FP64", "data": [...]}, ...]}'
            raise BadRequest(400, "the request has no list of inputs", hint=hint)
        if len(tensors) > 2 * len(self._inputs.columns) + 16:
            hint = f"the model takes {len(self._inputs.columns)} columns"
            raise BadRequest(422, f"the request has {len(tensors):,} inputs", hint=hint)
        wanted = self._wanted(document)
        columns: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for tensor in tensors:
            name, shape, values = _tensor(tensor, data)
            if len(tensors) == 1 and len(shape) == 2 and shape[1] == len(self._inputs.names) != 1:
                width = shape[1]
                for index, column in enumerate(self._inputs.names):
                    columns[column], counts[column] = values[index::width], shape[0]
                continue
            if any(size != 1 for size in shape[1:]):
                hint = (
                    f"give each column an input of shape [ROWS], or all {len(self._inputs.names)} one of two dimensions"
                )
                raise BadRequest(422, f"the input '{name:.100}' has the shape {shape[:8]}", hint=hint)
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

    def _wanted(self, document: Mapping[str, Any]) -> Wanted:
        binary = _parameters(document).get("binary_data_output") is True
        outputs = document.get("outputs")
        named: dict[str, bool] | None = None
        if outputs:
            if type(outputs) is not list or not all(type(item) is dict for item in outputs):
                raise BadRequest(400, "outputs is no list of objects", hint='write [{"name": "prediction"}]')
            named = {}
            for item in outputs[: len(self._outputs) + 1]:
                name = item.get("name")
                if type(name) is not str or name not in self._outputs:
                    fault = Fault("the model has no such output", f"outputs.{name!s:.100}", tuple(self._outputs))
                    raise BadRequest(422, f"the model has no output '{name!s:.100}'", [fault])
                named[name] = _parameters(item).get("binary_data", binary) is True
        return Wanted(_text(document.get("id", "")), named, binary)

    def write(self, asked: Asked, answer: Answer, request: Request) -> Written:
        wanted: Wanted = asked.context
        outputs, pieces = [], []
        for name, values in answer.predictions.items():
            if wanted.outputs is not None and name not in wanted.outputs:
                continue
            kind = datatype_of(self._outputs[name])
            said: dict[str, Any] = {"name": name, "datatype": kind, "shape": [len(values)]}
            if values and type(values[0]) is dict:
                classes = list(values[0])
                said |= {"shape": [len(values), len(classes)], "parameters": {"classes": classes}}
                values = [value[key] for value in values for key in classes]
            if wanted.outputs[name] if wanted.outputs is not None else wanted.binary:
                piece = to_bytes(values, kind)
                said["parameters"] = {**said.get("parameters", {}), "binary_data_size": len(piece)}
                pieces.append(piece)
            else:
                said["data"] = values
            outputs.append(said)
        document: dict[str, Any] = {"model_name": self._model, "model_version": answer.version, "outputs": outputs}
        document["id"] = wanted.id or request.request_id
        if answer.fallback:
            document["parameters"] = {"fallback": answer.fallback, "fallback_reason": answer.reason}
        header = dumps(document)
        if not pieces:
            return Written(header)
        length = (HEADER_LENGTH, b"%d" % len(header))
        return Written(b"".join([header, *pieces]), [(b"content-type", b"application/octet-stream"), length])


def _parts(request: Request) -> tuple[dict[str, Any], _Bytes]:
    """The JSON of a request, and the bytes behind it."""
    body = memoryview(request.body)
    length = len(body)
    if (given := request.headers.get(HEADER_LENGTH)) is not None:
        if not (given.isdigit() and len(given) < 12 and int(given) <= length):
            what = f"the header {HEADER_LENGTH.decode()} is not a length within the body"
            raise BadRequest(400, what, hint=f"the body has {length} bytes")
        length = int(given)
    document = parse(body[:length])
    if type(document) is not dict:
        raise BadRequest(400, "the request is not an object", hint='write {"inputs": [...]}')
    return document, _Bytes(body[length:])


class _Bytes:
    """Bytes behind a request's JSON, which its inputs take one after the other."""

    def __init__(self, left: memoryview):
        self._left = left

    def take(self, size: int) -> memoryview:
        if size > len(self._left):
            raise BadRequest(400, f"the body ends before the {size} bytes of an input", hint="send all of them")
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _tensor(tensor: Mapping[str, Any], data: _Bytes) -> tuple[str, list[int], Any]:
    """A tensor's name, shape and values, one after the other: a list, or an Arrow array."""
    name, shape, kind = tensor.get("name"), tensor.get("shape"), tensor.get("datatype")
    if type(name) is not str:
        raise BadRequest(400, "an input has no name", hint="write its column's")
    if type(shape) is not list or not shape or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise BadRequest(400, f"the input '{name:.100}' has no shape", hint="write [ROWS], or [ROWS, 1]")
    if kind not in DATATYPES:
        fault = Fault("no such datatype", f"{name:.100}.datatype", tuple(DATATYPES), "write one of these")
        raise BadRequest(400, f"the input '{name:.100}' has the datatype {kind!s:.20}", [fault])
    size = _parameters(tensor).get("binary_data_size")
    values: Any
    if size is not None:
        if type(size) is not int or size < 0:
            raise BadRequest(400, f"the binary_data_size of '{name:.100}' is no size", hint="write the bytes' number")
        values = from_bytes(data.take(size), kind, name)
    else:
        values = tensor.get("data")
        if type(values) is not list:
            raise BadRequest(400, f"the input '{name:.100}' has no data", hint="write a list of values")
        while values and type(values[0]) is list:  # nested by dimension
            if not all(type(item) is list for item in values):
                raise BadRequest(400, f"the data of '{name:.100}' is nested unevenly", hint="write one list of values")
            values = [value for item in values for value in item]
    expected = 1
    for length in shape:
        expected = min(expected * length, 2**62)
    if len(values) != expected:
        what = f"the input '{name:.100}' has {len(values):,} values, and its shape says {expected:,}"
        raise BadRequest(422, what, hint="make them agree")
    return name, shape, values


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    found = given.get("parameters")
    return found if type(found) is dict else {}


def _text(value: Any) -> str:
    return value[:256] if type(value) is str else ""
