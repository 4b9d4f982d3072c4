"""Scoring by an engine: the pieces of a job's input, on this machine or as tasks of Spark."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from turnout.data.parquet import Piece
from turnout.engines import arrow, spark
from turnout.inference.job import Job, Schemas, score_piece
from turnout.inference.table import Part

_SCIENCE = ("mlflow.sklearn", "sklearn.compose", "sklearn.linear_model", "lightgbm", "onnxruntime")
PRELOAD = ("turnout.inference.job", *_SCIENCE)
"""What every process that scores imports; those that are not installed are passed over."""


def score_on_arrow(job: Job, work: Sequence[Piece], schemas: Schemas, early: bool = False) -> Iterator[list[Part]]:
    """Score pieces on this machine; the files of each, as they are done.

    Args:
        early: whether other processes were started early.

    Raises:
        ComponentError: a piece fails, or a process was ended.
    """
    return arrow.run(functools.partial(score_piece, job, schemas), work, early, PRELOAD)


def score_on_spark(job: Job, work: Sequence[Piece], schemas: Schemas, session: Any) -> Iterator[list[Part]]:
    """Score pieces as tasks of a Spark job, whose workers get the model; the files of each, when all are done.

    Raises:
        ComponentError: a piece fails, as often as Spark tries.
    """
    model = spark.send(job.model_directory, session)
    return spark.run(functools.partial(_score_on_worker, job, schemas, model), work, session)


def on_worker(job: Job, model: str) -> Job:
    """The job as a worker of Spark has it, with the model that was sent by a name."""
    return dataclasses.replace(job, model_directory=spark.unpacked(model))


def _score_on_worker(job: Job, schemas: Schemas, model: str, piece: Piece) -> list[Part]:
    return score_piece(on_worker(job, model), schemas, piece)
