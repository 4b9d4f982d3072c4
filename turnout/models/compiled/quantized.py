"""A network's graph in lower precision, by onnxruntime's own tools: FP16, or INT8 with ranges from rows."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from turnout.models.compiled.graph import Graph
from turnout.models.compiled.quiet import without_logs

_AT_ONCE = 100


def lower(graph: Graph, precision: str, calibration: np.ndarray) -> bytes:
    """A graph in lower precision, with the same input and output.

    Args:
        graph: in single precision.
        precision: `float16` or `int8`.
        calibration: what the estimator takes, shape (rows, inputs); only `int8` needs it.
    """
    with without_logs(), _tools():
        return _float16(graph) if precision == "float16" else _int8(graph, calibration)


@contextlib.contextmanager
def _tools() -> Iterator[None]:
    """onnxruntime's tools find each other by a directory in `sys.path`, but others must not find them: their names are
    common ones, such as `benchmark`."""
    places = [*sys.path]
    import onnxruntime.transformers  # adds it, the first time

    sys.path[:] = [*places, str(Path(onnxruntime.transformers.__file__).parent)]
    try:
        yield
    finally:
        sys.path[:] = places


def _float16(graph: Graph) -> bytes:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    made = convert_float_to_float16(onnx.load_from_string(graph.onnx), keep_io_types=True)
    serialized: bytes = made.SerializeToString()
    return serialized


def _int8(graph: Graph, calibration: np.ndarray) -> bytes:
    """With ranges that rows of the training have, once for all.

    With ranges of each batch (`quantize_dynamic`) the prediction of a row depends on the rows beside it: an extreme one
    moves the probabilities of others by up to 0.9. Weights are unsigned, as activations are: with signed ones older
    processors overflow in the product of two, and the same graph says something else on another machine.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            starts = range(0, len(calibration), _AT_ONCE)
            self._parts = iter([calibration[start : start + _AT_ONCE].astype(np.float32) for start in starts])

        def get_next(self) -> Any:
            part = next(self._parts, None)
            return None if part is None else {graph.input: part}

    with tempfile.TemporaryDirectory() as directory:
        before, after = Path(directory, "float.onnx"), Path(directory, "int8.onnx")
        before.write_bytes(graph.onnx)
        quantize_static(
            before, after, Rows(), quant_format=QuantFormat.QOperator, op_types_to_quantize=["MatMul", "Gemm", "Conv"],
            activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8,
        )  # fmt: skip
        return after.read_bytes()
