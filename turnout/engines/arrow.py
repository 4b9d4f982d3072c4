"""The engine for one machine: this process and others, one a core, that take pieces of the input.

This process works too. It starts the others only for work that will last, and does not wait for them to be ready:
they import for seconds what it has at hand.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any

from threadpoolctl import threadpool_limits

from turnout.data.parquet import Piece, open_table
from turnout.errors import ComponentError
from turnout.inference.job import Job, Schemas, score_piece
from turnout.inference.table import Part

WORTH_PROCESSES_S = {False: 4.0, True: 1.0}
"""Seconds of work left that are worth starting processes for, by whether they were started early."""

EARLY_ROWS = 2_000_000
"""Rows of an input for which the other processes begin to import at once."""

_AHEAD = 2
"""Pieces that each process has in hand, so that none waits while this one is busy."""


def cores() -> int:
    """Those that this process may use, by its affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_early(data: str) -> bool:
    """Begin to import what the other processes need, for an input that is large; whether it is.

    They are ready when this process has its model, and has seen how long a piece of the input takes.

    Args:
        data: path or URI of the input.
    """
    large = cores() > 1 and open_table(data)[0].count_rows() >= EARLY_ROWS
    if large:
        _context()
        forkserver.ensure_running()
    return large


def _context() -> Any:
    # A fork server: a fork of this process, which has threads, could wait for a lock for ever.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["turnout.engines.preloaded"])
    return context


def score(job: Job, work: Sequence[Piece], schemas: Schemas, early: bool = False) -> Iterator[list[Part]]:
    """Score pieces on this machine; the files of each, as they are done.

    Args:
        early: whether other processes were started early.

    Raises:
        ComponentError: a piece fails, or a process was ended.
    """
    left = list(reversed(work))
    with threadpool_limits(1):  # a process a core is faster than threads in each
        if left:
            started = time.monotonic()
            yield score_piece(job, left.pop(), schemas)
            lasting = (time.monotonic() - started) * len(left) > WORTH_PROCESSES_S[early]
            others = min(cores() - 1, len(left)) if lasting else 0
            if others:
                yield from _together(job, left, schemas, others)
        while left:
            yield score_piece(job, left.pop(), schemas)


def _together(job: Job, left: list[Piece], schemas: Schemas, others: int) -> Iterator[list[Part]]:
    """Score pieces, the last first, here and in other processes, until none is left."""
    pool = ProcessPoolExecutor(others, mp_context=_context(), initializer=threadpool_limits, initargs=(1,))
    running: set[Future[list[Part]]] = set()
    try:
        while left or running:
            while left and len(running) < others * _AHEAD:
                running.add(pool.submit(score_piece, job, left.pop(), schemas))
            if left:
                yield score_piece(job, left.pop(), schemas)
            done, running = wait(running, timeout=0 if left else None, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        hint = "out of memory? Smaller row groups take less"
        raise ComponentError("a process was ended before its work was", where="arrow", hint=hint) from error
    finally:
        pool.shutdown(cancel_futures=True)
