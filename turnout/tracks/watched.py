"""A run on somebody else's server, watched to its end by looking at it again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from turnout.plan.results import RunResult, Watch
from turnout.spec.step_contract import State


def watched(look: Callable[[], RunResult], watch: Watch, poll_s: float) -> RunResult:
    """How a run ended.

    Args:
        look: how the run is now.
        watch: told of each step whose state is another than at the last look.
        poll_s: seconds between two looks.
    """
    told: dict[str, State] = {}
    while True:
        result = look()
        for step in result.steps:
            if told.get(step.key) is not step.state:
                told[step.key] = step.state
                watch(step, "")
        if result.state.finished:
            return result
        time.sleep(poll_s)
