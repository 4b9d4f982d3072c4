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
        hint = "send each text as its length, in four bytes, and its bytes in UTF-8"
        raise BadRequest(400, f"the bytes of the input '{name:.100}' are no texts: {error}", hint=hint) from error
    return found


def to_bytes(values: Sequence[Any], kind: str) -> bytes:
    """Values of a prediction as bytes."""
    if kind == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.asarray(values, np.dtype(_NUMBERS[kind])).tobytes()
