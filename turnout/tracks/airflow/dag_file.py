"""The Airflow track: a DAG file that an Airflow engineer can read, beside the pipeline's YAML.

The text holds literals only and depends on the pipeline alone; the order is the plan's.
"""

from __future__ import annotations

import ast
import datetime
import functools
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from turnout import task_ids
from turnout.errors import Fault, SpecError
from turnout.plan.lineage import ancestors, known_inputs
from turnout.plan.model import (
    Collected,
    Constant,
    Field,
    FinalStatus,
    LoopItem,
    OneOf,
    PipelineParameter,
    Plan,
    Region,
    Source,
    Step,
    StepOutput,
    Template,
    giving,
)
from turnout.plan.retry import Backoff
from turnout.spec.airflow_facts import Asset, StepFacts, read_step_facts
from turnout.spec.assets import named
from turnout.spec.json_schema import whole_numbers
from turnout.spec.pipeline_spec import ComponentInputsSpec
from turnout.tracks.airflow.arguments import as_text, asset_arguments, dag_arguments, delta, step_arguments
from turnout.tracks.airflow.ends import ends, joins, unwaited
from turnout.tracks.airflow.form import form, interval_parameters
from turnout.tracks.airflow.limits import loop_faults
from turnout.tracks.airflow.python_source import Call, Code, call, literal, quoted
from turnout.tracks.files import MARK

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,250}")
_DEEPEST = 19
_HOMES = {
    **dict.fromkeys(("datetime", "timedelta"), "datetime"),
    "ZoneInfo": "zoneinfo",
    **dict.fromkeys(("DAG", "Param", "TaskGroup", "Asset", "AssetOrTimeSchedule"), "airflow.sdk"),
    **dict.fromkeys(("CronDataIntervalTimetable", "CronTriggerTimetable"), "airflow.sdk"),
    **dict.fromkeys(("DeltaDataIntervalTimetable", "DeltaTriggerTimetable"), "airflow.sdk"),
    **dict.fromkeys(("AsyncCallback", "DeadlineAlert", "DeadlineReference"), "airflow.sdk.definitions.deadline"),
    **dict.fromkeys(
        ("End", "Field", "Interval", "Items", "Loop", "Notify", "OneOf", "Outputs", "Status"), "turnout.airflow"
    ),
    **dict.fromkeys(("Step", "Template", "When", "make_timetable"), "turnout.airflow"),
}
"""Where the names come from that a DAG file may use; no step's variable takes one."""


def dag_faults(plan: Plan) -> list[Fault]:
    """What keeps a plan from being a DAG, whatever its facts are."""
    found = group_faults(plan)
    if not _fact_faults(plan) and plan.airflow.schedule:
        for name in (name for name, item in plan.parameters.items() if item.required):
            way = "import it in the pipeline" if plan.parameters[name].artifact else "give it a default"
            hint = f"{way}: nobody fills in the form of a scheduled run"
            found.append(Fault(f"parameter '{name}' of a scheduled pipeline has no default", plan.name, (), hint))
    return found


def group_faults(plan: Plan) -> list[Fault]:
    """What keeps a plan from being a task group, whatever the DAG around it is."""
    found = _fact_faults(plan)
    if found:
        return found
    for key in [plan.name, *(step.path for step in plan.steps())]:
        if not _KEY.fullmatch(key):
            hint = "letters, digits, '-', '_', '.'; at most 250"
            found.append(Fault(f"'{key}' cannot be an Airflow id", plan.name, (), hint))
    levels = max((region.path.count(".") + 1 for region in plan.root.regions() if region.path), default=0)
    if levels > _DEEPEST:
        what = f"groups nested in {levels} levels; a DAG file can have {_DEEPEST}"
        found.append(Fault(what, plan.name, hint="Python nests no more blocks than 20"))
    found.extend(loop_faults(plan))
    for key, count in Counter(DagFile(plan, "", "").tasks()).items():
        if count > 1:
            hint = f"rename the step or the pipeline inside; {task_ids.EXPLAINED}"
            found.append(Fault(f"two tasks would have the id '{key}'", plan.name, (), hint))
    return found


def _fact_faults(plan: Plan) -> list[Fault]:
    """What is said to Airflow alone, of the pipeline and of its steps, and cannot be read."""
    readers: list[Callable[[], object]] = [lambda: plan.airflow]
    readers += [functools.partial(_step_facts, plan, step) for step in plan.steps()]
    found: list[Fault] = []
    for read in readers:
        try:
            read()
        except SpecError as error:
            found += error.faults
    return found


def _step_facts(plan: Plan, step: Step) -> StepFacts:
    own = plan.document.platform_executor("airflow", step.executor_label)
    return read_step_facts(own, f"{plan.name}.{step.path}.airflow")


class DagFile:
    """The text of a pipeline's DAG file.

    Attributes:
        holder: the variable of what has the run's parameters.
    """

    holder = "dag"

    def __init__(self, plan: Plan, spec: str, spec_digest: str):
        self.plan, self.spec, self.spec_digest = plan, spec, spec_digest
        self.facts = plan.airflow
        self.interval = interval_parameters(self.facts)
        self.names: dict[str, str] = {}
        self.taken = {*_HOMES, self.holder}
        self.ends, self.joins = ends(plan), joins(plan)
        for region in plan.root.regions():
            for node in region.nodes:
                self._name(node.path)
        self._name(task_ids.RUN_OUTPUTS)

    def tasks(self) -> Iterator[str]:
        """The ids of all tasks and groups."""
        loops = [region.path for region in self.plan.root.regions() if region.loop]
        for region in self.plan.root.regions():
            yield from (step.path for step in region.nodes if isinstance(step, Step))
            if not region.path:
                continue
            yield region.path
            if self._guarded(region):
                yield task_ids.gate(region.path)
            if region.loop:
                yield task_ids.items(region.path)
                if any(region.path.startswith(f"{loop}.") for loop in loops):
                    yield task_ids.iterations(region.path)
            if region.path in self.ends:
                yield task_ids.end(region.path)
        if "" in self.ends:
            yield task_ids.RUN_END
        if self.plan.outputs:
            yield task_ids.RUN_OUTPUTS

    def text(self) -> str:
        text = f"with {call('DAG', self._dag_arguments(), 0)} as dag:\n{self.body()}"
        header = f"{MARK}{_comment(self.plan.name)}: change that, not this file."
        return f"{header}\n\n{imports(text)}\n\n{text}"

    def body(self) -> str:
        """All tasks, one level deep."""
        body = ["\n".join(self._region(self.plan.root, 1)) or "    pass"]
        if "" in self.ends:
            body.append("\n".join(self._run_end()))
        if self.plan.outputs:
            body.append("\n".join(self._run_outputs()))
        return "\n".join(body) + "\n"

    def _dag_arguments(self) -> dict[str, Any]:
        info = self.plan.document.pipeline.pipeline_info
        arguments: dict[str, Any] = {"dag_id": self.plan.name}
        if info and info.display_name:
            arguments["dag_display_name"] = info.display_name
        if self.plan.description:
            arguments["doc_md"] = as_text(self.plan.description)
        arguments |= dag_arguments(self.facts, self.plan.config.active_deadline_seconds)
        if fields := form(self.plan):
            arguments["params"] = fields
        defaults = {"spec": self.spec, "spec_digest": self.spec_digest}
        arguments["default_args"] = defaults | step_arguments(self.facts.steps) | asset_arguments(self.facts.steps, {})
        return arguments

    def _region(self, region: Region, depth: int) -> Iterator[str]:
        for node in region.nodes:
            yield from self._step(node, depth) if isinstance(node, Step) else self._group(node, depth)

    def _group(self, region: Region, depth: int) -> Iterator[str]:
        indent, name, short = "    " * depth, self.names[region.path], region.name
        entries: list[str] = []
        if self._guarded(region):
            entries.append(f"{name}_when")
            arguments: dict[str, Any] = {"task_id": task_ids.gate(short)}
            if region.condition:
                arguments["condition"] = region.condition.expression
                arguments["inputs"] = self._inputs(region.condition.inputs)
            arguments |= self._trigger_rule(region)
            yield f"{indent}{entries[-1]} = {call('When', arguments, depth)}"
        if region.loop:
            rule = {} if entries else self._trigger_rule(region)
            entries.append(f"{name}_items")
            arguments = {"task_id": task_ids.items(short), "items": self._source(region.loop.items)} | rule
            yield f"{indent}{entries[-1]} = {call('Items', arguments, depth)}"
            parallelism = {"parallelism": region.loop.parallelism} if region.loop.parallelism else {}
            group = call("Loop", parallelism | _titled(region), depth, [short, Code(entries[-1])])
        else:
            group = call("TaskGroup", _titled(region), depth, [short])
        yield f"{indent}with {group} as {name}:"
        yield "\n".join(self._region(region, depth + 1)) or f"{indent}    pass"
        taken = region.condition.inputs.values() if region.condition else [region.loop.items] if region.loop else []
        waits = set(_waits_for(taken))
        for other in (other for other in region.after if other not in waits):
            yield f"{indent}{self._ended(other)} >> {(*entries, name)[0]}"
        if self._guarded(region):
            yield f"{indent}{' >> '.join(entries if region.loop else [*entries, name])}"
        if region.path in self.ends:
            end = self._ended(region.path)
            arguments = {"task_id": task_ids.end(short), "region": region.path}
            yield f"{indent}{end} = {call('End', arguments, depth)}"
            before = ", ".join([*entries, name, *self._unwaited(region)])
            yield f"{indent}{name if before == name else f'[{before}]'} >> {end}"

    def _guarded(self, region: Region) -> bool:
        return region.guarded or (region.path in self.joins and not region.loop)

    def _trigger_rule(self, node: Step | Region) -> dict[str, str]:
        """The argument for what Airflow's default is not right for: start when all before it have succeeded."""
        rule = "all_done" if node.always else "none_failed" if node.path in self.joins else ""
        return {"trigger_rule": rule} if rule else {}

    def _run_end(self) -> Iterator[str]:
        """The last task, whose state is the run's: others may succeed after a failure."""
        nodes = self.plan.root.nodes
        followed = {path for node in nodes for path in node.after}
        last = [self._ended(node.path) for node in nodes if node.path not in followed]
        end = call("End", {"task_id": task_ids.RUN_END, "region": ""}, 1)
        yield f"    [{', '.join([*last, *self._unwaited(self.plan.root)])}] >> {end}"

    def _unwaited(self, region: Region) -> Iterator[str]:
        """The variables of what may be at work when a region's last tasks have ended."""
        for node, gate in unwaited(region, self.ends):
            yield f"{self.names[node.path]}_when" if gate else self._ended(node.path)

    def _run_outputs(self) -> Iterator[str]:
        """The task that gives the pipeline's outputs."""
        name, outputs = self.names[task_ids.RUN_OUTPUTS], self.plan.outputs
        arguments = {"task_id": task_ids.RUN_OUTPUTS, "inputs": self._inputs(outputs)}
        yield f"    {name} = {call('Outputs', arguments, 1)}"
        waits = set(_waits_for(outputs.values()))
        for path in (path for path in giving(self.plan) if path not in waits):
            yield f"    {self._ended(path)} >> {name}"

    def _ended(self, path: str) -> str:
        """The variable of what has ended when a node has."""
        return f"{self.names[path]}_end" if path in self.ends else self.names[path]

    def _step(self, step: Step, depth: int) -> Iterator[str]:
        indent, name = "    " * depth, self.names[step.path]
        declared = (step.component.input_definitions or ComponentInputsSpec()).parameters
        given = {
            key: source
            for key, source in step.inputs.items()
            if not (isinstance(source, Constant) and key in declared and declared[key].default_value == source.value)
        }
        facts = _step_facts(self.plan, step)
        arguments: dict[str, Any] = {"task_id": step.name} | _titled(step) | step_arguments(facts)
        arguments |= asset_arguments(facts, known_inputs(self.plan, step), self._read_before(step, facts))
        arguments |= self._trigger_rule(step)
        if given:
            arguments["inputs"] = self._inputs(given)
        if step.retry and step.retry.max_retry_count:
            backoff = Backoff.of(step.retry)
            arguments["retries"] = step.retry.max_retry_count
            arguments["retry_delay"] = delta(datetime.timedelta(seconds=backoff.first))
            arguments["retry_exponential_backoff"] = backoff.factor
            arguments["max_retry_delay"] = delta(datetime.timedelta(seconds=backoff.most))
        yield f"{indent}{name} = {call('Step', arguments, depth)}"
        waits = set(_waits_for(step.inputs.values()))
        for other in (other for other in step.after if other not in waits):
            yield f"{indent}{self._ended(other)} >> {name}"

    def _read_before(self, step: Step, facts: StepFacts) -> list[Asset | None]:
        """The assets that went into what a step is given, if it says anything of assets itself."""
        before = ancestors(self.plan, step.path) if facts.reads or facts.publishes else ()
        return [
            named(asset, known_inputs(self.plan, other))
            for other in before
            for asset in _step_facts(self.plan, other).reads
        ]

    def _inputs(self, sources: Mapping[str, Source]) -> dict[str, Any]:
        return {name: self._source(source) for name, source in sources.items()}

    def _source(self, source: Source) -> Any:
        """A source as a literal or an expression."""
        match source:
            case Constant(value):
                return whole_numbers(value)
            case PipelineParameter(name) if name in self.interval:
                return Call("Interval", [name])
            case PipelineParameter(name):
                return Code(f"{self.holder}.param({quoted(name)})")
            case StepOutput(step, output):
                return Code(f"{self.names[step]}.output[{quoted(output)}]")
            case LoopItem(loop):
                return Code(f"{self.names[loop]}.item")
            case Field(LoopItem(loop), keys):
                return Code(f"{self.names[loop]}.item{''.join(f'[{literal(key, None)}]' for key in keys)}")
            case Field(inner, keys):
                return Call("Field", [self._source(inner), *keys])
            case Collected(loop, item):
                return Call(f"{self.names[loop]}.collect", [self._source(item)])
            case OneOf(options):
                return Call("OneOf", [*map(self._source, options)])
            case FinalStatus(path):
                return Call("Status", [Code(self._ended(path))])
            case Template(text, inputs):
                return Call("Template", [text, *([self._inputs(inputs)] if inputs else [])])

    def _name(self, path: str) -> None:
        """A variable for a node: its own name, or its whole path where that, or one made from it, is taken."""
        for candidate in (path.rpartition(".")[2], path):
            name = re.sub(r"\W", "_", candidate, flags=re.ASCII)
            name = f"step_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
            if self.taken.isdisjoint(_variables(name)):
                break
        while not self.taken.isdisjoint(_variables(name)):
            name += "_"
        self.names[path] = name
        self.taken |= _variables(name)


def _variables(name: str) -> set[str]:
    """The variables that a node may have: its own, and those of the tasks that are made for a group."""
    return {name, f"{name}_when", f"{name}_items", f"{name}_end"}


def _titled(node: Step | Region) -> dict[str, str]:
    """The argument that names a task or a group for people, where it has a name of its own."""
    argument = "task_display_name" if isinstance(node, Step) else "group_display_name"
    return {argument: node.title} if node.label != node.name else {}


def _waits_for(sources: Iterable[Source]) -> Iterator[str]:
    """The steps that a task waits for because it takes their outputs."""
    for source in sources:
        match source:
            case StepOutput(step):
                yield step
            case Field(inner):
                yield from _waits_for([inner])
            case Template(_, inputs):
                yield from _waits_for(inputs.values())


def imports(text: str) -> str:
    """The imports of what a text uses."""
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} & _HOMES.keys()
    modules: dict[str, list[str]] = {}
    for name in sorted(used, key=lambda name: (name != name.upper(), name)):
        modules.setdefault(_HOMES[name], []).append(name)
    groups = [
        [f"from {module} import {', '.join(modules[module])}" for module in sorted(modules) if kind(module)]
        for kind in (
            lambda module: "." not in module,
            lambda module: module.startswith("airflow."),
            lambda module: module.startswith("turnout."),
        )
    ]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _comment(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", text)
