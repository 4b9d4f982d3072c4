"""What has changed between two versions of a pipeline, in words: steps, inputs, code, schedule, parameters."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.plan.model import (
    Collected,
    Constant,
    Field,
    FinalStatus,
    LoopItem,
    OneOf,
    Parameter,
    PipelineParameter,
    Plan,
    Region,
    Source,
    Step,
    StepOutput,
    Template,
)
from turnout.spec.command import REQUIRES
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.json_schema import whole_numbers
from turnout.spec.requirements import required

_LONGEST = 60
_Facts = Mapping[str, Any]


def changes(before: Plan, after: Plan) -> list[str]:
    """A line for each thing that is different for who runs the pipeline; texts of descriptions are one thing."""
    return list(
        itertools.chain(
            _fields("", {"description": before.description}, {"description": after.description}),
            _fields("", _facts(before), _facts(after)),
            _parts("parameter", _parameters(before), _parameters(after)),
            _parts("group", _regions(before), _regions(after)),
            _parts("step", _steps(before), _steps(after)),
            _fields("output ", _sources(before.outputs), _sources(after.outputs)),
        )
    )


def _parts(kind: str, before: Mapping[str, _Facts], after: Mapping[str, _Facts]) -> Iterator[str]:
    for name in dict.fromkeys([*after, *before]):
        if name not in before:
            yield f"{kind} {name}: new"
        elif name not in after:
            yield f"{kind} {name}: gone"
        else:
            yield from _fields(f"{kind} {name}: ", before[name], after[name])


def _fields(prefix: str, before: _Facts, after: _Facts) -> Iterator[str]:
    """What is different of the facts of one thing; those that are None or empty are not there."""
    for key in dict.fromkeys([*after, *before]):
        old, new = before.get(key) or None, after.get(key) or None
        if old == new:
            continue
        if key in ("code", "description", "command"):
            yield f"{prefix}other {key}"
        elif old is None:
            yield f"{prefix}{key}: {_short(new)} (new)"
        elif new is None:
            yield f"{prefix}{key}: {_short(old)} (gone)"
        else:
            yield f"{prefix}{key}: {_short(old)} -> {_short(new)}"


def _facts(plan: Plan) -> _Facts:
    facts = {field.name: getattr(plan.airflow, field.name) for field in dataclasses.fields(plan.airflow)}
    config = {field.name: getattr(plan.config, field.name) for field in dataclasses.fields(plan.config)}
    return {key.replace("_", " "): _plain(value) for key, value in {**facts, **config}.items()}


def _parameters(plan: Plan) -> dict[str, _Facts]:
    return {name: _parameter(parameter) for name, parameter in plan.parameters.items()}


def _parameter(parameter: Parameter) -> _Facts:
    facts = {key: value for key, value in parameter.schema.items() if key != "default"}
    default = {} if parameter.required else {"default": Constant(parameter.default)}
    return {**facts, "required": parameter.required, "artifact": parameter.artifact, **_sources(default)}


def _regions(plan: Plan) -> dict[str, _Facts]:
    return {region.path: _region(region) for region in plan.root.regions() if region.path}


def _region(region: Region) -> _Facts:
    condition, loop = region.condition, region.loop
    return {
        "condition": condition.label if condition else "",
        "items": _source(loop.items) if loop else "",
        "parallelism": loop.parallelism if loop else 0,
        "waits for": list(region.after),
        "always": region.always,
    }


def _steps(plan: Plan) -> dict[str, _Facts]:
    document = plan.document
    return {
        step.path: {**_step(step), "settings of Airflow": document.platform_executor("airflow", step.executor_label)}
        for step in plan.steps()
    }


def _step(step: Step) -> _Facts:
    facts: dict[str, Any] = {f"input {name}": value for name, value in _sources(step.inputs).items()}
    if isinstance(step.executor, PipelineContainerSpec):
        code, command = _command(step.executor)
        rest = {
            field.name: _plain(getattr(step.executor, field.name))
            for field in dataclasses.fields(step.executor)
            if field.name not in ("image", "command", "args")
        }
        lines = required(step.executor)
        command = [word for word in command if not word.startswith(f"{REQUIRES}=")] if lines else command
        facts |= {"code": code, "requirements": list(lines), "image": step.executor.image, "command": command, **rest}
    else:
        facts["what is imported"] = _plain(step.executor)
    return {
        **facts,
        **_spread(step.retry),
        **_spread(step.caching),
        "settings of Kubernetes": _plain(step.kubernetes),
        "waits for": list(step.after),
        "always": step.always,
    }


def _command(executor: PipelineContainerSpec) -> tuple[str, list[str]]:
    """The digest of the code, and the command without it."""
    words = [*executor.command, *executor.args]
    if "--code-digest" not in words[:-1]:
        return "", words
    at = words.index("--code-digest")
    return words[at + 1], [*words[:at], *words[at + 2 :]]


def _sources(sources: Mapping[str, Source]) -> dict[str, str]:
    return {name: _source(source) for name, source in sources.items()}


def _source(source: Source) -> str:
    match source:
        case Constant(value):
            return json.dumps(whole_numbers(value), ensure_ascii=False, sort_keys=True, default=str)
        case PipelineParameter(name):
            return f"parameter {name}"
        case StepOutput(step, output):
            return f"{step}.{output}"
        case Template(text, inputs):
            named = "".join(f", {name} = {_source(value)}" for name, value in inputs.items())
            return json.dumps(text, ensure_ascii=False, default=str) + named
        case LoopItem(loop):
            return f"item of {loop}"
        case Field(inner, keys):
            return ".".join([_source(inner), *map(str, keys)])
        case Collected(loop, item):
            return f"all of {_source(item)} in {loop}"
        case OneOf(options):
            return "first of " + ", ".join(map(_source, options))
        case FinalStatus(path):
            return f"status of {path}"


def _spread(message: Any) -> _Facts:
    return {key.replace("_", " "): value for key, value in (_plain(message) or {}).items()}


def _plain(value: Any) -> Any:
    """A value of the spec without what it leaves out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {key: item for key, item in found.items() if item not in (None, "", 0, False, {}, [], ())}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
