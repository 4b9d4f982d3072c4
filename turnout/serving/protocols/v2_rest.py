"""The Open Inference Protocol by HTTP: JSON, with tensors in it or as bytes behind it.

Sources: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton's extension
for binary tensor data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.serving.inputs import BadRequest
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked, JsonErrors, Request, Written, dumps, parse
from turnout.serving.protocols.tensors import from_bytes, to_bytes
from turnout.serving.protocols.v2 import Meaning, Tensor, Wanted, checked, require_values

HEADER_LENGTH = b"inference-header-content-length"


def paths(model: str, version: str) -> list[str]:
    """The addresses of a model, without and with its version."""
    return [f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"]


class V2(JsonErrors):
    """`POST /v2/models/MODEL/infer`."""

    name = "v2"

    def __init__(self, model: str, meaning: Meaning):
        self._model, self._meaning = model, meaning

    def read(self, request: Request) -> Asked:
        document, data = _parts(request)
        tensors = document.get("inputs")
        if type(tensors) is not list or not tensors or not all(type(item) is dict for item in tensors):
            hint = 'write {"inputs": [{"name": COLUMN, "shape": [ROWS], "datatype": "FP64", "data": [...]}, ...]}'
            raise BadRequest(400, "the request has no list of inputs", hint=hint)
        self._meaning.require_few(len(tensors))
        wanted = self._wanted(document)
        return self._meaning.asked(_tensors(tensors, data), len(tensors), wanted)

    def _wanted(self, document: Mapping[str, Any]) -> Wanted:
        binary = _parameters(document).get("binary_data_output") is True
        outputs = document.get("outputs")
        named: dict[str, bool] | None = None
        if outputs:
            if type(outputs) is not list or not all(type(item) is dict for item in outputs):
                raise BadRequest(400, "outputs is no list of objects", hint='write [{"name": "prediction"}]')
            named = {}
            for item in outputs:
                name = item.get("name")
                self._meaning.require_output(name)
                named[name] = _parameters(item).get("binary_data", binary) is True
        given = document.get("id")
        return Wanted(given if type(given) is str else "", named, binary)

    def write(self, asked: Asked, answer: Answer, request: Request) -> Written:
        wanted: Wanted = asked.context
        outputs, pieces = [], []
        for name, kind, shape, values, classes, binary in self._meaning.outputs(answer, wanted):
            said: dict[str, Any] = {"name": name, "datatype": kind, "shape": shape}
            if classes:
                said["parameters"] = {"classes": classes}
            if binary:
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


def _tensors(tensors: Sequence[Mapping[str, Any]], data: _Bytes) -> Iterator[Tensor]:
    """The inputs, whose bytes come one after the other."""
    for tensor in tensors:
        name, shape, kind = checked(tensor.get("name"), tensor.get("shape"), tensor.get("datatype"))
        size = _parameters(tensor).get("binary_data_size")
        values: Any
        if size is not None:
            if type(size) is not int or size < 0:
                what = f"the binary_data_size of '{name:.100}' is no size"
                raise BadRequest(400, what, hint="write the bytes' number")
            values = from_bytes(data.take(size), kind, name)
        else:
            values = _data(tensor.get("data"), name)
        require_values(name, shape, len(values))
        yield Tensor(name, shape, values)


def _data(values: Any, name: str) -> Any:
    """Values in JSON, which may be nested by dimension."""
    if type(values) is not list:
        raise BadRequest(400, f"the input '{name:.100}' has no data", hint="write a list of values")
    while values and type(values[0]) is list:
        if not all(type(item) is list for item in values):
            raise BadRequest(400, f"the data of '{name:.100}' is nested unevenly", hint="write one list of values")
        values = [value for item in values for value in item]
    return values


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    found = given.get("parameters")
    return found if type(found) is dict else {}
