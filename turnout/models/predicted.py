"""Predictions as columns of Arrow: probabilities by class, and rows that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def by_name(chances: np.ndarray, classes: Sequence[Any]) -> pa.MapArray:
    """Probabilities of classes, shape (rows, classes), as a map from each class's name for each row."""
    rows = len(chances)
    indices = pa.array(np.tile(np.arange(len(classes), dtype=np.int32), rows))
    names = pa.DictionaryArray.from_arrays(indices, pa.array([str(name) for name in classes])).cast(pa.string())
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * len(classes))
    return pa.MapArray.from_arrays(offsets, names, pa.array(np.ascontiguousarray(chances, dtype=np.float64).ravel()))


def lacking(array: pa.Array) -> pa.Array:
    """Which values are null or not a number, or for a map hold such a one."""
    if not pa.types.is_map(array.type):
        return pc.is_null(array, nan_is_null=pa.types.is_floating(array.type))
    bad = pc.is_null(array.items, nan_is_null=True).to_numpy(zero_copy_only=False)
    before = np.concatenate([[0], np.cumsum(bad)])[array.offsets.to_numpy()]
    return pc.or_(pc.is_null(array), pa.array(np.diff(before) > 0))
