"""Where values come from: the references of one dag, looked up in its scope.

A scope says what the names inside one dag stand for. The dag's own inputs stand for the sources that
its task was given, so the nesting of dags is gone once a reference is looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import Fault, did_you_mean
from turnout.names import TASK_ID, shortened
from turnout.plan.conditions import TEXT, condition_faults
from turnout.plan.model import (
    Condition,
    Constant,
    Field,
    FinalStatus,
    OneOf,
    Source,
    Template,
)
from turnout.spec.checks import CHANNEL
from turnout.spec.pipeline_spec import (
    DagOutputsSpec,
    DagSpec,
    InputParameterSpec,
    PipelineTaskSpec,
    TaskInputArtifactSpec,
    TaskInputParameterSpec,
    TaskOutputParameterSpec,
)
from turnout.spec.values import ABSENT, ParameterType

_PLACEHOLDER = re.compile(r"\{\{\$(?:\.[^{}]*)?\}\}")
_PARAMETER_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^']*)'|\"([^\"]*)\")\]\}\}")
_SELECTOR = re.compile(r"parseJson\(string_value\)((?:\[(?:\"(?:\\.|[^\"\\])*\"|\d+)\])+)")
_KEY = re.compile(r"\[(\"(?:\\.|[^\"\\])*\"|\d+)\]")
# The item of a loop, or a field of one. KFP's compiler takes it for an output of the step that gives the list.
_ITEM = re.compile(r"(?P<item>.*loop-item(?:-param-\d+)?)(?:-subvar-(?P<field>.*))?")
# CEL's string literals, so that what merely looks like a reference inside one is left alone.
_CEL_REFERENCE = re.compile(rf"""(?P<text>{TEXT})|inputs\.parameter_values\[(?P<quote>['"])(?P<name>.*?)(?P=quote)\]""")
_CEL_WORDS = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"} | {
    "import", "let", "loop", "package", "namespace", "return", "var", "void", "while", "int", "uint", "double",
    "bool", "string", "bytes", "list", "map", "type", "size", "has", "all", "exists", "filter", "inputs",
}  # fmt: skip


@dataclass(frozen=True)
class Broken:
    """A reference to nothing, which is a fault only where something uses it.

    KFP's compiler passes inputs into exit handlers that stand for nothing and that nothing there reads.
    """

    fault: Fault


@dataclass
class Scope:
    """What names stand for inside one dag.

    Attributes:
        names: of the dag's nodes by task, where they are not the task's: groups that the author named.
        producers: the outputs of the dag's tasks, task and output, by KFP's names of them.
        around: of a group the scope that it is in.
        longest: characters that a name may have in a path.
        outputs: per task linked so far, the sources of its outputs by name.
        report: takes the faults that are found.
    """

    path: str
    pipeline: str
    dag: DagSpec
    inputs: Mapping[str, Source | Broken]
    report: Callable[[Fault], None]
    names: Mapping[str, str] = field(default_factory=dict)
    producers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    around: Scope | None = None
    longest: int = TASK_ID
    outputs: dict[str, dict[str, Source]] = field(default_factory=dict)

    def join(self, task: str) -> str:
        """The path of a task's node."""
        name = shortened(self.names.get(task, task), self.longest)
        return f"{self.path}.{name}" if self.path else name

    def available(self) -> tuple[str, ...]:
        return tuple(f"{task}.{name}" for task, outputs in self.outputs.items() for name in outputs)

    def fault(self, what: str, where: str, available: tuple[str, ...] = (), hint: str = "") -> None:
        self.report(Fault(what, f"{self.pipeline}.{where}" if where else self.pipeline, available, hint))

    def task_inputs(self, name: str, task: PipelineTaskSpec) -> dict[str, Source | Broken]:
        """The sources of all that a task is given."""
        path = self.join(name)
        inputs: dict[str, Source | Broken] = {}
        texts: dict[str, Any] = {}
        given = task.inputs
        items: dict[str, TaskInputParameterSpec | TaskInputArtifactSpec] = {}
        if given:
            items = {**given.parameters, **given.artifacts}
        for key, item in items.items():
            where = f"{path}.{key}"
            if isinstance(item, TaskInputParameterSpec) and item.runtime_value is not None:
                value = item.runtime_value.known
                if value is ABSENT:
                    self.fault("a value that is neither a constant nor an output", where)
                elif any(_PLACEHOLDER.search(text) for text in _texts(value)):
                    texts[key] = value
                else:
                    inputs[key] = Constant(value)
            else:
                source = self._reference(item, where)
                if source is not None:
                    inputs[key] = source
        for key, text in texts.items():
            found = [match for part in _texts(text) for match in _PARAMETER_PLACEHOLDER.findall(part)]
            names = [single or double for single, double in found]
            used = self.used({name: inputs[name] for name in names if name in inputs})
            inputs[key] = Template(text, used)
        return inputs

    def settings(self, value: Any, where: str) -> Any:
        """A platform's settings of a step, with the references in them as sources."""
        if isinstance(value, list):
            return [self.settings(item, where) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and value.keys() <= {"runtimeValue", "componentInputParameter", "taskOutputParameter"}:
            if not _is_reference(value):
                self.fault("a value that is neither a constant, an input nor an output", where)
                return Constant(None)
            if "runtimeValue" in value:
                return Constant((value["runtimeValue"] or {}).get("constant"))
            output = value.get("taskOutputParameter")
            reference = TaskInputParameterSpec(
                component_input_parameter=value.get("componentInputParameter"),
                task_output_parameter=TaskOutputParameterSpec(
                    producer_task=output.get("producerTask", ""),
                    output_parameter_key=output.get("outputParameterKey", ""),
                )
                if output
                else None,
            )
            source = self._reference(reference, where)
            return Constant(None) if source is None else self.used({"": source}).get("")
        return {key: self.settings(item, where) for key, item in value.items()}

    def used(self, inputs: Mapping[str, Source | Broken]) -> dict[str, Source]:
        """Sources that something reads: the broken among them are faults."""
        sources = {}
        for name, source in inputs.items():
            if isinstance(source, Broken):
                self.report(source.fault)
            else:
                sources[name] = source
        return sources

    def condition(
        self,
        name: str,
        task: PipelineTaskSpec,
        inputs: Mapping[str, Source | Broken],
        declared: Mapping[str, InputParameterSpec],
    ) -> Condition | None:
        """A task's condition, over plain variables; an optional input that was not given is null.

        Args:
            declared: the parameters of the task's component, with their types.
        """
        if task.trigger_policy is None or not task.trigger_policy.condition:
            return None
        names: dict[str, str] = {}
        given = task.inputs.parameters if task.inputs else {}

        def variable(match: re.Match[str]) -> str:
            if match["text"]:
                return match["text"]
            return names.setdefault(match["name"], _variable(match["name"], set(names.values())))

        expression = _CEL_REFERENCE.sub(variable, task.trigger_policy.condition)
        inputs = {**{key: Constant(None) for key in given}, **inputs}
        for key in names.keys() - inputs.keys():
            self.fault(f"the condition reads '{key}', which it is not given", self.join(name), tuple(inputs),
                       did_you_mean(key, inputs))  # fmt: skip
        types = {variable: declared[key].parameter_type if key in declared else ParameterType.UNSPECIFIED
                 for key, variable in names.items()}  # fmt: skip
        for what, hint in condition_faults(expression, types):
            self.fault(what, self.join(name), hint=hint)
        used = self.used({key: inputs[key] for key in names if key in inputs})
        return Condition(expression, {names[key]: source for key, source in used.items()})

    def by_name(self, name: str) -> Source | None:
        """What KFP's name of a value stands for here or around; None when it is no such name, or of nothing.

        KFP's compiler does not hand all values to the groups that need them: loop items, their fields, and the lists.
        """
        if not name.startswith(CHANNEL):
            return None
        plain = name.removeprefix(CHANNEL)
        for key in (name, plain):
            found = self.inputs.get(key)
            if found is not None and not isinstance(found, Broken):
                return found
        task, output = self.producers.get(name, ("", ""))
        if (source := self.outputs.get(task, {}).get(output)) is not None:
            return source
        match = _ITEM.fullmatch(name)
        if match and match["field"] and (item := self.by_name(match["item"])):
            return Field(item, (match["field"],))
        return self.around.by_name(name) if self.around else None

    def dag_outputs(self, outputs: DagOutputsSpec) -> Iterator[tuple[str, Source]]:
        """The sources of the dag's own outputs."""
        for name, parameter in outputs.parameters.items():
            if parameter.value_from_oneof:
                choices = [
                    (chosen.producer_subtask, chosen.output_parameter_key)
                    for chosen in parameter.value_from_oneof.parameter_selectors
                ]
            elif parameter.value_from_parameter:
                selector = parameter.value_from_parameter
                choices = [(selector.producer_subtask, selector.output_parameter_key)]
            else:
                choices = []
            yield from self._chosen(name, choices)
        for name, artifact in outputs.artifacts.items():
            yield from self._chosen(
                name, [(chosen.producer_subtask, chosen.output_artifact_key) for chosen in artifact.artifact_selectors]
            )

    def _chosen(self, name: str, choices: list[tuple[str, str]]) -> Iterator[tuple[str, Source]]:
        where = self.join(name)
        if not choices:
            self.fault("an output without a source", where)
        sources = [source for task, key in choices if (source := self._output(task, key, where))]
        if len(sources) == 1:
            yield name, sources[0]
        elif sources:
            yield name, OneOf(tuple(sources))

    def _reference(self, item: TaskInputParameterSpec | TaskInputArtifactSpec, where: str) -> Source | Broken | None:
        source: Source | Broken | None = None
        match item:
            case TaskInputParameterSpec(task_final_status=status) if status is not None:
                if status.producer_task in self.dag.tasks:
                    source = FinalStatus(self.join(status.producer_task))
                else:
                    self.fault(f"no step '{status.producer_task}' here", where, tuple(self.dag.tasks))
            case TaskInputParameterSpec(task_output_parameter=output) if output is not None:
                source = self._item(output) or self._output(output.producer_task, output.output_parameter_key, where)
            case TaskInputArtifactSpec(task_output_artifact=output) if output is not None:
                source = self._output(output.producer_task, output.output_artifact_key, where)
            case TaskInputParameterSpec(component_input_parameter=name) if name is not None:
                source = self._input(name, where)
            case TaskInputArtifactSpec(component_input_artifact=name) if name is not None:
                source = self._input(name, where)
            case _:
                self.fault("an input without a source", where)
        selector = item.parameter_expression_selector if isinstance(item, TaskInputParameterSpec) else ""
        if selector and source is not None and not isinstance(source, Broken):
            match = _SELECTOR.fullmatch(selector)
            if match is None:
                self.fault(f"an expression that is not a field of a struct: {selector}", where)
                return None
            source = Field(source, tuple(json.loads(key) for key in _KEY.findall(match[1])))
        return source

    def _item(self, output: TaskOutputParameterSpec) -> Source | Broken | None:
        """The loop item that a reference to an output stands for; None when it is an output."""
        task, key = output.producer_task, output.output_parameter_key
        if key in self.outputs.get(task, ()) or not _ITEM.fullmatch(key):
            return None
        unknown = Broken(Fault(f"no loop around gives the item '{key}' of '{task}'", f"{self.pipeline}.{self.path}"))
        return self.by_name(f"{CHANNEL}{task}-{key}") or unknown

    def _output(self, task: str, key: str, where: str) -> Source | None:
        outputs = self.outputs.get(task)
        if outputs is None:
            if task not in self.dag.tasks:
                self.fault(f"no step '{task}' here", where, self.available(), did_you_mean(task, list(self.dag.tasks)))
            return None  # the producer's own fault is reported at the producer
        if key not in outputs:
            self.fault(f"'{task}' has no output '{key}'", where, tuple(f"{task}.{name}" for name in outputs),
                       did_you_mean(key, outputs))  # fmt: skip
            return None
        return outputs[key]

    def _input(self, name: str, where: str) -> Source | Broken | None:
        """A dag's input by name; None when it is optional and was not given (`link` saw to the others)."""
        found = self.inputs.get(name)
        if found is None or isinstance(found, Broken):
            found = self.by_name(name) or found
        if found is None and not self.path:
            known = tuple(self.inputs)
            return Broken(
                Fault(f"the pipeline has no input '{name}'", f"{self.pipeline}.{where}", known,
                      did_you_mean(name, known))
            )  # fmt: skip
        return found


def _is_reference(value: Mapping[str, Any]) -> bool:
    """Whether a settings' reference is one: a constant, the name of an input, or a step and its output."""
    ((kind, item),) = value.items()
    if item is None:
        return True
    if kind == "componentInputParameter":
        return isinstance(item, str)
    texts = item.values() if kind == "taskOutputParameter" and isinstance(item, dict) else ()
    return isinstance(item, dict) and all(isinstance(text, str) for text in texts)


def _texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _variable(reference: str, taken: set[str]) -> str:
    """A readable CEL variable for an input such as `pipelinechannel--evaluate-promote`."""
    name = re.sub(r"\W", "_", reference.removeprefix(CHANNEL), flags=re.ASCII)
    if not name or name[0].isdigit() or name in _CEL_WORDS:
        name = f"value_{name}"
    while name in taken:
        name += "_"
    return name
