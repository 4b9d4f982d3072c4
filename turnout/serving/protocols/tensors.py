"""Tensors of the Open Inference Protocol as bytes: little-endian, one value after the other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.serving.inputs import BadRequest

_NUMBERS: dict[str, str] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
DATATYPES = (*_NUMBERS, "BYTES")

_NARROW = {kind: np.iinfo(np.dtype(_NUMBERS[kind])) for kind in ("INT8", "INT16", "UINT8", "UINT16")}
"""What gRPC sends in wider types."""


def datatype_of(kind: pa.DataType) -> str:
    """The protocol's name for the type of a prediction; of a map, for that of its values."""
    if pa.types.is_map(kind):
        return "FP64"
    if pa.types.is_boolean(kind):
        return "BOOL"
    if pa.types.is_integer(kind):
        return f"{'' if pa.types.is_signed_integer(kind) else 'U'}INT{kind.bit_width}"
    return f"FP{kind.bit_width}" if pa.types.is_floating(kind) else "BYTES"


def from_bytes(data: memoryview, kind: str, name: str) -> Any:
    """The values in bytes: an Arrow array of numbers, or a list of texts; raises BadRequest."""
    if kind == "BYTES":
        return _texts(data, name)
    wide = np.dtype(_NUMBERS[kind])
    if len(data) % wide.itemsize:
        what = f"the input '{name:.100}' has {len(data)} bytes, and {kind} has {wide.itemsize} a value"
        raise BadRequest(400, what, hint="send whole values")
    if kind == "BOOL":
        return pa.array(np.frombuffer(data, np.uint8) != 0)
    values = np.frombuffer(data, wide)
    return pa.array(values.astype(np.float32) if kind == "FP16" else values)


def from_numbers(values: list[Any], kind: str, name: str) -> Any:
    """Numbers that came as such: one as it is, several as an Arrow array of their type; raises BadRequest."""
    if kind in _NARROW and values and not (_NARROW[kind].min <= min(values) and max(values) <= _NARROW[kind].max):
        what = f"the input '{name:.100}' has values that are not {kind}"
        raise BadRequest(422, what, hint=f"{kind} goes from {_NARROW[kind].min} to {_NARROW[kind].max}")
    return values if len(values) < 2 else pa.array(np.array(values, _NUMBERS[kind]))


def from_texts(values: list[bytes], name: str) -> list[str]:
    """Texts that came one by one; raises BadRequest."""
    try:
        return [str(value, "utf-8") for value in values]
    except ValueError as error:
        raise _no_texts(name, error) from error


def _texts(data: memoryview, name: str) -> list[str]:
    found, place = [], 0
    try:
        while place < len(data):
            (length,) = struct.unpack_from("<I", data, place)
            place += 4
            if place + length > len(data):
                raise ValueError("a text is longer than the bytes that are left")
            found.append(str(data[place : place + length], "utf-8"))
            place += length
    except (struct.error, ValueError) as error:
        raise _no_texts(name, error) from error
    return found


def _no_texts(name: str, error: Exception) -> BadRequest:
    hint = "send each text as its length, in four bytes, and its bytes in UTF-8"
    if isinstance(error, UnicodeDecodeError):
        hint = "send texts in UTF-8"
    return BadRequest(400, f"the bytes of the input '{name:.100}' are no texts: {error}", hint=hint)


def to_bytes(values: Sequence[Any], kind: str) -> bytes:
    """Values of a prediction as bytes."""
    if kind == "BYTES":
        return b"".join(struct.pack("<I", len(text)) + text for text in to_typed(values, kind))
    return np.asarray(values, np.dtype(_NUMBERS[kind])).tobytes()


def to_typed(values: Sequence[Any], kind: str) -> list[Any]:
    """Values of a prediction as gRPC's messages take them: texts are bytes there."""
    if kind == "BYTES":
        return [str(value).encode() for value in values]
    found: list[Any] = np.asarray(values, np.dtype(_NUMBERS[kind])).tolist()
    return found
