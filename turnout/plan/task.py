"""From a step of a plan and the values of its inputs to the task that a launcher launches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.errors import Fault, StepError
from turnout.plan.model import Step
from turnout.spec.deployment_spec import ImporterSpec, PipelineContainerSpec
from turnout.spec.json_schema import convert
from turnout.spec.pipeline_spec import ComponentInputsSpec
from turnout.spec.step_contract import Artifact, Run, Task
from turnout.spec.values import ABSENT


def make_task(step: Step, values: Mapping[str, Any], run: Run, **settings: Any) -> Task:
    """A task from values by input name, artifacts as `Artifact` or as the dict of one, or lists of them.

    Inputs that are not given have the component's default; None is an optional input not given.

    Args:
        settings: further attributes of the task.

    Raises:
        StepError: an input that must have a value has none, or not one of its type.
    """
    declared = step.component.input_definitions or ComponentInputsSpec()
    parameters: dict[str, Any] = {}
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    faults: list[Fault] = []
    for name, item in declared.parameters.items():
        value = values.get(name, None if item.default_value is ABSENT else item.default_value)
        if value is not None:
            try:
                parameters[name] = convert(value, item.parameter_type)
            except ValueError as error:
                faults.append(Fault(str(error), f"{step.path}.{name}"))
        elif not item.is_optional and item.default_value is ABSENT:
            faults.append(_no_value(step, name))
    for name, spec in declared.artifacts.items():
        given = values.get(name)
        if given is not None:
            artifacts[name] = tuple(_artifact(item) for item in (given if isinstance(given, list) else [given]))
        elif not spec.is_optional:
            faults.append(_no_value(step, name))
    if faults:
        raise StepError("\n".join(map(str, faults)))
    if not isinstance(step.executor, PipelineContainerSpec | ImporterSpec):  # every track refuses it before
        raise StepError("neither a container nor an importer", where=step.path)
    return Task(run, step.path, step.component, step.executor, parameters, artifacts, **settings)


def _artifact(value: Artifact | Mapping[str, Any]) -> Artifact:
    return value if isinstance(value, Artifact) else Artifact.from_dict(value)


def _no_value(step: Step, name: str) -> Fault:
    hint = "what should have produced it did not run"
    return Fault(f"input '{name}' has no value", f"{step.path}.{name}", hint=hint)
