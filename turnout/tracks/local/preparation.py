"""What is made once for steps before any of them runs: environments and images of their own."""

from __future__ import annotations

import functools
import json

from turnout.errors import TurnoutError
from turnout.plan.model import Plan
from turnout.plan.results import StepResult, Watch
from turnout.runtimes.steps import StepRunner
from turnout.spec.deployment_spec import PipelineContainerSpec


def prepare(plan: Plan, steps: StepRunner, watch: Watch) -> dict[str, str]:
    """Have made what the steps of a plan need. So a run does not fail late of what can be known early.

    Args:
        watch: called with the lines that tell of it, and the step that it is done for.

    Returns:
        Why it cannot be made, by the paths of the steps that need it.
    """
    told: dict[str, str] = {}
    errors: dict[str, str] = {}
    looped = {step.path for region in plan.root.regions() if region.loop for step in region.steps()}
    for step in plan.steps():
        container = step.executor
        if not isinstance(container, PipelineContainerSpec):
            continue
        needs = json.dumps([container.image, container.command, container.args])
        if needs not in told:
            shown = StepResult(step.path, (), title=plan.title(step.path))
            tell = functools.partial(watch, shown) if step.path not in looped else _unseen
            told[needs] = ""
            try:
                steps.prepare(container, tell)
            except TurnoutError as error:
                told[needs] = str(error)
        if told[needs]:
            errors[step.path] = told[needs]
    return errors


def _unseen(line: str) -> None:
    """A line of what is done for a step whose iterations are not known yet."""
