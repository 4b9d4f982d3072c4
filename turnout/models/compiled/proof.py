"""A compiled form held against its model: the same labels, and probabilities within a millionth."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from turnout.models.compiled.form import NotCompiled, Proof
from turnout.models.compiled.graph import TOLERANCE
from turnout.models.predicted import lacking

_LIBRARIES = ("onnxruntime", "onnx", "skl2onnx", "treelite", "numpy", "pyarrow", "scikit-learn", "lightgbm", "xgboost",
              "torch")  # fmt: skip

_SINGLE_ROWS = 300
"""Rows of each kind that are also compared one by one."""

Predict = Callable[[pa.RecordBatch], dict[str, pa.Array]]


def answers(predict: Predict, rows: pa.RecordBatch) -> tuple[np.ndarray, dict[str, pa.Array]]:
    """Which rows have a prediction, and the predictions of these; a row that fails makes no other fail."""
    good = np.zeros(rows.num_rows, dtype=bool)
    found: list[dict[str, pa.Array]] = []

    def score(start: int, count: int) -> None:
        try:
            predicted = predict(rows.slice(start, count))
        except Exception:  # a model may raise anything
            if count > 1:
                score(start, count // 2)
                score(start + count // 2, count - count // 2)
            return
        kept = np.ones(count, dtype=bool)
        for array in predicted.values():
            kept &= ~lacking(array).to_numpy(zero_copy_only=False).astype(bool)
        good[start : start + count] = kept
        found.append({name: array.filter(pa.array(kept)) for name, array in predicted.items()})

    if rows.num_rows:
        score(0, rows.num_rows)
    names = found[0] if found else {}
    return good, {name: pa.concat_arrays([part[name] for part in found]) for name in names}


def compare(
    model: Predict, compiled: Any, rows: pa.RecordBatch, kind: str, tolerance: float = TOLERANCE
) -> tuple[float, int]:
    """Hold a compiled form against its model on some rows.

    Args:
        model: the model's predictions.
        compiled: a `CompiledScorer`.
        kind: of the rows, for the reason.
        tolerance: of probabilities; of numbers, times their size (or the median size of all, where that is more).

    Returns:
        The largest difference, and how many rows both refuse.

    Raises:
        NotCompiled: they differ.
    """
    good, expected = answers(model, rows)
    ours, found = answers(compiled, rows)
    if (good != ours).any():
        index = int((good != ours).argmax())
        who = "the model refuses, and the compiled form does not" if ours[index] else "only the compiled form refuses"
        raise NotCompiled(f"{kind} has a row that {who}: {_shown(rows, index)}")
    largest = _difference(expected, found, rows.filter(pa.array(good)), kind, tolerance)
    chosen = np.flatnonzero(good)[:: max(1, int(good.sum()) // _SINGLE_ROWS)]
    singles = rows.take(pa.array(chosen))
    values = zip(*(column.cast(singles[column.name]).to_pylist() for column in compiled.columns), strict=True)
    one_by_one = [compiled.row(row) for row in values]
    alone = {name: pa.array([_as_map(one[name]) for one in one_by_one], array.type) for name, array in found.items()}
    places = pa.array(np.searchsorted(np.flatnonzero(good), chosen))
    largest = max(largest, _difference({name: array.take(places) for name, array in expected.items()}, alone, singles,
                                       f"{kind}, one by one,", tolerance))  # fmt: skip
    return largest, int((~good).sum())


def _as_map(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


def _difference(
    expected: dict[str, pa.Array], found: dict[str, pa.Array], rows: pa.RecordBatch, kind: str, tolerance: float
) -> float:
    """The largest difference. Raises NotCompiled when it is too large, or names, types or labels differ."""
    types = [{name: str(array.type) for name, array in side.items()} for side in (expected, found)]
    if types[0] != types[1]:
        raise NotCompiled(f"it gives {types[1]}, and the model {types[0]}")
    largest = 0.0
    for name, array in expected.items():
        if not len(array):
            continue
        if name == "prediction" and len(expected) > 1:
            same = np.array(array.to_pylist(), dtype=object) == np.array(found[name].to_pylist(), dtype=object)
            if not same.all():
                index = int((~same).argmax())
                what = f"'{found[name][index]}' instead of '{array[index]}'"
                raise NotCompiled(f"{kind} has a row whose label would be {what}: {_shown(rows, index)}")
            continue
        is_map = pa.types.is_map(array.type)
        theirs, ours = (
            np.asarray((side.items if is_map else side).to_numpy(zero_copy_only=False), dtype=float)
            for side in (array, found[name])
        )
        size: Any = 1.0
        if len(expected) == 1:
            finite = np.abs(theirs[np.isfinite(theirs)])
            # Not the mean: a row of extremes may have a prediction that makes any difference look small.
            size = np.maximum(np.abs(theirs), np.median(finite) if len(finite) else 1.0)
            size = np.where(np.isfinite(size) & (size > 0), size, 1.0)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.where(theirs == ours, 0.0, np.abs(theirs - ours) / size)
        apart = np.where(np.isnan(apart), np.inf, apart)
        worst = float(apart.max())
        if worst > tolerance:
            index = int(apart.argmax())
            row = index // (len(theirs) // len(array)) if is_map else index
            what = f"{ours[index]!r} instead of {theirs[index]!r}"
            raise NotCompiled(f"{kind} has a row whose {name} would be {what}: {_shown(rows, row)}")
        largest = max(largest, worst)
    return largest


def _shown(rows: pa.RecordBatch, index: int) -> str:
    """A row, short enough for a line."""
    row = {name: rows[name][index].as_py() for name in rows.schema.names}
    texts = [f"{name}={value!r:.30}" for name, value in row.items()]
    return ", ".join(texts)[:300]


def facts(rows: int, rows_of: str, odd: int, refused: int, largest: float, digests: dict[str, str]) -> Proof:
    if not math.isfinite(largest):
        raise NotCompiled("the difference is not finite")
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Proof(rows, rows_of, odd, refused, largest, found, digests)
