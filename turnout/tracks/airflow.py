"""The Airflow track: a DAG file that an Airflow engineer can read, beside the pipeline's YAML.

The text holds literals only and depends on the pipeline alone; the order is the plan's.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import Fault, TrackError
from turnout.plan.link import link
from turnout.plan.model import (
    Constant,
    FinalStatus,
    OneOf,
    Parameter,
    PipelineParameter,
    Plan,
    Region,
    Source,
    Step,
    StepOutput,
    Template,
    producers,
    references,
)
from turnout.plan.retry import Backoff
from turnout.spec.document import Document, digest, write
from turnout.spec.json_schema import whole_numbers
from turnout.spec.pipeline_spec import ComponentInputsSpec
from turnout.tracks.support import AIRFLOW, refusals

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,250}")
_OPERATORS = {"End", "OneOf", "Step", "When"}
_NAMES = {"DAG", "Param", "TaskGroup", "dag", "datetime", "timedelta", *_OPERATORS}
_WIDTH = 110
_RUN_END = "state-of-the-run"


class _Code(str):
    """Text that is code already."""


def emit(document: Document, stem: str) -> dict[Path, str]:
    """The files of a pipeline on Airflow: the DAG file, and the YAML that its operators open at run time.

    Raises:
        PlanError, TrackError: the pipeline cannot be linked, or asks for what this track cannot do.
    """
    plan = link(document)
    if found := faults(document):
        raise TrackError(found)
    spec = write(document)
    return {Path(f"{stem}.py"): _DagFile(plan, f"{stem}.yaml", digest(spec)).text(), Path(f"{stem}.yaml"): spec}


def faults(document: Document) -> list[Fault]:
    """What keeps a pipeline that can be linked from being a DAG."""
    plan = link(document)
    found = refusals(document, AIRFLOW)
    for key in [plan.name, *(step.path for step in plan.steps())]:
        if not _KEY.fullmatch(key):
            found.append(
                Fault(f"'{key}' cannot be an Airflow id", plan.name, (), "letters, digits, '-', '_', '.'; at most 250")
            )
    if document.platform_config("airflow").get("schedule"):
        hint = "give it a default: nobody fills in the form of a scheduled run"
        found.extend(
            Fault(f"parameter '{name}' of a scheduled pipeline has no default", plan.name, (), hint)
            for name, item in plan.parameters.items()
            if item.required
        )
    for region in plan.root.regions():
        for node in region.nodes:
            if node.always and (region.path or (isinstance(node, Region) and node.condition)):
                what = "a step that always starts, inside a group of steps, is not supported by this track yet"
                found.append(Fault(what, f"{plan.name}.{node.path}"))
    for step in plan.steps():
        if any(True for _ in _sources(step.kubernetes)):
            what = "a Kubernetes setting that comes from a parameter or output is not supported by this track yet"
            found.append(Fault(what, f"{plan.name}.{step.path}"))
        for name, source in step.inputs.items():
            nested = [item for one in references(source) if isinstance(one, OneOf) for item in one.options]
            if not all(isinstance(item, StepOutput) for item in nested):
                what = "an output of branches in branches is not supported by this track yet"
                found.append(Fault(what, f"{plan.name}.{step.path}.{name}"))
            if isinstance(source, Template) and (
                not isinstance(source.text, str) or any(isinstance(inner, Template) for inner in source.inputs.values())
            ):
                found.append(
                    Fault("a text made of texts is not supported by this track yet", f"{plan.name}.{step.path}.{name}")
                )
    return found


class _Options(tuple[tuple[str, str], ...]):
    """The arguments of a `OneOf`."""


class _DagFile:
    def __init__(self, plan: Plan, spec: str, spec_digest: str):
        self.plan, self.spec, self.spec_digest = plan, spec, spec_digest
        self.facts = plan.document.platform_config("airflow")
        self.names: dict[str, str] = {}
        self.uses = {"DAG"}
        self.ends = _ends(plan)
        self.starts = {step.path for region in plan.root.regions() if region.always for step in _starts(region)}
        for region in plan.root.regions():
            for node in region.nodes:
                self._name(node.path)

    def text(self) -> str:
        body = ["\n".join(self._region(self.plan.root, 1)) or "    pass"]
        if "" in self.ends:
            body.append("\n".join(self._run_end()))
        dag = _call("DAG", self._dag_arguments(), 0)
        imports = [f"from airflow.sdk import {', '.join(sorted(self.uses & {'DAG', 'Param', 'TaskGroup'}))}"]
        if operators := sorted(self.uses & _OPERATORS):
            imports += ["", f"from turnout.airflow import {', '.join(operators)}"]
        if times := sorted(self.uses & {"datetime", "timedelta"}):
            imports = [f"from datetime import {', '.join(times)}", "", *imports]
        header = f"# Compiled by Turnout from the pipeline {_comment(self.plan.name)}: change that, not this file.\n\n"
        return header + "\n".join(imports) + f"\n\nwith {dag} as dag:\n" + "\n".join(body) + "\n"

    def _dag_arguments(self) -> dict[str, Any]:
        info = self.plan.document.pipeline.pipeline_info
        arguments: dict[str, Any] = {"dag_id": self.plan.name}
        if info and info.display_name:
            arguments["dag_display_name"] = info.display_name
        if self.plan.description:
            # Airflow reads a file if this ends in .md; it cannot, with the line end.
            arguments["doc_md"] = self.plan.description.rstrip() + "\n"
        arguments["schedule"] = self.facts.get("schedule")
        if start := self.facts.get("start_date"):
            self.uses.add("datetime")
            arguments["start_date"] = _Code(f"datetime({', '.join(str(int(part)) for part in start.split('-'))})")
        arguments["catchup"] = bool(self.facts.get("catchup", False))
        if most := self.facts.get("max_active_runs"):
            arguments["max_active_runs"] = int(most)
        if limit := self.plan.config.active_deadline_seconds:
            self.uses.add("timedelta")
            arguments["dagrun_timeout"] = _Code(f"timedelta(seconds={limit})")
        if tags := self.facts.get("tags"):
            arguments["tags"] = list(tags)
        if self.plan.parameters:
            self.uses.add("Param")
            arguments["params"] = {name: self._param(item) for name, item in self.plan.parameters.items()}
        arguments["default_args"] = {"spec": self.spec, "spec_digest": self.spec_digest}
        return arguments

    def _param(self, parameter: Parameter) -> _Code:
        # A required parameter has no first argument: the form asks for it.
        default = [] if parameter.required else [parameter.default]
        schema = {key: whole_numbers(value, {"type": "number"}) for key, value in parameter.schema.items()}
        told = {"description": parameter.description} if parameter.description else {}
        return _Code(_call("Param", {**schema, **told}, 2, default))

    def _region(self, region: Region, depth: int) -> Iterator[str]:
        for node in region.nodes:
            yield from self._step(node, depth) if isinstance(node, Step) else self._group(node, depth)

    def _group(self, region: Region, depth: int) -> Iterator[str]:
        self.uses.add("TaskGroup")
        indent, name = "    " * depth, self.names[region.path]
        entry = name
        if region.condition:
            self.uses.add("When")
            entry = f"{name}_when"
            arguments = {
                "task_id": f"{region.path.rpartition('.')[2]}-when",
                "condition": region.condition.expression,
                "inputs": {key: self._source(source) for key, source in region.condition.inputs.items()},
            }
            yield f"{indent}{entry} = {_call('When', arguments, depth)}"
        yield f"{indent}with TaskGroup({region.path.rpartition('.')[2]!r}) as {name}:"
        yield "\n".join(self._region(region, depth + 1)) or f"{indent}    pass"
        for other in region.after:
            yield f"{indent}{self._ended(other)} >> {entry}"
        if region.condition:
            yield f"{indent}{entry} >> {name}"
        if region.path in self.ends:
            self.uses.add("End")
            end = self._ended(region.path)
            arguments = {"task_id": f"{region.path.rpartition('.')[2]}-end", "tasks": _inside(region)}
            gate = [entry] if region.condition else []
            if gate:
                arguments["gate"] = f"{region.path}-when"
            yield f"{indent}{end} = {_call('End', arguments, depth)}"
            yield f"{indent}{f'[{entry}, {name}]' if gate else name} >> {end}"

    def _run_end(self) -> Iterator[str]:
        """The last task, whose state is the run's: others may succeed after a failure."""
        self.uses.add("End")
        nodes = self.plan.root.nodes
        followed = {path for node in nodes for path in node.after}
        last = ", ".join(self._ended(node.path) for node in nodes if node.path not in followed)
        arguments = {"task_id": _RUN_END, "tasks": _inside(self.plan.root)}
        yield f"    [{last}] >> {_call('End', arguments, 1)}"

    def _ended(self, path: str) -> str:
        """The variable of what has ended when a node has."""
        return f"{self.names[path]}_end" if path in self.ends else self.names[path]

    def _step(self, step: Step, depth: int) -> Iterator[str]:
        self.uses.add("Step")
        indent, name = "    " * depth, self.names[step.path]
        declared = (step.component.input_definitions or ComponentInputsSpec()).parameters
        inputs: dict[str, Any] = {}
        texts: dict[str, str] = {}
        for key, source in step.inputs.items():
            if isinstance(source, Template):
                texts[key] = source.text
                inputs.update({inner: self._source(value) for inner, value in source.inputs.items()})
            elif not (isinstance(source, Constant) and key in declared and declared[key].default_value == source.value):
                inputs[key] = self._source(source, step.always)
        arguments: dict[str, Any] = {"task_id": step.name}
        always = step.always or step.path in self.starts
        if always:
            arguments["trigger_rule"] = "all_done"
        if inputs:
            arguments["inputs"] = inputs
        if texts:
            arguments["texts"] = texts
        if step.retry and step.retry.max_retry_count:
            backoff = Backoff.of(step.retry)
            self.uses.add("timedelta")
            arguments["retries"] = step.retry.max_retry_count
            arguments["retry_delay"] = _Code(f"timedelta(seconds={backoff.first!r})")
            arguments["retry_exponential_backoff"] = backoff.factor
            arguments["max_retry_delay"] = _Code(f"timedelta(seconds={backoff.most!r})")
        yield f"{indent}{name} = {_call('Step', arguments, depth)}"
        implied = [] if always else producers(step.inputs)
        for other in (other for other in step.after if other not in implied):
            yield f"{indent}{self._ended(other)} >> {name}"

    def _source(self, source: Source, always: bool = False) -> Any:
        """A source as an expression; one that may have no value is looked up without waiting for it."""
        match source:
            case OneOf() | StepOutput() if always or isinstance(source, OneOf):
                options = source.options if isinstance(source, OneOf) else (source,)
                self.uses.add("OneOf")
                return _Options((item.step, item.output) for item in options if isinstance(item, StepOutput))
            case FinalStatus(path):
                return _Code(f"{self._ended(path)}.output['status']")
            case Constant(value):
                return whole_numbers(value)
            case PipelineParameter(name):
                return _Code(f"dag.param({name!r})")
            case StepOutput(step, output):
                return _Code(f"{self.names[step]}.output[{output!r}]")
            case _:
                raise AssertionError(source)

    def _name(self, path: str) -> None:
        """A variable for a node: its own name, or its whole path where that is taken."""
        taken = set(self.names.values()) | _NAMES
        for candidate in (path.rpartition(".")[2], path):
            name = re.sub(r"\W", "_", candidate, flags=re.ASCII)
            name = f"step_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
            if name not in taken:
                break
        while name in taken:
            name += "_"
        self.names[path] = name


def _ends(plan: Plan) -> set[str]:
    """The regions whose end is a task: others wait for it, and it is not simply that of their last tasks."""
    asked = {
        source.path
        for step in plan.steps()
        for item in step.inputs.values()
        for source in references(item)
        if isinstance(source, FinalStatus)
    }
    followed = {path for region in plan.root.regions() for node in region.nodes for path in node.after}
    regions = [region for region in plan.root.regions() if region.path]
    found = {
        region.path
        for region in regions
        if region.path in followed
        and (region.path in asked or any(inner.condition for inner in region.regions() if inner is not region))
    }
    always = any(node.always for region in plan.root.regions() for node in region.nodes)
    return found | ({""} if always else set())


def _inside(region: Region) -> list[str]:
    """The task ids of all steps in a region, and of the gates of the groups in it."""
    gates = [f"{inner.path}-when" for inner in region.regions() if inner.condition and inner is not region]
    return [step.path for step in region.steps()] + gates


def _starts(region: Region) -> Iterator[Step]:
    """The steps with which a region starts."""
    for node in region.nodes:
        if not node.after:
            if isinstance(node, Step):
                yield node
            else:
                yield from _starts(node)


def _sources(value: Any) -> Iterator[Source]:
    """The sources in a step's settings."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _sources(item)
    elif isinstance(value, Source) and not isinstance(value, Constant):
        yield value


def _comment(text: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", text)


def _call(function: str, arguments: Mapping[str, Any], depth: int, positional: Sequence[Any] = ()) -> str:
    """A call as source text, on one line where that is short enough."""
    parts = [(None, value) for value in positional] + list(arguments.items())
    line = ", ".join((f"{key}=" if key else "") + _literal(value, None) for key, value in parts)
    if len(line) + len(function) + 4 * depth + 24 <= _WIDTH and "\n" not in line:
        return f"{function}({line})"
    indent = "    " * (depth + 1)
    lines = [f"{indent}{f'{key}=' if key else ''}{_literal(value, depth + 1)}," for key, value in parts]
    return "\n".join([f"{function}(", *lines, "    " * depth + ")"])


def _literal(value: Any, depth: int | None) -> str:
    """A JSON value as Python source; over several lines when `depth` is given and one is too long."""
    if isinstance(value, _Code):
        return str(value)
    if isinstance(value, str) and "\n" in value and depth is not None:
        indent = "    " * (depth + 1)
        lines = [f"{indent}{line!r}" for line in value.splitlines(keepends=True)]
        return "\n".join(["(", *lines, "    " * depth + ")"])
    if isinstance(value, dict):
        entries = [f"{key!r}: {_literal(item, None if depth is None else depth + 1)}" for key, item in value.items()]
        return _enclose("{", entries, "}", depth)
    if isinstance(value, _Options):
        return "OneOf" + _enclose("(", [repr(item) for item in value], ")", depth)
    if isinstance(value, list):
        return _enclose("[", [_literal(item, None if depth is None else depth + 1) for item in value], "]", depth)
    return repr(value)


def _enclose(start: str, entries: list[str], end: str, depth: int | None) -> str:
    line = start + ", ".join(entries) + end
    if depth is None or (len(line) + 4 * depth + 16 <= _WIDTH and "\n" not in line):
        return line
    indent = "    " * (depth + 1)
    return "\n".join([start, *(f"{indent}{entry}," for entry in entries), "    " * depth + end])
