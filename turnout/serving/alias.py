"""An alias of the registry that is followed: asked for from time to time, beside all else."""

from __future__ import annotations

import concurrent.futures
import time

from turnout.errors import TurnoutError
from turnout.models.registry import ModelVersion, alias_uri, find

_PAUSE_S = 2.0


class Alias:
    """What an alias means.

    Args:
        pool: where the registry is asked.
    """

    def __init__(self, model: str, alias: str, pool: concurrent.futures.Executor):
        self.model, self.alias = model, alias
        self._pool = pool
        self._answer: concurrent.futures.Future[ModelVersion | None] | None = None
        self._asked = 0.0
        self.problem = ""
        """Why it is not known."""

    def version(self) -> str:
        """The version that has it, when an answer has come since the last call; else nothing."""
        now = time.monotonic()
        if self._answer is None:
            if now - self._asked >= _PAUSE_S or not self._asked:
                self._answer = self._pool.submit(find, alias_uri(self.model, self.alias))
            return ""
        if not self._answer.done():
            return ""
        answer, self._answer, self._asked = self._answer, None, now
        try:
            found = answer.result()
        except TurnoutError as error:  # what is served is served on
            self.problem = f"the alias {self.alias} is not known: {error}"
            return ""
        self.problem = "" if found else f"no version of {self.model} has the alias {self.alias}"
        return found.version if found else ""
