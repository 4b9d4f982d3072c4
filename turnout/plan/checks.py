"""What Turnout's own launcher cannot do, though each of its fields is known."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.errors import Fault
from turnout.plan.model import Plan


def artifact_lists(plan: Plan) -> Iterator[Fault]:
    """Steps that say they make a list of artifacts: the ExecutorInput has a place for one."""
    for step in plan.steps():
        declared = step.component.output_definitions
        for name, artifact in declared.artifacts.items() if declared else ():
            if artifact.is_artifact_list:
                hint = "make one artifact a step, in a loop, and collect them"
                yield Fault("a step cannot make a list of artifacts", f"{plan.name}.{step.path}.{name}", hint=hint)
