"""A runtime for tests of what pipelines do, whatever runs their steps: steps are calls in this process, one at a time.

Many small runs take seconds, since nothing is started or imported for each step.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from turnout.execution import executor
from turnout.runtimes import process, registry
from turnout.runtimes.process import Processes

_ONE_AT_A_TIME = threading.Lock()


class Calls:
    """Runs a command of Turnout's own by calling what it calls; see `turnout.execution.runtime.Runtime`."""

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        word, *arguments = command[1:]
        called = {"exec": executor.main, "outside": executor.describe_outside}[word]
        with _ONE_AT_A_TIME, log.open("w") as file:
            before = dict(os.environ)
            os.environ.update(environment)
            try:
                with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                    return called(arguments)
            finally:  # a step's own variables are not the next one's
                os.environ.clear()
                os.environ.update(before)

    def cancel(self, grace: float = 5.0) -> None:
        """A call cannot be ended."""


class CallsInstead(Processes):
    def runtime(self, python: str) -> Calls:
        return Calls()


def install(patch: pytest.MonkeyPatch) -> str:
    """Make it a runtime of the local track; its name."""
    patch.setitem(registry.RUNTIMES, "calls", process.SUPPORT)
    patch.setitem(registry._WAYS, "calls", registry._Way(process.SETTINGS, CallsInstead))
    return "calls"
