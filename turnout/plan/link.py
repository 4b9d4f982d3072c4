"""`link`: from a document, in which names refer to names, to a plan, in which every source is resolved.

One walk over the nested dags. In each dag a scope says what the names there stand for: the dag's own
inputs are the sources its task was given, so nesting is gone once a step's inputs are looked up.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from turnout.errors import Fault, PlanError, did_you_mean
from turnout.plan.model import (
    Condition,
    Constant,
    PipelineParameter,
    Plan,
    Region,
    Source,
    Step,
    StepOutput,
    Template,
    producers,
)
from turnout.plan.parameters import pipeline_parameters
from turnout.spec.document import Document
from turnout.spec.pipeline_spec import (
    ComponentInputsSpec,
    ComponentSpec,
    DagSpec,
    InputArtifactSpec,
    InputParameterSpec,
    PipelineTaskSpec,
    TaskInputArtifactSpec,
    TaskInputParameterSpec,
)
from turnout.spec.values import ABSENT, TriggerStrategy

_PLACEHOLDER = re.compile(r"\{\{\$(?:\.[^{}]*)?\}\}")
_PARAMETER_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^']*)'|\"([^\"]*)\")\]\}\}")
# CEL's string literals, so that what merely looks like a reference inside one is left alone.
_CEL_REFERENCE = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|inputs\.parameter_values\[(?P<quote>['"])(?P<name>.*?)(?P=quote)\]"""
)
_CEL_WORDS = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"} | {
    "import", "let", "loop", "package", "namespace", "return", "var", "void", "while", "int", "uint", "double",
    "bool", "string", "bytes", "list", "map", "type", "size", "has", "all", "exists", "filter", "inputs",
}  # fmt: skip


@dataclass
class _Scope:
    """What names stand for inside one dag.

    `outputs` has, per task, the sources of its outputs by name.
    """

    path: str
    inputs: Mapping[str, Source]
    outputs: dict[str, dict[str, Source]] = field(default_factory=dict)

    def join(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def link(document: Document) -> Plan:
    """Link a pipeline.

    Raises:
        PlanError: everything in the pipeline that cannot be linked, all faults together.
    """
    linker = _Linker(document)
    root = document.pipeline.root
    assert root is not None
    parameters = pipeline_parameters(document)
    inputs: dict[str, Source] = {name: PipelineParameter(name) for name in parameters}
    artifacts = root.input_definitions.artifacts if root.input_definitions else {}
    for name, item in artifacts.items():
        if not item.is_optional:
            linker.fault("a pipeline that takes an artifact cannot be linked yet", name)
    region, outputs = linker.region(root, _Scope("", inputs))
    if linker.faults:
        raise PlanError(linker.faults)
    info = document.pipeline.pipeline_info
    description = info.description if info else ""
    return Plan(document.name, description, parameters, region, outputs, document)


class _Linker:
    def __init__(self, document: Document):
        self.document = document
        self.faults: list[Fault] = []

    def fault(self, what: str, where: str, available: tuple[str, ...] = (), hint: str = "") -> None:
        self.faults.append(
            Fault(what, f"{self.document.name}.{where}" if where else self.document.name, available, hint)
        )

    def region(
        self, component: ComponentSpec, scope: _Scope, after: tuple[str, ...] = (), condition: Condition | None = None
    ) -> tuple[Region, dict[str, Source]]:
        """Link a dag: its region, and the sources of its outputs."""
        dag = component.dag
        if dag is None:
            self.fault("the pipeline's root is a container, not a dag", scope.path)
            return Region(scope.path, "pipeline", ()), {}
        nodes = []
        for name in self._order(dag, scope):
            node = self._task(name, dag.tasks[name], dag, scope)
            if node is not None:
                nodes.append(node)
        region = Region(scope.path, "condition" if condition else "pipeline", tuple(nodes), after, condition)
        return region, dict(self._outputs(dag, scope))

    def _order(self, dag: DagSpec, scope: _Scope) -> list[str]:
        """The tasks of a dag, each after those it depends on, otherwise in the file's order."""
        graph: dict[str, list[str]] = {}
        for name, task in dag.tasks.items():
            needs = dict.fromkeys(_dependencies(task))
            for other in needs.keys() - dag.tasks.keys():
                self.fault(f"depends on '{other}', which is not a task here", scope.join(name), tuple(dag.tasks),
                           did_you_mean(other, dag.tasks))  # fmt: skip
            graph[name] = [other for other in needs if other in dag.tasks]
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            self.fault(f"tasks wait for each other: {' -> '.join(error.args[1])}", scope.path)
            return []

    def _task(self, name: str, task: PipelineTaskSpec, dag: DagSpec, scope: _Scope) -> Step | Region | None:
        path = scope.join(name)
        reference = task.component_ref.name if task.component_ref else ""
        component = self.document.pipeline.components.get(reference)
        if component is None:
            components = self.document.pipeline.components
            self.fault(f"no component '{reference}'", path, tuple(components), did_you_mean(reference, components))
            return None
        for what in _not_linked_yet(task):
            self.fault(f"{what} cannot be linked yet", path)
        declared = component.input_definitions or ComponentInputsSpec()
        inputs = self._inputs(path, task, dag, scope)
        names: dict[str, InputParameterSpec | InputArtifactSpec] = {**declared.parameters, **declared.artifacts}
        given = {*task.inputs.parameters, *task.inputs.artifacts} if task.inputs else set()
        if task.parameter_iterator or task.artifact_iterator:
            given = set(names)  # the loop gives its body the item
        for missing in (key for key in names if key not in inputs and key not in given):
            item = names[missing]
            default = getattr(item, "default_value", ABSENT)
            if default is not ABSENT:
                inputs[missing] = Constant(default)
            elif not item.is_optional:
                self.fault(f"input '{missing}' of step '{name}' has no producer", f"{path}.{missing}",
                           self._available(scope), did_you_mean(missing, self._available(scope)))  # fmt: skip
        implied = producers(inputs)
        waits = [scope.join(other) for other in task.dependent_tasks if other in dag.tasks]
        after = tuple(other for other in waits if other not in implied)
        if component.dag is not None:
            condition = self._condition(task, inputs)
            inner = _Scope(path, inputs)
            region, scope.outputs[name] = self.region(component, inner, after, condition)
            return region
        if task.trigger_policy and task.trigger_policy.condition:
            self.fault("a condition on a step that is not in a group cannot be linked yet", path)
        scope.outputs[name] = {key: StepOutput(path, key) for key in _output_names(component)}
        label = component.executor_label or ""
        deployment = self.document.pipeline.deployment_spec
        executor = deployment.executors.get(label) if deployment else None
        if executor is None or executor.container is None:
            kind = "importer" if executor and executor.importer else f"executor '{label}' without a container"
            self.fault(f"{kind} cannot be linked yet", path)
            return None
        inputs = {key: source for key, source in inputs.items() if key in names}
        return Step(path, component, executor.container, label, inputs, after, task.retry_policy)

    def _inputs(self, path: str, task: PipelineTaskSpec, dag: DagSpec, scope: _Scope) -> dict[str, Source]:
        inputs: dict[str, Source] = {}
        constants: dict[str, str] = {}
        given = task.inputs
        for key, item in {**given.parameters, **given.artifacts}.items() if given else ():
            where = f"{path}.{key}"
            source: Source | None = None
            match item:
                case TaskInputParameterSpec(parameter_expression_selector=selector) if selector:
                    self.fault("a field of a struct cannot be linked yet", where)
                case TaskInputParameterSpec(task_final_status=status) if status is not None:
                    self.fault("the final status of a task cannot be linked yet", where)
                case TaskInputParameterSpec(runtime_value=value) if value is not None:
                    if value.constant is ABSENT:
                        self.fault("a value that is neither a constant nor an output", where)
                    elif isinstance(value.constant, str) and _PLACEHOLDER.search(value.constant):
                        constants[key] = value.constant
                    else:
                        source = Constant(value.constant)
                case TaskInputParameterSpec(task_output_parameter=output) if output is not None:
                    source = self._output(output.producer_task, output.output_parameter_key, where, dag, scope)
                case TaskInputArtifactSpec(task_output_artifact=output) if output is not None:
                    source = self._output(output.producer_task, output.output_artifact_key, where, dag, scope)
                case TaskInputParameterSpec(component_input_parameter=name) if name is not None:
                    source = self._input(name, where, scope)
                case TaskInputArtifactSpec(component_input_artifact=name) if name is not None:
                    source = self._input(name, where, scope)
                case _:
                    self.fault("an input without a source", where)
            if source is not None:
                inputs[key] = source
        for key, text in constants.items():
            names = [single or double for single, double in _PARAMETER_PLACEHOLDER.findall(text)]
            for name in (name for name in names if name not in inputs):
                self.fault(f"text refers to '{name}', which the step does not take", f"{path}.{key}", tuple(inputs))
            inputs[key] = Template(text, {name: inputs[name] for name in names if name in inputs})
        return inputs

    def _output(self, task: str, key: str, where: str, dag: DagSpec, scope: _Scope) -> Source | None:
        outputs = scope.outputs.get(task)
        if outputs is None:
            if task not in dag.tasks:
                available = self._available(scope)
                self.fault(f"no step '{task}' here", where, available, did_you_mean(task, list(dag.tasks)))
            return None  # the producer's own fault is reported at the producer
        if key not in outputs:
            self.fault(f"'{task}' has no output '{key}'", where, tuple(f"{task}.{name}" for name in outputs),
                       did_you_mean(key, outputs))  # fmt: skip
            return None
        return outputs[key]

    def _input(self, name: str, where: str, scope: _Scope) -> Source | None:
        """A dag's input by name; None when it is optional and was not given (`_task` saw to the others)."""
        if name not in scope.inputs and not scope.path:
            self.fault(
                f"the pipeline has no input '{name}'", where, tuple(scope.inputs), did_you_mean(name, scope.inputs)
            )
        return scope.inputs.get(name)

    def _outputs(self, dag: DagSpec, scope: _Scope) -> Iterator[tuple[str, Source]]:
        if dag.outputs is None:
            return
        for name, parameter in dag.outputs.parameters.items():
            where = scope.join(name)
            selector = parameter.value_from_parameter
            if selector is None:
                self.fault("an output that is one of several cannot be linked yet", where)
            elif source := self._output(selector.producer_subtask, selector.output_parameter_key, where, dag, scope):
                yield name, source
        for name, artifact in dag.outputs.artifacts.items():
            where = scope.join(name)
            if len(artifact.artifact_selectors) != 1:
                self.fault("an output that is one of several cannot be linked yet", where)
                continue
            (chosen,) = artifact.artifact_selectors
            if source := self._output(chosen.producer_subtask, chosen.output_artifact_key, where, dag, scope):
                yield name, source

    def _condition(self, task: PipelineTaskSpec, inputs: Mapping[str, Source]) -> Condition | None:
        if task.trigger_policy is None or not task.trigger_policy.condition:
            return None
        names: dict[str, str] = {}

        def variable(match: re.Match[str]) -> str:
            if match["text"]:
                return match["text"]
            return names.setdefault(match["name"], _variable(match["name"], set(names.values())))

        expression = _CEL_REFERENCE.sub(variable, task.trigger_policy.condition)
        return Condition(expression, {name: inputs[key] for key, name in names.items() if key in inputs})

    def _available(self, scope: _Scope) -> tuple[str, ...]:
        return tuple(f"{task}.{name}" for task, outputs in scope.outputs.items() for name in outputs)


def _variable(reference: str, taken: set[str]) -> str:
    """A readable CEL variable for an input such as `pipelinechannel--evaluate-promote`."""
    name = re.sub(r"\W", "_", reference.removeprefix("pipelinechannel--"), flags=re.ASCII)
    if not name or name[0].isdigit() or name in _CEL_WORDS:
        name = f"value_{name}"
    while name in taken:
        name += "_"
    return name


def _dependencies(task: PipelineTaskSpec) -> Iterator[str]:
    """The tasks of the same dag that a task needs, by order and by data."""
    yield from task.dependent_tasks
    if task.inputs:
        for parameter in task.inputs.parameters.values():
            if parameter.task_output_parameter:
                yield parameter.task_output_parameter.producer_task
            if parameter.task_final_status:
                yield parameter.task_final_status.producer_task
        for artifact in task.inputs.artifacts.values():
            if artifact.task_output_artifact:
                yield artifact.task_output_artifact.producer_task


def _output_names(component: ComponentSpec) -> list[str]:
    outputs = component.output_definitions
    return [*outputs.parameters, *outputs.artifacts] if outputs else []


def _not_linked_yet(task: PipelineTaskSpec) -> Iterator[str]:
    if task.parameter_iterator or task.artifact_iterator:
        yield "a loop (ParallelFor)"
    if task.trigger_policy and task.trigger_policy.strategy == TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED:
        yield "an exit handler or ignore_upstream_failure"
    if task.retry_policy and task.component_ref is None:
        yield "retries of a group"
