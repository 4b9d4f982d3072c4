"""What KFP's SDK lets pass that then runs wrong, or tells badly (kfp 2.17): mended in the SDK itself.

- `dsl.If(x == "it's")` gives an expression that cannot be read, `dsl.If(x == "C:\\new")` one with a line end in it:
  texts are written into CEL without escapes.
- Numbers become doubles: 2**53 + 1 is another number in the YAML.
- `task.outputs["nmae"]` is a bare KeyError.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NoReturn

from turnout.spec.json_values import TOO_LARGE, beyond_doubles

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r"})


class NoSuchOutput(KeyError):
    """A task has no output of this name."""

    def __init__(self, task: str, name: str, outputs: tuple[str, ...]):
        self.task, self.name, self.outputs = task, name, outputs
        super().__init__(name)


def mend() -> None:
    """Mend the SDK; once is enough."""
    from kfp.compiler import pipeline_spec_builder as builder
    from kfp.dsl.pipeline_task import PipelineTask

    compare = builder._single_binary_operation_to_cel_condition
    if hasattr(compare, "__wrapped__"):
        return

    @functools.wraps(compare)
    def with_escapes(operation: Any) -> str:
        escaped = {
            side: value.translate(_ESCAPES)
            for side in ("left_operand", "right_operand")
            if isinstance(value := getattr(operation, side), str)
        }
        result: str = compare(dataclasses.replace(operation, **escaped))
        return result

    builder._single_binary_operation_to_cel_condition = with_escapes
    for name in ("to_protobuf_value", "_fill_in_component_input_default_value"):
        setattr(builder, name, _exactly(getattr(builder, name)))
    PipelineTask.outputs = property(lambda task: _Outputs(task), doc=PipelineTask.outputs.__doc__)


def _exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the SDK that writes values down, which refuses whole numbers that no double holds."""

    @functools.wraps(function)
    def checked(*arguments: Any, **named: Any) -> Any:
        for _, value in beyond_doubles([*arguments, *named.values()]):
            raise ValueError(f"KFP cannot keep the number {value}; {TOO_LARGE}")
        return function(*arguments, **named)

    return checked


class _Outputs(dict[str, Any]):
    """A task's outputs by name."""

    def __init__(self, task: Any):
        self.task = task.name
        super().__init__(task._outputs)

    def __missing__(self, name: str) -> NoReturn:
        raise NoSuchOutput(self.task, name, tuple(self))
