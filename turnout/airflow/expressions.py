"""What the inputs of a compiled DAG file's tasks are made of, beside constants, parameters and outputs.

An expression is a note of where a value comes from. When its task runs it becomes a source of the plan, and
the plan says what the value is: the same on every track.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, XComArg

from turnout.airflow.internals import DagParam

if TYPE_CHECKING:
    from turnout.airflow.loops import Loop
    from turnout.plan.model import Source


class Expression:
    """A value that is known when the task runs."""

    def source(self) -> Source:
        raise NotImplementedError

    def waits_for(self) -> Iterator[BaseOperator]:
        """The tasks that must have succeeded for it to have a value."""
        return iter(())


class _Parameter(Expression):
    """A parameter of the pipeline, by its name."""

    def __init__(self, name: str):
        self.name = name

    def source(self) -> Source:
        from turnout.plan.model import PipelineParameter

        return PipelineParameter(self.name)


class Interval(_Parameter):
    """A parameter of a scheduled run that is the start, or the end, of its data interval.

    The form has no field for it: it asks for the interval itself. A run's configuration may still say another time.
    """

    def __repr__(self) -> str:
        return f"Interval({self.name!r})"


class Given(_Parameter):
    """A parameter of a pipeline that is a group in a DAG written by hand; the group waits for the task it is from."""

    def __repr__(self) -> str:
        return f"group.param({self.name!r})"


class Item(Expression):
    """The item of a loop around the task, or a field of it: `loop.item["name"]`."""

    def __init__(self, loop: Loop, *keys: str | int):
        self.loop, self.keys = loop, keys

    def __getitem__(self, key: str | int) -> Item:
        return Item(self.loop, *self.keys, key)

    def __repr__(self) -> str:
        return f"{self.loop.group_id}.item" + "".join(f"[{key!r}]" for key in self.keys)

    def source(self) -> Source:
        from turnout.plan.model import Field, LoopItem

        item = LoopItem(str(self.loop.group_id))
        return Field(item, self.keys) if self.keys else item


class Field(Expression):
    """A field inside a value that is a struct or a list: its keys, outermost first."""

    def __init__(self, value: Any, *keys: str | int):
        self.value, self.keys = value, keys

    def __repr__(self) -> str:
        return f"{_text(self.value)}" + "".join(f"[{key!r}]" for key in self.keys)

    def source(self) -> Source:
        from turnout.plan.model import Field as FieldSource

        return FieldSource(source(self.value), self.keys)

    def waits_for(self) -> Iterator[BaseOperator]:
        yield from waits_for(self.value)


class OneOf(Expression):
    """The first of several outputs that there is: of whichever branch ran. Waits for none of them."""

    def __init__(self, *options: Any):
        self.options = options

    def __repr__(self) -> str:
        return f"OneOf({', '.join(map(_text, self.options))})"

    def source(self) -> Source:
        from turnout.plan.model import OneOf as OneOfSource

        return OneOfSource(tuple(source(option) for option in self.options))


class Collected(Expression):
    """A list of the values in all iterations of a loop: `loop.collect(value)`. Waits for none of them."""

    def __init__(self, loop: Loop, value: Any):
        self.loop, self.value = loop, value

    def __repr__(self) -> str:
        return f"{self.loop.group_id}.collect({_text(self.value)})"

    def source(self) -> Source:
        from turnout.plan.model import Collected as CollectedSource

        return CollectedSource(str(self.loop.group_id), source(self.value))


class Template(Expression):
    """A text, or JSON with texts in it, that holds KFP placeholders; the values that they name."""

    def __init__(self, text: Any, values: Mapping[str, Any] | None = None):
        self.text, self.values = text, dict(values or {})

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def source(self) -> Source:
        from turnout.plan.model import Template as TemplateSource

        return TemplateSource(self.text, {name: source(value) for name, value in self.values.items()})

    def waits_for(self) -> Iterator[BaseOperator]:
        for value in self.values.values():
            yield from waits_for(value)


class Status(Expression):
    """How a task, or with its end a group, ended: KFP's PipelineTaskFinalStatus. Does not wait for it."""

    def __init__(self, task: BaseOperator):
        self.task = task

    def __repr__(self) -> str:
        return f"Status({self.task.task_id})"

    def source(self) -> Source:
        from turnout.plan.model import FinalStatus

        return FinalStatus(getattr(self.task, "region", self.task.task_id))


def source(value: Any) -> Source:
    """The plan's source for an expression, an output of a task, a parameter of the run, or a constant."""
    from turnout.plan.model import Constant, PipelineParameter, StepOutput

    if isinstance(value, Expression):
        return value.source()
    if isinstance(value, XComArg):
        ((task, key),) = value.iter_references()
        return StepOutput(task.task_id, key)
    if isinstance(value, DagParam):
        return PipelineParameter(value.serialize()["name"])
    return Constant(value)


def waits_for(value: Any) -> Iterator[BaseOperator]:
    """The tasks that must have succeeded for a value to be there."""
    if isinstance(value, Expression):
        yield from value.waits_for()
    else:
        for task, _ in XComArg.iter_xcom_references(value):
            yield task


class Inputs:
    """Values and expressions by input name; Airflow shows them, and leaves the waiting to the task."""

    def __init__(self, values: Mapping[str, Any]):
        self.values = dict(values)

    def __repr__(self) -> str:
        return repr(self.serialize())

    def serialize(self) -> dict[str, Any]:
        """For Airflow's record of the DAG: constants as they are, all else as text."""
        return {name: _shown(value) for name, value in self.values.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_shown(item) for item in value]
    return value if isinstance(value, int | float | bool | None) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, XComArg):
        return ", ".join(f"{task.task_id}.output[{key!r}]" for task, key in value.iter_references())
    return f"dag.param({value.serialize()['name']!r})" if isinstance(value, DagParam) else str(value)
