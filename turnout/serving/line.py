"""The queue before a model, and the thread that asks it.

While the model is busy requests wait, and then all that wait are one batch: none waits for others while the model is
idle, so that batches cost no time when there is little to do.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from turnout.serving.inputs import BadRequest
from turnout.serving.model import ModelError, ServedModel, plain

Predictions = dict[str, list[Any]]

_STUCK_AFTER = 3.0
"""Time-outs after which a call is taken for one that does not come back; another thread takes its place."""

_MOST_STUCK = 3
"""Calls that do not come back, at which the process had better be started anew."""


class TimedOut(Exception):
    """The model was too slow."""


@dataclass(eq=False)
class _Waiting:
    """A request in the queue; nobody waits for it after its deadline (of `time.monotonic`)."""

    batch: pa.RecordBatch
    answer: asyncio.Future[Predictions]
    deadline: float


class Line:
    """Requests that wait for a model.

    Args:
        batch_rows: rows of several requests that the model is given at once.
        time_out_s: of a request, its time in the queue included.
        observe_batch: is told the rows of each call.
    """

    def __init__(
        self,
        model: ServedModel,
        batch_rows: int,
        time_out_s: float,
        observe_batch: Callable[[int], None] = lambda rows: None,
    ):
        self.model = model
        self.waiting = 0
        self._batch_rows, self._time_out, self._observe = batch_rows, time_out_s, observe_batch
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy_since = 0.0  # of the thread; 0 when it is idle
        self._stuck = 0
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether calls come back."""
        return self._stuck < _MOST_STUCK

    async def ask(self, batch: pa.RecordBatch) -> Predictions:
        """Predictions of rows, by name.

        Raises:
            ModelError: the model failed.
            BadRequest: it takes no such value.
            TimedOut: it was too slow.
        """
        if self._thread is None:
            self._start()
        waiting = _Waiting(batch, asyncio.get_running_loop().create_future(), time.monotonic() + self._time_out)
        self.waiting += 1
        self._queue.put(waiting)
        try:
            async with asyncio.timeout(self._time_out):
                return await waiting.answer
        except TimeoutError:
            self._replace_if_stuck()
            raise TimedOut(f"the model has not answered within {self._time_out:g} s") from None
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the thread; what is in the queue is answered before."""
        self._queue.put(None)

    def _start(self) -> None:
        self._busy_since = 0.0
        self._thread = threading.Thread(target=self._run, name=f"model {self.model.version}", daemon=True)
        self._thread.start()

    def _replace_if_stuck(self) -> None:
        with self._lock:
            since = self._busy_since
            if since and time.monotonic() - since > _STUCK_AFTER * self._time_out and self._stuck < _MOST_STUCK:
                self._stuck += 1
                if self._stuck < _MOST_STUCK:
                    self._start()

    def _run(self) -> None:
        me = threading.current_thread()
        kept: _Waiting | None = None
        while True:
            first = kept or self._queue.get()
            if first is None:
                return
            batch, kept = self._gather(first)
            if batch:
                with self._lock:
                    self._busy_since = time.monotonic()
                self._answer(batch)
                with self._lock:
                    if self._thread is not me:  # it was taken for stuck, and another has its place
                        self._stuck -= 1
                        if kept:
                            self._queue.put(kept)
                        return
                    self._busy_since = 0.0

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], _Waiting | None]:
        """What waits for the model, as much as it is given at once; and the one that is too much, which is the next."""
        batch: list[_Waiting] = []
        rows, now, item = 0, time.monotonic(), first
        while True:
            if not item.answer.done() and item.deadline > now:
                if batch and rows + item.batch.num_rows > self._batch_rows:
                    return batch, item
                batch.append(item)
                rows += item.batch.num_rows
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                return batch, None
            if following is None:  # the end: after these
                self._queue.put(None)
                return batch, None
            item = following

    def _answer(self, batch: list[_Waiting]) -> None:
        answers: list[tuple[asyncio.Future[Predictions], Predictions | Exception]] = []
        try:
            found = self._predict(pa.concat_batches([item.batch for item in batch]))
            start = 0
            for item in batch:
                end = start + item.batch.num_rows
                answers.append((item.answer, {name: values[start:end] for name, values in found.items()}))
                start = end
        except (ModelError, BadRequest) as error:
            for item in batch:  # the row at which it failed is one request's
                try:
                    answers.append((item.answer, error if len(batch) == 1 else self._predict(item.batch)))
                except (ModelError, BadRequest) as own:
                    answers.append((item.answer, own))
        loop = batch[0].answer.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, answers)

    def _predict(self, batch: pa.RecordBatch) -> Predictions:
        self._observe(batch.num_rows)
        return {name: plain(array) for name, array in self.model.table(batch).items()}


def _deliver(answers: list[tuple[asyncio.Future[Predictions], Predictions | Exception]]) -> None:
    for future, answer in answers:
        if future.done():  # nobody waits for it any more
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
