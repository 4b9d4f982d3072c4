"""The engine for clusters: Spark hands the pieces out, and tries again what is lost with a worker.

`mapInArrow` is all it needs, so classic clusters, `local[*]` and Spark Connect are one to it. Rows do not pass through
the JVM: a task reads its piece and writes its file itself, and answers with the file's name.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from turnout.data.parquet import Piece
from turnout.engines.spark_session import reason
from turnout.errors import ComponentError
from turnout.inference.job import Job, Schemas, score_piece
from turnout.inference.table import Part


def score(job: Job, work: Sequence[Piece], schemas: Schemas, session: Any) -> Iterator[list[Part]]:
    """Score pieces as tasks of a Spark job; the files of each, when all are done.

    Raises:
        ComponentError: a piece fails, as often as Spark tries.
    """
    name, plan = send(job.model_directory, session), [(piece.uri, piece.row_groups) for piece in work]

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        here = dataclasses.replace(job, model_directory=unpacked(name))
        for batch in batches:
            for index in batch["id"].to_pylist():
                parts = score_piece(here, Piece(*plan[index]), schemas)
                yield pa.RecordBatch.from_pydict({"parts": [json.dumps([vars(part) for part in parts])]})

    try:
        rows = session.range(0, len(work), 1, len(work)).mapInArrow(run, "parts string").collect()
    except Exception as error:
        raise ComponentError(f"the Spark job failed: {reason(error)}", where="spark") from error
    for row in rows:
        yield [Part(**part) for part in json.loads(row["parts"])]


@functools.lru_cache(maxsize=1)
def send(directory: str, session: Any) -> str:
    """Send a model to a session's workers, once; the name by which they know it.

    Args:
        directory: of the model; what is sent is kept beside it, since workers fetch it when they start.
    """
    archive = Path(f"{directory.rstrip('/')}.zip")
    _pack(Path(directory), archive)
    session.addArtifacts(str(archive), file=True)
    return archive.name


def unpacked(name: str) -> str:
    """The directory of a model that was sent as an archive, unpacked once on a machine."""
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
