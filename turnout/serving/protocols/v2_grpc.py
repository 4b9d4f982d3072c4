"""The Open Inference Protocol by gRPC: unary calls of `inference.GRPCInferenceService`.

A worker knows neither HTTP/2 nor gRPC's library. Envoy gives it a call as a POST by HTTP/1.1, with the framed message
as the body, and takes its answer (`turnout.serving.envoy`): a framed message with status 200, to which Envoy adds
gRPC's trailers, or no body and gRPC's status among the headers, which is gRPC's short form of an error.

Sources: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_grpc.md; gRPC over HTTP/2,
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from google.protobuf.message import DecodeError

from turnout.errors import Fault
from turnout.serving.envoy.api import GRPC as CONTENT_TYPE
from turnout.serving.envoy.api import GRPC_SERVICE
from turnout.serving.inputs import BadRequest
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked, Request, Written
from turnout.serving.protocols.tensors import from_bytes, from_numbers, from_texts, to_bytes, to_typed
from turnout.serving.protocols.v2 import Meaning, Tensor, Wanted, checked, require_values
from turnout.serving.protocols.v2_messages import message

INFER = f"{GRPC_SERVICE}ModelInfer"
GRPC = (b"content-type", CONTENT_TYPE.encode())

_STATUS = {400: 3, 404: 5, 413: 8, 415: 12, 422: 3, 429: 8, 500: 13, 501: 12, 503: 14, 504: 4}
"""gRPC's status for each of HTTP's that the server gives: INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED,
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DEADLINE_EXCEEDED."""

_HEAD = struct.Struct(">BI")
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_LONGEST = 1500
"""Bytes of an error's text: clients refuse answers with more than 8 KiB of headers."""

_LARGE = 64 * 1024
_LONGEST_NUMBER = 10
_NUMBER, _BYTES, _WIDTHS = 0, 2, {1: 8, 5: 4}
"""How protobuf marks a number of variable length, and bytes; widths of the other numbers, by their marks."""

_CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
"""The field for values of each datatype. FP16 has none: it is sent as bytes."""

_InferRequest, _InferResponse = message("ModelInferRequest"), message("ModelInferResponse")

Call = Callable[[bytes], Written]


class Grpc:
    """`ModelInfer`."""

    name = "grpc"

    def __init__(self, model: str, version: str, meaning: Meaning):
        self._model, self._version, self._meaning = model, version, meaning

    def read(self, request: Request) -> Asked:
        if len(request.body) > _LARGE:
            _require_few_parts(request.body, 4 * self._meaning.most_tensors)
        asked = _parsed(_InferRequest, request.body)
        _require_model(asked.model_name, asked.model_version, self._model, self._version)
        inputs, raw = asked.inputs, asked.raw_input_contents
        if not inputs:
            raise BadRequest(400, "the request has no inputs", hint="give each column of the model an input")
        self._meaning.require_few(len(inputs))
        if raw and len(raw) != len(inputs):
            what = f"the request has {len(inputs):,} inputs, and {len(raw):,} raw_input_contents"
            raise BadRequest(400, what, hint="send as many of them as inputs, or none")
        named: dict[str, bool] | None = None
        if asked.outputs:
            named = {}
            for output in asked.outputs:
                self._meaning.require_output(output.name)
                named[output.name] = bool(raw)
        wanted = Wanted(asked.id, named, bool(raw))
        return self._meaning.asked(_raw(inputs, raw) if raw else _typed(inputs), len(inputs), wanted)

    def write(self, asked: Asked, answer: Answer, request: Request) -> Written:
        wanted: Wanted = asked.context
        said = _InferResponse(
            model_name=self._model, model_version=answer.version, id=wanted.id or request.request_id
        )  # fmt: skip
        if answer.fallback:
            said.parameters["fallback"].string_param = answer.fallback
            said.parameters["fallback_reason"].string_param = answer.reason
        for name, kind, shape, values, classes, binary in self._meaning.outputs(answer, wanted):
            tensor = said.outputs.add(name=name, datatype=kind, shape=shape)
            if classes:  # a parameter is one value
                tensor.parameters["classes"].string_param = orjson.dumps([str(item) for item in classes]).decode()
            if binary:
                said.raw_output_contents.append(to_bytes(values, kind))
            else:
                getattr(tensor.contents, _CONTENTS[kind]).extend(to_typed(values, kind))
        return _framed(said)

    def error(self, status: int, what: str, faults: Sequence[Fault]) -> Written:
        return error(status, what, faults)


def calls(
    model: str, version: str, metadata: Mapping[str, Any], server: Mapping[str, Any], ready: Callable[[], bool]
) -> dict[str, Call]:
    """What answers the calls about a model and its server, by their addresses."""
    tensors = {
        side: [{key: item[key] for key in ("name", "datatype", "shape")} for item in metadata[side]]
        for side in ("inputs", "outputs")
    }

    def check(asked: Any) -> None:
        _require_model(asked.name, asked.version, model, version)

    return dict(
        (
            _call("ModelReady", lambda: {"ready": ready()}, check),
            _call("ModelMetadata", lambda: {**metadata, **tensors}, check),
            _call("ServerMetadata", lambda: server),
        )
    )


def health(live: Callable[[], bool], ready: Callable[[], bool]) -> dict[str, Call]:
    """What answers the calls about the server's health, which need no model."""
    return dict((_call("ServerLive", lambda: {"live": live()}), _call("ServerReady", lambda: {"ready": ready()})))


def _call(
    method: str, tell: Callable[[], Mapping[str, Any]], check: Callable[[Any], None] = lambda asked: None
) -> tuple[str, Call]:
    """The address of a method, and what answers it."""
    takes, gives = message(f"{method}Request"), message(f"{method}Response")

    def answer(body: bytes) -> Written:
        check(_parsed(takes, body))
        return _framed(gives(**tell()))

    return f"{GRPC_SERVICE}{method}", answer


def error(status: int, what: str, faults: Sequence[Fault] = ()) -> Written:
    """An error: what is wrong, what there is instead, and a hint, in the one text that gRPC has for it."""
    first = faults[0] if faults else Fault(what)
    said = what + (f"; available: {', '.join(map(str, first.available))}" if first.available else "")
    said += f"; {first.hint}" if first.hint else ""
    text = said.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    headers = [
        GRPC,
        (b"grpc-status", b"%d" % _STATUS.get(status, 2)),
        (b"grpc-message", quote(text, safe=_PLAIN).encode()),
    ]
    if status == 415:
        headers.append((b"grpc-accept-encoding", b"identity"))
    return Written(b"", headers)


def _parsed(kind: Any, body: bytes) -> Any:
    """The message in a call's body; raises BadRequest."""
    if len(body) < _HEAD.size:
        raise BadRequest(400, "the call has no message", hint="send one")
    packed, length = _HEAD.unpack_from(body)
    if packed:
        raise BadRequest(415, "the message is compressed", hint="send it as it is, with no compression")
    if length != len(body) - _HEAD.size:
        what = f"the message is said to have {length:,} bytes, and {len(body) - _HEAD.size:,} came"
        raise BadRequest(400, what, hint="send one message")
    try:
        return kind.FromString(memoryview(body)[_HEAD.size :])
    except DecodeError as error:
        hint = "send it as open_inference_grpc.proto of the Open Inference Protocol says"
        raise BadRequest(400, "the message cannot be read", hint=hint) from error


def _require_few_parts(body: bytes, most: int) -> None:
    """Raises BadRequest for a message of more fields than a request has: an empty one of two bytes takes eighty when
    it is read."""
    place = _HEAD.size
    try:
        for _ in range(most):
            if place >= len(body):
                return
            kind, place = body[place] & 7, _after_number(body, place)
            if kind == _BYTES:
                length, shift = 0, 0
                after = _after_number(body, place)
                for byte in body[place:after]:
                    length, shift = length | (byte & 0x7F) << shift, shift + 7
                place = after + length
            else:
                place = _after_number(body, place) if kind == _NUMBER else place + _WIDTHS[kind]
    except LookupError:  # no message: who reads it says so
        return
    raise BadRequest(422, f"the message has more than {most:,} parts", hint="send an input for each column")


def _after_number(body: bytes, place: int) -> int:
    """Where a number of variable length ends; raises LookupError when it does not."""
    for end in range(place, place + _LONGEST_NUMBER):
        if not body[end] & 0x80:
            return end + 1
    raise LookupError("no number")


def _framed(said: Any) -> Written:
    body = said.SerializeToString()
    return Written(_HEAD.pack(0, len(body)) + body, [GRPC])


def _require_model(name: str, version: str, ours: str, our_version: str) -> None:
    if name != ours:
        raise BadRequest(404, f"there is no model '{name:.100}' here", [Fault("no such model", "model_name", (ours,))])
    if version not in ("", our_version):
        fault = Fault("no such version", "model_version", (our_version,), "leave it out for the one that is served")
        raise BadRequest(404, f"there is no version '{version:.100}' of '{ours}' here", [fault])


def _typed(inputs: Any) -> Iterator[Tensor]:
    """Inputs that have their values in a field of the datatype's."""
    for tensor in inputs:
        name, shape, kind = checked(tensor.name, list(tensor.shape), tensor.datatype)
        if kind not in _CONTENTS:
            hint = "send the inputs as raw_input_contents"
            raise BadRequest(400, f"the input '{name:.100}' is {kind}, which has no typed contents", hint=hint)
        found = list(getattr(tensor.contents, _CONTENTS[kind]))
        if not found and any(len(values) for _, values in tensor.contents.ListFields()):
            hint = f"write them to {_CONTENTS[kind]}"
            raise BadRequest(400, f"the contents of the input '{name:.100}' are not of its type, {kind}", hint=hint)
        require_values(name, shape, len(found))
        yield Tensor(name, shape, from_texts(found, name) if kind == "BYTES" else from_numbers(found, kind, name))


def _raw(inputs: Any, raw: Sequence[bytes]) -> Iterator[Tensor]:
    """Inputs that have their values in bytes."""
    for tensor, data in zip(inputs, raw, strict=True):
        name, shape, kind = checked(tensor.name, list(tensor.shape), tensor.datatype)
        if tensor.HasField("contents"):
            what = f"the input '{name:.100}' has contents, and the request has raw_input_contents"
            raise BadRequest(400, what, hint="send one of the two")
        values = from_bytes(memoryview(data), kind, name)
        require_values(name, shape, len(values))
        yield Tensor(name, shape, values)
