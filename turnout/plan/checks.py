"""What cannot run, though each of its fields is known."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.errors import Fault
from turnout.plan.model import Plan
from turnout.spec.json_schema import schema_faults, value_faults


def artifact_lists(plan: Plan) -> Iterator[Fault]:
    """Steps that say they make a list of artifacts: the ExecutorInput has a place for one."""
    for step in plan.steps():
        declared = step.component.output_definitions
        for name, artifact in declared.artifacts.items() if declared else ():
            if artifact.is_artifact_list:
                hint = "make one artifact a step, in a loop, and collect them"
                yield Fault("a step cannot make a list of artifacts", f"{plan.name}.{step.path}.{name}", hint=hint)


def default_faults(plan: Plan) -> Iterator[Fault]:
    """Defaults that a run could not be given. Steps do not ask this: it needs the library of JSON Schema."""
    for name, item in plan.parameters.items():
        if faults := schema_faults(item.schema, f"{plan.name}.{name}"):
            yield from faults
        elif not item.required:
            for fault in value_faults(item.default, dict(item.schema), f"{plan.name}.{name}"):
                yield Fault(f"the default does not fit: {fault.what}", fault.where, fault.available, fault.hint)
