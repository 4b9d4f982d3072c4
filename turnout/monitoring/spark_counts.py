"""Counting a table on Spark: workers count pieces, and only the counts travel."""

from __future__ import annotations

import functools
from typing import Any

import pyarrow.dataset as ds

from turnout.data.parquet import Piece, open_piece, open_table, pieces
from turnout.engines import spark
from turnout.monitoring.profile import Profile, add, count, count_dataset


def count_on_spark(data: str, like: Profile, session: Any) -> Profile:
    """Count Parquet as `count` does a table.

    Args:
        data: path or URI of a file, or of a directory of them.

    Raises:
        ComponentError: there is none, or the Spark job failed.
    """
    dataset, prefix = open_table(data)
    counts = spark.run(functools.partial(_count_piece, like), pieces(dataset, prefix, None), session)
    return add([count(dataset.schema.empty_table(), like), *counts])


def _count_piece(like: Profile, piece: Piece) -> Profile:
    fragment = open_piece(piece)
    return count_dataset(ds.FileSystemDataset([fragment], fragment.physical_schema, fragment.format), like)
