"""A compiled pipeline as a task group of a DAG that is written by hand."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from airflow.sdk import BaseOperator, TaskGroup, XComArg

from turnout.airflow.expressions import Given
from turnout.airflow.internals import TaskGroupContext
from turnout.errors import Fault, ParameterError, TurnoutError, did_you_mean
from turnout.task_ids import RUN_OUTPUTS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from turnout.airflow.run_view import View
    from turnout.plan.model import Plan


@attrs.define(repr=False, init=False)
class PipelineGroup(TaskGroup):  # type: ignore[misc]
    """The tasks of a pipeline: its `output` has what it gives, `step(name)` each of its steps.

    Everything before it, and every task whose value is among its inputs, must have succeeded before it starts. What
    follows it waits for its end, and is not skipped with a branch of it.
    """

    _group_id: str | None = attrs.field(alias="group_id", default=None)
    inputs: dict[str, Any] = attrs.field(factory=dict, init=False)
    names: tuple[str, ...] = attrs.field(default=(), init=False)

    def __init__(self, group_id: str, inputs: Mapping[str, Any], **facts: Any):
        self.__attrs_init__(group_id=group_id, **facts)
        self.inputs = dict(inputs)

    def param(self, name: str) -> Given:
        """A parameter of the pipeline, for its tasks."""
        return Given(name)

    def step(self, name: str) -> BaseOperator:
        """The task of a step: `group.step("train").output["model"]`.

        Raises:
            TurnoutError: there is no such step.
        """
        steps = {self._name_of(task): task for task in self if task.task_type == "Step"}
        if name not in steps:
            hint = did_you_mean(name, steps)
            raise TurnoutError(f"no step '{name}'", where=str(self.group_id), available=steps, hint=hint)
        return steps[name]

    @property
    def output(self) -> Mapping[str, XComArg]:
        """The outputs of the pipeline, by name, for other tasks of the DAG: artifacts as references with a `uri`."""
        return _Outputs(self)

    def _name_of(self, task: BaseOperator) -> str:
        return str(task.task_id).removeprefix(f"{self.group_id}.")

    def given(self, context: Context, view: View) -> dict[str, Any]:
        """The values of the pipeline's parameters in a run, with the defaults of those that are not given, or None.

        Raises:
            ParameterError: one cannot be had, or does not fit; all of them.
        """
        from turnout.airflow import by_hand
        from turnout.plan.parameters import bind_parameters

        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for name, value in self.inputs.items():
            try:
                values[name] = by_hand.value_now(value, context, view)
            except TurnoutError as error:
                faults += [dataclasses.replace(fault, where=f"{self.group_id}.{name}") for fault in error.faults]
        if faults:
            raise ParameterError(faults)
        parameters = view.plan.parameters
        values = {name: value for name, value in values.items() if value is not None or parameters[name].required}
        artifacts = {name: value for name, value in values.items() if parameters[name].artifact}
        uris = {name: by_hand.uris(value) for name, value in artifacts.items()}
        return {**bind_parameters(parameters, values | uris, str(self.group_id)), **artifacts}


class _Outputs(Mapping[str, XComArg]):
    def __init__(self, group: PipelineGroup):
        self.group = group

    def __getitem__(self, name: str) -> XComArg:
        if name not in self.group.names:
            where, known = str(self.group.group_id), self.group.names
            hint = did_you_mean(name, known) or 'an output of a step: group.step("name").output["name"]'
            raise TurnoutError(f"the pipeline has no output '{name}'", where=where, available=known, hint=hint)
        return self.group.get_child_by_label(RUN_OUTPUTS).output[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.group.names)

    def __len__(self) -> int:
        return len(self.group.names)


def task_group(
    spec: str, *, group_id: str = "", inputs: Mapping[str, Any] | None = None, **facts: Any
) -> PipelineGroup:  # fmt: skip
    """Put the tasks of a compiled pipeline into the DAG around this call, as a task group.

    Args:
        spec: the pipeline's YAML, as `turnout compile` or KFP's compiler writes it; a path from the DAG's file on.
        group_id: of the group; the pipeline's name when empty.
        inputs: the pipeline's parameters by name: constants, parameters of the DAG (`dag.param("name")`) and values of
            any of its tasks. The others have their defaults. An artifact is given by its URI, or as another's output.
        facts: further arguments of Airflow's TaskGroup, such as `default_args` and `tooltip`.

    Raises:
        TurnoutError: there is no such pipeline, it is not for Airflow, or an input is unknown, missing or does not fit:
            all faults, when the DAG is parsed.
    """
    from turnout.airflow import by_hand

    parent = TaskGroupContext.get_current()
    if parent is None:
        hint = 'with DAG("name", ...): task_group(...)'
        raise TurnoutError("a task group outside of a DAG", where=spec, hint=hint)
    if list(parent.iter_mapped_task_groups()):
        hint = "a loop belongs into the pipeline: dsl.ParallelFor"
        raise TurnoutError("a pipeline cannot be in a mapped task group", where=str(parent.group_id), hint=hint)
    path, digest = by_hand.spec_beside(parent.dag, spec)
    plan = by_hand.read(path, digest)
    group_id = group_id or plan.name
    _check(plan, inputs or {}, group_id)
    fill, defaults = _body(path, digest)
    facts["default_args"] = {**defaults, **facts.get("default_args", {}), "spec": path, "spec_digest": digest}
    if plan.description:
        facts.setdefault("tooltip", plan.description.splitlines()[0])
    group = PipelineGroup(group_id, inputs or {}, **facts)
    group.names = tuple(plan.outputs)
    with group:
        fill(group)
    for task, _ in XComArg.iter_xcom_references(dict(group.inputs)):
        task >> group
    return group


def _check(plan: Plan, inputs: Mapping[str, Any], group_id: str) -> None:
    """Hold the inputs against the pipeline's parameters."""
    from turnout.airflow import by_hand
    from turnout.spec.json_schema import value_faults, whole_numbers

    names = tuple(plan.parameters)
    faults = [by_hand.unknown(name, group_id, names) for name in inputs if name not in names]
    for name, item in plan.parameters.items():
        if name not in inputs:
            faults += [by_hand.missing(name, group_id)] if item.required else []
        elif not by_hand.is_late(inputs[name]):
            value = whole_numbers(by_hand.plain(inputs[name]), item.schema)
            value = by_hand.uris(value) if item.artifact else value
            faults += value_faults(value, dict(item.schema), f"{group_id}.{name}")
    if faults:
        raise ParameterError(faults)


@functools.lru_cache(maxsize=8)
def _body(path: str, digest: str) -> tuple[Callable[[PipelineGroup], None], dict[str, Any]]:
    """What makes the tasks of a pipeline in a group, and the arguments that they all have: the text of its DAG file."""
    from turnout.airflow import by_hand
    from turnout.tracks.airflow.group_body import GroupBody

    text = GroupBody(by_hand.read(path, digest)).text()
    names: dict[str, Any] = {}
    exec(compile(text, f"<tasks of {Path(path).name}>", "exec"), names)
    return names["fill"], names["DEFAULTS"]
