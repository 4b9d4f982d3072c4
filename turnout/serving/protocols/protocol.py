"""What a protocol is to the server: a way to read a request, and to write its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
import pyarrow as pa

from turnout.errors import Fault
from turnout.serving.inputs import BadRequest
from turnout.serving.predictor import Answer

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True)
class Request:
    """A request that has been read whole; the names of headers are in small letters."""

    path: str
    headers: Mapping[bytes, bytes]
    body: bytes
    request_id: str


@dataclass(frozen=True)
class Asked:
    """What a request asks for: one row's values in the columns' order, or a batch of rows.

    Attributes:
        context: what the protocol needs to write the answer.
    """

    values: Sequence[Any] | None = None
    batch: pa.RecordBatch | None = None
    context: Any = None


@dataclass(frozen=True)
class Written:
    """A body, and the headers that it needs beside its length."""

    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [JSON])


class Dialect(Protocol):
    """A protocol.

    Attributes:
        name: in metrics.
    """

    name: str

    def read(self, request: Request) -> Asked:
        """What is asked; raises BadRequest."""

    def write(self, asked: Asked, answer: Answer, request: Request) -> Written:
        """The answer in the protocol's form."""

    def error(self, status: int, what: str, faults: Sequence[Fault]) -> Written:
        """An error in the protocol's form; `status` is HTTP's."""


class JsonErrors:
    """What protocols of JSON share: the form of their errors."""

    def error(self, status: int, what: str, faults: Sequence[Fault]) -> Written:
        return error(what, faults)


def error(what: str, faults: Sequence[Fault] = ()) -> Written:
    """An error as JSON, in the form that the Open Inference Protocol and people read."""
    said: dict[str, Any] = {"error": what}
    if faults:
        said["faults"] = [
            {name: value for name, value in (("what", fault.what), ("where", fault.where), ("hint", fault.hint),
             ("available", fault.available)) if value} for fault in faults
        ]  # fmt: skip
    return Written(orjson.dumps(said))


def parse(body: bytes | memoryview) -> Any:
    """A body of JSON; raises BadRequest."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(400, f"the body is not JSON: {error}", hint=_hint(body, error)) from error


def dumps(value: Any) -> bytes:
    """A value as JSON; what a model gives may be numpy's numbers."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _hint(body: bytes | memoryview, error: orjson.JSONDecodeError) -> str:
    """What to do about a body that is no JSON."""
    if "NaN" in _near(body, error):
        return "NaN and Infinity are not JSON: write null"
    for word, hint in (("infinity", "write a smaller number, or null"), ("depth", "nest lists and objects less deep")):
        if word in error.msg:
            return hint
    return "send one JSON document"


def _near(body: bytes | memoryview, error: orjson.JSONDecodeError) -> str:
    """The text at which reading ended."""
    place = max(0, error.pos - 4)
    return bytes(body[place : place + 16]).decode("utf-8", "replace").replace("Infinity", "NaN")


def require_rows(count: int, limit: int) -> None:
    """Raises BadRequest when a request has no rows, or more than are answered at once."""
    if not count:
        raise BadRequest(422, "the request has no rows", hint="send at least one")
    if count > limit:
        hint = "send them in several requests, or predict a table with the component predict"
        raise BadRequest(413, f"{count:,} rows in one request, and {limit:,} are allowed", hint=hint)
