"""A recipe as a pipeline: the steps that made a model, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_HEAD = '''"""The steps that made a model."""

from importlib import import_module

from turnout import pipeline


def component(target):
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def typed(made, values):
    """Values of the types that the component declares: stores of metadata know one kind of number."""
    kinds = {"Float": float, "Integer": int}
    declared = made.component_spec.inputs
    return {name: kinds.get(declared[name].type, lambda same: same)(value) for name, value in values.items()}


'''


def write_program(recipe: Mapping[str, Any]) -> str:
    """A Python file with a pipeline that makes what a recipe made; its last step is the recipe's own."""
    lines: list[str] = []
    steps: dict[str, str] = {}

    def step(made: Mapping[str, Any]) -> str:
        """The variable of a step; the same for two outputs of one."""
        same = json.dumps({key: value for key, value in made.items() if key != "output"}, sort_keys=True)
        if same not in steps:
            inputs = {name: f'{step(inner)}.outputs["{inner["output"]}"]' for name, inner in made["inputs"].items()}
            variable = f"step_{len(steps)}"
            artifacts = "".join(f", {name}={value}" for name, value in inputs.items())
            lines.append(f"    {variable}_of = component({made['component']!r})")
            lines.append(f"    {variable} = {variable}_of(**typed({variable}_of, {made['parameters']!r}){artifacts})")
            steps[same] = variable
        return steps[same]

    step(recipe)
    body = "\n".join(lines)
    return f'{_HEAD}@pipeline(name="reproduction")\ndef reproduction():\n    """Make the model again."""\n{body}\n'
