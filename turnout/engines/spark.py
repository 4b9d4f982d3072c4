"""The engine for clusters: Spark hands the pieces out, and tries again what is lost with a worker.

`mapInArrow` is all it needs, so classic clusters, `local[*]` and Spark Connect are one to it. Rows need not pass
through the JVM: a task reads its piece itself, and answers with the function's result, such as a file's name.
"""

from __future__ import annotations

import functools
import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from turnout.data.parquet import Piece
from turnout.engines.spark_session import reason
from turnout.errors import ComponentError

Result = TypeVar("Result")


def run(function: Callable[[Piece], Result], pieces: Sequence[Piece], session: Any) -> Iterator[Result]:
    """Call a function with each piece, as tasks of a Spark job; the results, when all are done.

    Args:
        function: with what it holds, can be pickled, as its results can.

    Raises:
        ComponentError: the function fails for a piece, as often as Spark tries.
    """
    work = list(pieces)
    if not work:
        return

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch["id"].to_pylist():
                yield _packed(function(work[index]))

    yield from _results(session.range(0, len(work), 1, len(work)), task)


def run_rows(function: Callable[[Iterable[pa.RecordBatch]], Result], rows: Any) -> Iterator[Result]:
    """Call a function with the rows of each partition of a DataFrame; the results, when all are done.

    Args:
        function: as for `run`; takes the rows' batches.
        rows: a DataFrame of Spark.

    Raises:
        ComponentError: the function fails for a partition, as often as Spark tries.
    """

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield _packed(function(batches))

    yield from _results(rows, task)


def _packed(result: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"result": pa.array([pickle.dumps(result)], pa.binary())})


def _results(rows: Any, task: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]) -> Iterator[Any]:
    try:
        done = rows.mapInArrow(task, "result binary").collect()
    except Exception as error:
        hint = "the worker's log has more; Spark's own are in its web page"
        raise ComponentError(f"the Spark job failed: {reason(error)}", where="spark", hint=hint) from error
    for row in done:
        yield pickle.loads(bytes(row["result"]))


@functools.lru_cache(maxsize=1)
def send(directory: str, session: Any) -> str:
    """Send a directory to a session's workers, once; the name by which they know it.

    Args:
        directory: what is sent is kept beside it, since workers fetch it when they start.
    """
    archive = Path(f"{directory.rstrip('/')}.zip")
    _pack(Path(directory), archive)
    session.addArtifacts(str(archive), file=True)
    return archive.name


def unpacked(name: str) -> str:
    """On a worker, the directory that was sent by a name; unpacked once on a machine."""
    from pyspark import SparkFiles

    archive = Path(SparkFiles.get(name))
    target = archive.with_suffix("")
    if not target.exists():
        made = Path(tempfile.mkdtemp(prefix="turnout-", dir=archive.parent))
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(made)
        try:
            made.rename(target)
        except OSError:  # another worker of this machine was first
            shutil.rmtree(made, ignore_errors=True)
    return str(target)


def _pack(directory: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for file in sorted(item for item in directory.rglob("*") if item.is_file()):
            packed.write(file, file.relative_to(directory))
