"""`link`: from a document, in which names refer to names, to a plan, in which every source is resolved.

One walk over the nested dags; `turnout.plan.sources` looks up what their names stand for.
"""

from __future__ import annotations

import graphlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.errors import Fault, PlanError, did_you_mean
from turnout.names import GROUP_ID, TASK_ID, shortened
from turnout.plan.model import (
    Collected,
    Constant,
    Loop,
    LoopItem,
    PipelineParameter,
    Plan,
    Region,
    Source,
    Step,
    StepOutput,
)
from turnout.plan.parameters import pipeline_parameters
from turnout.plan.sources import Broken, Scope
from turnout.spec.checks import CHANNEL, document_faults
from turnout.spec.document import Document
from turnout.spec.pipeline_spec import (
    ComponentInputsSpec,
    ComponentSpec,
    DagSpec,
    InputArtifactSpec,
    InputParameterSpec,
    PipelineTaskSpec,
)
from turnout.spec.values import ABSENT, TriggerStrategy

_GROUP = re.compile(r"comp-(condition|condition-branches|exit-handler|for-loop)(-\d+)+")
"""What KFP's compiler calls the components that groups of a pipeline become."""


_NAME_LENGTHS = (TASK_ID, GROUP_ID, 100, 60, 40, 30, 20, 12, 8)
"""How long names may be, tried one after the other until all paths are short enough."""


def link(document: Document) -> Plan:
    """Link a pipeline.

    Names are shortened where Airflow could not take the paths that they make, on every track alike.

    Raises:
        PlanError: everything in the pipeline that cannot be linked, all faults together.
    """
    if faults := list(document_faults(document)):
        raise PlanError(faults)
    for longest in _NAME_LENGTHS:
        plan = _linked(document, longest)
        if _fits(plan):
            break
    return plan


def _linked(document: Document, longest: int) -> Plan:
    linker = _Linker(document, longest)
    root = document.pipeline.root
    assert root is not None
    parameters = pipeline_parameters(document)
    inputs: dict[str, Source | Broken] = {name: PipelineParameter(name) for name in parameters}
    region, outputs = linker.region(root, "", inputs)
    if linker.faults:
        raise PlanError(linker.faults)
    info = document.pipeline.pipeline_info
    description = info.description if info else ""
    return Plan(shortened(document.name, TASK_ID), description, parameters, region, outputs, document)


def _fits(plan: Plan) -> bool:
    regions = list(plan.root.regions())
    paths = [node.path for region in regions for node in region.nodes]
    return all(len(path) <= TASK_ID for path in paths) and all(len(region.name) <= GROUP_ID for region in regions)


class _Linker:
    def __init__(self, document: Document, longest: int):
        self.document, self.longest = document, longest
        self.faults: list[Fault] = []
        self.asked: dict[str, set[str]] = {}

    def fault(self, what: str, where: str, available: tuple[str, ...] = (), hint: str = "") -> None:
        self.report(Fault(what, f"{self.document.name}.{where}" if where else self.document.name, available, hint))

    def report(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)

    def region(
        self,
        component: ComponentSpec,
        path: str,
        inputs: Mapping[str, Source | Broken],
        around: Scope | None = None,
        **settings: Any,
    ) -> tuple[Region, dict[str, Source]]:
        """Link a dag: its region, and the sources of its outputs.

        Args:
            around: of a group (a condition, a loop, an exit handler) the scope that it is in.
        """
        if component.dag is None:
            self.fault("the pipeline's root is a container, not a dag", path)
            return Region(path=path, nodes=()), {}
        scope = Scope(
            path,
            self.document.name,
            component.dag,
            inputs,
            self.report,
            self._group_names(component.dag),
            self._producers(component.dag),
            around,
            self.longest,
        )
        found = (self._task(name, component.dag.tasks[name], scope) for name in self._order(scope))
        nodes = tuple(node for node in found if node is not None)
        outputs = dict(scope.dag_outputs(component.dag.outputs)) if component.dag.outputs else {}
        return Region(path=path, nodes=nodes, **settings), outputs

    def _group_names(self, dag: DagSpec) -> dict[str, str]:
        """What the author named the groups of a dag, as parts of paths, each once: `dsl.If(..., name="Big enough")`."""
        components = self.document.pipeline.components
        names: dict[str, str] = {}
        for task_name, task in dag.tasks.items():
            component = components.get(task.component_ref.name if task.component_ref else "")
            title = task.task_info.name if task.task_info else ""
            if component is None or component.dag is None or title in ("", task_name):
                continue
            plain = re.sub(r"[^A-Za-z0-9_-]+", "-", title).strip("-") or task_name
            taken = {*dag.tasks, *names.values()} - {task_name}
            names[task_name] = next(name for name in _numbered(plain) if name not in taken)
        return names

    def _order(self, scope: Scope) -> list[str]:
        """The tasks of a dag, each after those it depends on, otherwise in the file's order."""
        tasks = scope.dag.tasks
        graph: dict[str, list[str]] = {}
        for name, task in tasks.items():
            needs = self._dependencies(task, scope)
            for other in (other for other in needs if other not in tasks):
                scope.fault(f"depends on '{other}', which is not a task here", scope.join(name), tuple(tasks),
                            did_you_mean(other, tasks))  # fmt: skip
            graph[name] = [other for other in needs if other in tasks]
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            scope.fault(f"tasks wait for each other: {' -> '.join(error.args[1])}", scope.path)
            return []

    def _producers(self, dag: DagSpec) -> dict[str, tuple[str, str]]:
        """The outputs of a dag's tasks, task and output, by KFP's names of them."""
        components = self.document.pipeline.components
        found = {}
        for name, task in dag.tasks.items():
            component = components.get(task.component_ref.name if task.component_ref else "")
            for key in _output_names(component) if component else ():
                found[f"{CHANNEL}{name}-{key}"] = (name, key)
        return found

    def _dependencies(self, task: PipelineTaskSpec, scope: Scope) -> list[str]:
        """The tasks of the same dag that a task needs: by order, by data, and by names that a group asks for inside."""
        asked = self._asked(task.component_ref.name if task.component_ref else "")
        given = task.inputs.parameters if task.inputs else {}
        unseen = sorted(name for name in asked if name in scope.producers and name not in given)
        return list(dict.fromkeys([*_stated_dependencies(task), *(scope.producers[name][0] for name in unseen)]))

    def _asked(self, reference: str) -> set[str]:
        """The names of inputs that are read in a group, whether it has them or not."""
        component = self.document.pipeline.components.get(reference)
        if component is None or component.dag is None or not _GROUP.fullmatch(reference):
            return set()
        if reference not in self.asked:
            found = self.asked[reference] = set()
            for task in component.dag.tasks.values():
                items = task.inputs.parameters.values() if task.inputs else ()
                found.update(item.component_input_parameter or "" for item in items)
                found.update(self._asked(task.component_ref.name if task.component_ref else ""))
        return self.asked[reference]

    def _task(self, name: str, task: PipelineTaskSpec, scope: Scope) -> Step | Region | None:
        path = scope.join(name)
        reference = task.component_ref.name if task.component_ref else ""
        component = self.document.pipeline.components.get(reference)
        if component is None:
            components = self.document.pipeline.components
            self.fault(f"no component '{reference}'", path, tuple(components), did_you_mean(reference, components))
            return None
        inputs = scope.task_inputs(name, task)
        trigger = task.trigger_policy
        settings: dict[str, Any] = {
            "after": tuple(scope.join(other) for other in self._dependencies(task, scope) if other in scope.dag.tasks),
            "always": trigger is not None and trigger.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED,
            "title": task.task_info.name if task.task_info else "",
            "key": name,
        }
        declared = component.input_definitions or ComponentInputsSpec()
        condition = scope.condition(name, task, inputs, declared.parameters)
        loop = self._loop(name, task, scope, inputs)
        if loop:
            inputs[_item_input(task)] = LoopItem(path)
        self._defaults(name, task, component, scope, inputs)
        if component.dag is not None:
            if task.retry_policy and task.retry_policy.max_retry_count:
                hint = "set retries on the steps inside"
                self.fault("a group of steps cannot be retried as one", path, hint=hint)
            around = scope if _GROUP.fullmatch(reference) else None
            node, outputs = self.region(component, path, inputs, around, condition=condition, loop=loop, **settings)
        elif condition or loop:
            # A step by itself with a condition or a loop becomes a region with the step inside.
            inside = f"{path}.{shortened(name, self.longest)}"
            step = self._step(inside, task, component, scope, inputs, title=settings["title"], key=name)
            node = Region(path=path, nodes=(step,) if step else (), condition=condition, loop=loop, **settings)
            outputs = {key: StepOutput(inside, key) for key in _output_names(component)}
        else:
            step = self._step(path, task, component, scope, inputs, **settings)
            scope.outputs[name] = {key: StepOutput(path, key) for key in _output_names(component)}
            return step
        scope.outputs[name] = {key: Collected(path, item) for key, item in outputs.items()} if loop else outputs
        return node

    def _loop(
        self, name: str, task: PipelineTaskSpec, scope: Scope, inputs: Mapping[str, Source | Broken]
    ) -> Loop | None:
        parallelism = task.iterator_policy.parallelism_limit if task.iterator_policy else 0
        key: str | None = None
        if task.parameter_iterator:
            items = task.parameter_iterator.items
            if items and items.raw is not None:
                try:
                    return Loop(Constant(json.loads(items.raw)), parallelism)
                except json.JSONDecodeError as error:
                    scope.fault(f"the loop's items are not JSON: {error}", scope.join(name))
                    return None
            key = items.input_parameter if items else None
        elif task.artifact_iterator:
            key = task.artifact_iterator.items.input_artifact if task.artifact_iterator.items else None
        else:
            return None
        if key is None or key not in inputs:
            what = f"the loop goes over '{key}', which it is not given" if key else "a loop without items"
            scope.fault(what, scope.join(name), tuple(inputs), did_you_mean(key or "", inputs))
            return None
        used = scope.used({key: inputs[key]})
        return Loop(used[key], parallelism) if used else None

    def _defaults(
        self,
        name: str,
        task: PipelineTaskSpec,
        component: ComponentSpec,
        scope: Scope,
        inputs: dict[str, Source | Broken],
    ) -> None:
        """Add the defaults of inputs that a task does not give; one that has none must be optional.

        KFP's compiler forgets to hand the item of an outer loop to the groups inside. It declares as inputs of a loop
        the items of loops inside it, which nobody gives.
        """
        declared = component.input_definitions or ComponentInputsSpec()
        names: dict[str, InputParameterSpec | InputArtifactSpec] = {**declared.parameters, **declared.artifacts}
        given = {*task.inputs.parameters, *task.inputs.artifacts} if task.inputs else set()
        loop = bool(task.parameter_iterator or task.artifact_iterator)
        for missing in (key for key in names if key not in inputs and key not in given):
            item = names[missing]
            default = getattr(item, "default_value", ABSENT)
            if default is not ABSENT:
                inputs[missing] = Constant(default)
            elif found := scope.by_name(missing):
                inputs[missing] = found
            elif not item.is_optional and not loop:
                scope.fault(f"input '{missing}' of step '{name}' has no producer", f"{scope.join(name)}.{missing}",
                            scope.available(), did_you_mean(missing, scope.available()))  # fmt: skip

    def _step(
        self,
        path: str,
        task: PipelineTaskSpec,
        component: ComponentSpec,
        scope: Scope,
        inputs: Mapping[str, Source | Broken],
        **settings: Any,
    ) -> Step | None:
        label = component.executor_label or ""
        deployment = self.document.pipeline.deployment_spec
        executor = deployment.executors.get(label) if deployment else None
        # Tracks refuse those that only others can run.
        kinds = (executor.container, executor.importer, executor.resolver, executor.custom_job) if executor else ()
        runs = next((kind for kind in kinds if kind is not None), None)
        if runs is None:
            self.fault(f"executor '{label}' says nothing that could run", path)
            return None
        declared = component.input_definitions or ComponentInputsSpec()
        names = {*declared.parameters, *declared.artifacts}
        return Step(
            path=path,
            component=component,
            executor=runs,
            executor_label=label,
            inputs={key: source for key, source in scope.used(inputs).items() if key in names},
            kubernetes=scope.settings(self.document.platform_executor("kubernetes", label), path),
            retry=task.retry_policy,
            caching=task.caching_options,
            **settings,
        )


def _numbered(name: str) -> Iterator[str]:
    """A name, and then with numbers behind it, as KFP numbers tasks."""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def _item_input(task: PipelineTaskSpec) -> str:
    iterator = task.parameter_iterator or task.artifact_iterator
    return iterator.item_input if iterator else ""


def _stated_dependencies(task: PipelineTaskSpec) -> Iterator[str]:
    """The tasks of the same dag that a task says it needs, by order and by data."""
    yield from task.dependent_tasks
    if task.inputs is None:
        return
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
