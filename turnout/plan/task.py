"""From a step of a plan and the values of its inputs to the task that a launcher launches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.plan.model import Step
from turnout.plan.parameters import JSON_TYPES
from turnout.runtime.contract import Artifact, Run, Task
from turnout.spec.json_schema import whole_numbers
from turnout.spec.pipeline_spec import ComponentInputsSpec
from turnout.spec.values import ABSENT


def make_task(step: Step, values: Mapping[str, Any], run: Run, attempt: int = 1) -> Task:
    """A task from values by input name, artifacts as `Artifact` or as the dict of one.

    Inputs that are not given have the component's default; None is an optional input not given.
    """
    declared = step.component.input_definitions or ComponentInputsSpec()
    parameters = {}
    for name, item in declared.parameters.items():
        value = values.get(name, None if item.default_value is ABSENT else item.default_value)
        if value is not None:
            parameters[name] = whole_numbers(value, {"type": JSON_TYPES.get(item.parameter_type, "")})
    given = {name: values[name] for name in declared.artifacts if values.get(name) is not None}
    artifacts = {
        name: (value if isinstance(value, Artifact) else Artifact.from_dict(value),) for name, value in given.items()
    }
    return Task(run, step.path, step.component, step.container, parameters, artifacts, attempt)
