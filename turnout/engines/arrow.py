"""The engine for one machine: a function over pieces of the input, in this process and in others, one a core.

This process works too. It starts the others only for work that will last, and does not wait for them to be ready:
they import for seconds what it has at hand.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from turnout.data.parquet import Piece, open_table
from turnout.errors import ComponentError

Result = TypeVar("Result")

WORTH_PROCESSES_S = {False: 4.0, True: 1.0}
"""Seconds of work left that are worth starting processes for, by whether they were started early."""

EARLY_ROWS = 2_000_000
"""Rows of an input for which the other processes begin to import at once."""

_AHEAD = 2
"""Pieces that each process has in hand, so that none waits while this one is busy."""


def cores() -> int:
    """Those that this process may use, by its affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_early(data: str, preload: Sequence[str]) -> bool:
    """Begin to import what the other processes need, for an input that is large; whether it is.

    They are ready when this process has what it needs itself, and has seen how long a piece of the input takes.

    Args:
        data: path or URI of the input.
        preload: modules that the function imports, as for `run`.
    """
    large = cores() > 1 and open_table(data)[0].count_rows() >= EARLY_ROWS
    if large:
        _context(preload)
        forkserver.ensure_running()
    return large


def _context(preload: Sequence[str]) -> Any:
    # A fork server: a fork of this process, which has threads, could wait for a lock for ever.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))  # those that are not installed are passed over
    return context


def run(
    function: Callable[[Piece], Result], pieces: Sequence[Piece], early: bool = False, preload: Sequence[str] = ()
) -> Iterator[Result]:
    """Call a function with each piece on this machine; the results, as they are done.

    Args:
        function: can be pickled.
        early: whether other processes were started early.
        preload: modules that the function imports; other processes import them once.

    Raises:
        ComponentError: a process was ended. What the function raises is raised here too.
    """
    left = list(reversed(pieces))
    with threadpool_limits(1):  # a process a core is faster than threads in each
        if left:
            started = time.monotonic()
            yield function(left.pop())
            lasting = (time.monotonic() - started) * len(left) > WORTH_PROCESSES_S[early]
            others = min(cores() - 1, len(left)) if lasting else 0
            if others:
                yield from _together(function, left, others, preload)
        while left:
            yield function(left.pop())


def _together(
    function: Callable[[Piece], Result], left: list[Piece], others: int, preload: Sequence[str]
) -> Iterator[Result]:
    """Call a function with pieces, the last first, here and in other processes, until none is left."""
    context = _context(preload)
    pool = ProcessPoolExecutor(others, mp_context=context, initializer=threadpool_limits, initargs=(1,))
    running: set[Future[Result]] = set()
    try:
        while left or running:
            while left and len(running) < others * _AHEAD:
                running.add(pool.submit(function, left.pop()))
            if left:
                yield function(left.pop())
            done, running = wait(running, timeout=0 if left else None, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        hint = "out of memory? Smaller row groups take less"
        raise ComponentError("a process was ended before its work was", where="arrow", hint=hint) from error
    finally:
        pool.shutdown(cancel_futures=True)
