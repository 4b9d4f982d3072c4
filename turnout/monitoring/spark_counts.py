"""Counting a table on Spark: workers count pieces, and only the counts travel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from turnout.data.parquet import open_table, pieces
from turnout.engines.spark_session import reason
from turnout.errors import ComponentError
from turnout.monitoring.profile import Profile, add, count, count_dataset


def count_on_spark(data: str, like: Profile, session: Any) -> Profile:
    """Count Parquet as `count` does a table.

    Args:
        data: path or URI of a file, or of a directory of them.

    Raises:
        ComponentError: there is none, or the Spark job failed.
    """
    dataset, prefix = open_table(data)
    work, text = [(piece.uri, piece.row_groups) for piece in pieces(dataset, prefix, None)], like.to_json()

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known = Profile.from_json(text)
        for batch in batches:
            for index in batch["id"].to_pylist():
                uri, groups = work[index]
                fragment, *_ = open_table(uri)[0].get_fragments()
                piece = ds.FileSystemDataset(
                    [fragment.subset(row_group_ids=groups)], fragment.physical_schema, fragment.format
                )
                yield pa.RecordBatch.from_pydict({"counts": [count_dataset(piece, known).to_json()]})

    empty = count(dataset.schema.empty_table(), like)
    if not work:
        return empty
    try:
        rows = session.range(0, len(work), 1, len(work)).mapInArrow(run, "counts string").collect()
    except Exception as error:
        raise ComponentError(f"the Spark job failed: {reason(error)}", where="spark") from error
    return add([empty, *(Profile.from_json(row["counts"]) for row in rows)])
