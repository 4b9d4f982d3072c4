"""Predictions for requests: by the model in time, else by what stands in for it.

A compiled model that is fast is called in the server's own thread: to hand a row to another thread takes longer than
its trees. Any other one, which may be slow or hang, and a table of rows have a thread and a queue (`Line`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from cachetools import LRUCache

from turnout.serving.line import Line, Predictions, TimedOut
from turnout.serving.model import ModelError, ServedModel


@dataclass(frozen=True)
class Answer:
    """Predictions of a request's rows, by name.

    Attributes:
        version: which gave them; that of the worker, unless something stood in for it.
        fallback: `version` or `constant` when something stood in; else empty.
        reason: why it did.
        cached: whether the model was not asked again.
    """

    predictions: Predictions
    version: str
    fallback: str = ""
    reason: str = ""
    cached: bool = False


class Predictor:
    """A model, what stands in for it, and the queue before it.

    Args:
        model: answers.
        fallback: an older version; None for none.
        constant: predictions by name, for when neither answers; empty for none.
        time_out_s: of a request, its time in the queue included.
        batch_rows: rows that a slow model is given at once.
        inline_ms: a compiled model that takes less for a row is called in the server's own thread.
        cache_rows: rows whose predictions are kept.
        observe_batch: is told the rows of each call of the model.
    """

    def __init__(
        self,
        model: ServedModel,
        fallback: ServedModel | None = None,
        constant: Mapping[str, Any] | None = None,
        *,
        time_out_s: float = 1.0,
        batch_rows: int = 256,
        inline_ms: float = 1.0,
        cache_rows: int = 0,
        observe_batch: Callable[[int], None] = lambda rows: None,
    ):
        self.model = model
        self.inline = model.compiled and model.row_ms <= inline_ms
        self._constant = dict(constant or {})
        self._observe_batch = observe_batch
        self._line = Line(model, batch_rows, time_out_s, observe_batch)
        self._fallback = Line(fallback, batch_rows, time_out_s) if fallback else None
        self._cache: LRUCache[tuple[Any, ...], Predictions] | None = LRUCache(cache_rows) if cache_rows else None

    @property
    def alive(self) -> bool:
        """Whether the model's calls come back."""
        return self._line.alive

    @property
    def waiting(self) -> int:
        """Requests that the model has not answered yet."""
        return self._line.waiting

    @property
    def cached_rows(self) -> int:
        return len(self._cache) if self._cache is not None else 0

    async def row(self, values: Sequence[Any], again: bool = False) -> Answer:
        """Predictions of one row.

        Args:
            values: checked, in the columns' order.
            again: whether a worker has had it that did not answer: a row on which the model hangs shall not hang the
                server's thread a second time.

        Raises:
            ModelError: the model failed, and nothing stands in for it.
            BadRequest: it takes no such value.
            TimedOut: it was too slow, and nothing stands in for it.
        """
        if self._cache is None:
            return await self._row(values, again)
        key = tuple(values)
        if (kept := self._cache.get(key)) is not None:
            return Answer(kept, self.model.version, cached=True)
        found = await self._row(values, again)
        if not found.fallback:
            self._cache[key] = found.predictions
        return found

    def at_once(self, values: Sequence[Any]) -> Answer:
        """Predictions of one row by the model itself, for a model that is called inline.

        Raises:
            ModelError: the model failed.
            BadRequest: it takes no such value.
        """
        self._observe_batch(1)
        return Answer({name: [value] for name, value in self.model.row(values).items()}, self.model.version)

    async def _row(self, values: Sequence[Any], again: bool) -> Answer:
        if again or not self.inline:
            return await self.table(self.model.inputs.batch(values))
        try:
            return self.at_once(values)
        except ModelError as error:
            return await self._stand_in(error, self.model.inputs.batch(values))

    async def table(self, batch: pa.RecordBatch) -> Answer:
        """Predictions of rows; raises as `row`."""
        try:
            return Answer(await self._line.ask(batch), self.model.version)
        except (ModelError, TimedOut) as error:
            return await self._stand_in(error, batch)

    async def _stand_in(self, error: Exception, batch: pa.RecordBatch) -> Answer:
        reason = "too slow" if isinstance(error, TimedOut) else "failed"
        if self._fallback:
            try:
                return Answer(await self._fallback.ask(batch), self._fallback.model.version, "version", reason)
            except (ModelError, TimedOut):
                pass
        if self._constant:
            constant = {name: [value] * batch.num_rows for name, value in self._constant.items()}
            return Answer(constant, self.model.version, "constant", reason)
        raise error

    def close(self) -> None:
        """End the threads; what is in the queues is answered before."""
        self._line.close()
        if self._fallback:
            self._fallback.close()
