"""What cannot run, though each of its fields is known."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.errors import Fault
from turnout.plan.model import Plan
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.json_schema import schema_faults, value_faults
from turnout.spec.requirements import Line, checked, installs_of, packages_in, required


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


def requirement_faults(plan: Plan) -> Iterator[Fault]:
    """Packages that a step asks for and that no installer could understand."""
    for step in plan.steps():
        if not isinstance(step.executor, PipelineContainerSpec):
            continue
        where = f"{plan.name}.{step.path}"
        # pip takes paths and addresses too, which have no form of their own.
        packages = packages_in(installs_of(step.executor.command) or [])
        named = [item for item in packages if not set("/+@") & set(item) and not item.endswith((".whl", ".gz", ".zip"))]
        yield from checked(Line(text, where) for text in [*required(step.executor), *named])[1]
