"""A run as its records tell it, held against its plan: what was decided, and on what values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnout.errors import StepError
from turnout.plan.model import Plan
from turnout.plan.progress import Progress
from turnout.plan.results import StepResult
from turnout.plan.values import Values


def replay(plan: Plan, parameters: Mapping[str, Any], steps: Iterable[StepResult]) -> Progress | None:
    """How far a run is, from the outcomes of its steps; None when they are not those of a run of this plan.

    Conditions are evaluated and loops opened again with the values that there were, so that `progress.values` gives
    the inputs of each step, and `progress.executions()` the state of each region.

    Args:
        parameters: of the run; those that are not known have their defaults.
    """
    defaults = {name: parameter.default for name, parameter in plan.parameters.items()}
    outcomes = {(step.name, step.iteration): step.outcome for step in steps if step.outcome and step.state.finished}
    try:
        progress = Progress(plan, Values(plan, {**defaults, **parameters}, {}))
        while ready := list(progress.ready()):
            for execution in ready:
                if outcome := outcomes.get((execution.path, execution.iteration)):
                    progress.finish(execution, outcome.state, outcome.outputs, outcome.error)
    except (StepError, LookupError, TypeError, ValueError, AttributeError):  # a record of something else
        return None
    return progress
