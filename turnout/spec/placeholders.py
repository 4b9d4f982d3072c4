"""KFP's placeholders in a container's command and arguments, and in constants.

Every text is read once, left to right: a value that itself looks like a placeholder stays as it is.
Source: KFP's `placeholders.py` and launcher, 2.17.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from turnout.spec.step_contract import Run, Task

_PLACEHOLDER = re.compile(r"\{\{\$(?P<reference>(?:\.[^{}]*)?)\}\}")
_KEYED = re.compile(
    r"\.(?P<side>inputs|outputs)\.(?P<kind>parameters|artifacts)\[(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")\]"
    r"(?:\.(?P<attribute>\w+)|\['(?P<item>\w+)'\])?"
)


def run_values(run: Run, pipeline_root: str) -> dict[str, str]:
    """The placeholders that stand for facts of the run."""
    return {
        ".pipeline_job_name": f"{run.pipeline}-{run.run_id}",
        ".pipeline_job_uuid": run.run_id,
        ".pipeline_job_resource_name": f"{run.pipeline}/{run.run_id}",
        ".pipeline_job_create_time_utc": run.create_time,
        ".pipeline_job_schedule_time_utc": run.schedule_time or run.create_time,
        ".pipeline_root": pipeline_root,
    } | ({".workspace_path": run.workspace} if run.workspace else {})


def task_values(task: Task, pipeline_root: str) -> dict[str, str]:
    """The placeholders that stand for facts of the run and of the task."""
    return {
        **(facts := run_values(task.run, pipeline_root)),
        **step_values(task.path, task.iteration, facts),
    }


def step_values(path: str, iteration: Sequence[int], run: Mapping[str, str]) -> dict[str, str]:
    """The placeholders that stand for facts of a step."""
    return {
        ".pipeline_task_name": path.rpartition(".")[2],
        ".pipeline_task_uuid": "/".join([run.get(".pipeline_job_uuid", ""), path, *map(str, iteration)]),
    }


def resolve_template(template: Any, parameters: Mapping[str, Any], run: Mapping[str, str]) -> Any:
    """A constant with the placeholders in its texts filled in.

    Inside a list or struct, a text that is one placeholder becomes the value itself.
    """
    if isinstance(template, str):
        return resolve_text(template, parameters, run)

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        whole = _PLACEHOLDER.fullmatch(value)
        match = _KEYED.fullmatch(whole["reference"]) if whole else None
        name = (match["single"] or match["double"]) if match else ""
        return parameters[name] if name in parameters else resolve_text(value, parameters, run)

    return fill(template)


def resolve_text(text: str, parameters: Mapping[str, Any], run: Mapping[str, str]) -> str:
    """A constant's text with its placeholders filled in; what nothing stands for stays as it is."""

    def value(reference: str) -> str:
        match = _KEYED.fullmatch(reference)
        if match and match["side"] == "inputs" and match["kind"] == "parameters":
            return _as_text(parameters.get(match["single"] or match["double"]))
        return run[reference]

    return _substitute(text, value)


def resolve_command(command: Sequence[str], executor_input: Mapping[str, Any], run: Mapping[str, str]) -> list[str]:
    """A container's command with its placeholders filled in; `IfPresent` may add or drop elements.

    As on KFP, text that only looks like a placeholder stays as it is.
    """
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    present = {name for name, value in inputs["parameterValues"].items() if value is not None} | set(
        inputs["artifacts"]
    )

    def value(reference: str) -> str:
        if reference == "":
            return json.dumps(executor_input)
        if reference in (".outputs.output_file", ".outputMetadataUri"):
            return str(outputs["outputFile"])
        match = _KEYED.fullmatch(reference)
        if match is None:
            return run[reference]
        name, attribute = match["single"] or match["double"], match["attribute"] or match["item"]
        if match["kind"] == "parameters":
            return (
                _as_text(inputs["parameterValues"].get(name))
                if match["side"] == "inputs"
                else str(outputs["parameters"][name]["outputFile"])
            )
        side = inputs if match["side"] == "inputs" else outputs
        if name not in side["artifacts"]:
            return _as_text(None)
        artifacts = side["artifacts"][name]["artifacts"]
        if attribute is None:
            return json.dumps(artifacts)
        if attribute == "path":
            return str(artifacts[0].get("customPath", artifacts[0]["uri"]))
        return _as_text(artifacts[0][attribute])

    def flatten(item: Any) -> list[str]:
        if isinstance(item, list):
            return [text for inner in item for text in flatten(inner)]
        if not isinstance(item, dict):
            return [_substitute(item, value)]
        if "Concat" in item:
            return ["".join(text for inner in item["Concat"] for text in flatten(inner))]
        choice = item["IfPresent"]
        chosen = choice["Then"] if choice["InputName"] in present else choice.get("Else")
        return [] if chosen is None else flatten(chosen)

    return [text for item in command for text in flatten(_structure(item))]


def _structure(item: str) -> Any:
    """KFP writes `IfPresent` and `Concat` as JSON text."""
    return json.loads(item) if item.startswith(('{"IfPresent": ', '{"Concat": ')) else item


def _substitute(text: str, value: Callable[[str], str]) -> str:
    def replace(match: re.Match[str]) -> str:
        try:
            return value(match["reference"])
        except KeyError:
            return match[0]

    return _PLACEHOLDER.sub(replace, text)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
