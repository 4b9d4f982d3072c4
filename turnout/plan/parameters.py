"""The parameters of a pipeline, as JSON Schema; and the values a run gives them."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.errors import Fault, ParameterError, did_you_mean
from turnout.plan.model import Parameter
from turnout.spec.airflow_facts import AirflowFacts, last_interval
from turnout.spec.document import Document
from turnout.spec.form import combination_faults
from turnout.spec.json_schema import JSON_TYPES, URI, value_faults, whole_numbers
from turnout.spec.pipeline_spec import ComponentInputsSpec, InputArtifactSpec, InputParameterSpec
from turnout.spec.values import ABSENT


def pipeline_parameters(document: Document) -> dict[str, Parameter]:
    """The parameters of a pipeline, with the order and the checks that its platform document adds.

    An artifact that the pipeline takes is one more of them: a run is given its URI.
    """
    root = document.pipeline.root
    inputs = (root.input_definitions if root else None) or ComponentInputsSpec()
    facts = document.platform_config("airflow")
    checks = facts.get("parameters", {})
    found = {name: _parameter(name, item, checks.get(name, {})) for name, item in inputs.parameters.items()}
    found |= {name: _artifact(name, item) for name, item in inputs.artifacts.items()}
    order = [name for name in facts.get("parameter_order", ()) if name in found]
    return {name: found[name] for name in dict.fromkeys([*order, *found])}


def bind_parameters(parameters: Mapping[str, Parameter], given: Mapping[str, Any], pipeline: str) -> dict[str, Any]:
    """The values of a run: those given, checked, and the defaults of the others.

    Raises:
        ParameterError: unknown or missing parameters, and values that do not fit, all of them.
    """
    faults = [
        Fault(f"no parameter '{name}'", pipeline, tuple(parameters), did_you_mean(name, parameters))
        for name in given
        if name not in parameters
    ]
    values: dict[str, Any] = {}
    for name, item in parameters.items():
        if name in given:
            value = _located(given[name]) if item.artifact else given[name]
            values[name] = whole_numbers(value, item.schema)
            faults.extend(value_faults(values[name], dict(item.schema), f"{pipeline}.{name}"))
        elif item.required:
            hint = f"give it with -p {name}=..."
            faults.append(Fault(f"parameter '{name}' has no value and no default", pipeline, hint=hint))
        else:
            values[name] = item.default
    if not faults:
        schemas = {name: item.schema for name, item in parameters.items()}
        faults.extend(combination_faults(schemas, values, pipeline))
    if faults:
        raise ParameterError(faults)
    return values


def changed(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> list[str]:
    """The names of a run's values that differ from the defaults; those without a default do."""
    return [
        name
        for name, value in values.items()
        if name in parameters and (parameters[name].required or value != parameters[name].default)
    ]


def with_data_interval(
    values: Mapping[str, Any],
    facts: AirflowFacts,
    now: datetime.datetime,
    interval: tuple[datetime.datetime, datetime.datetime] | None = None,
) -> dict[str, Any]:
    """The values of a run, with the data interval in its two parameters when neither was given.

    Args:
        now: when the run was started, with a time zone.
        interval: that of the run, when a schedule made one; else the last whole one before `now`.

    Raises:
        ParameterError: one end of the interval was given, the other not.
    """
    names = facts.data_interval or ()
    missing = [name for name in names if values.get(name) in (None, "")]
    if len(missing) == 1:
        what = f"parameter '{missing[0]}' has no value, the other end of the data interval has"
        raise ParameterError([Fault(what, missing[0], names, "give both, or neither")])
    if not missing:
        return dict(values)
    start_and_end = interval or last_interval(facts, now)
    return {**values, **{name: time.isoformat() for name, time in zip(names, start_and_end, strict=True)}}


def empty_value(schema: Mapping[str, Any]) -> Any:
    """What a field of a form that was left empty means: an empty text or list where one may be; otherwise None."""
    if "enum" in schema or "format" in schema or schema.get("minLength") or schema.get("minItems"):
        return None
    return {"string": "", "array": []}.get(schema["type"]) if isinstance(schema["type"], str) else None


def parse_value(text: str, schema: Mapping[str, Any]) -> Any:
    """A value typed on a command line: text as it is where text is wanted, otherwise JSON."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "string" in kinds and not ("null" in kinds and text == "null"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False}.get(text, text) if "boolean" in kinds else text


def _located(value: Any) -> Any:
    """The URI of an artifact, or of several, with a path of this machine as an absolute one."""
    if isinstance(value, list):
        return [_located(item) for item in value]
    if not isinstance(value, str | os.PathLike) or not str(value) or re.match(URI, str(value)):
        return str(value) if isinstance(value, os.PathLike) else value
    return str(Path(value).expanduser().absolute())


def _artifact(name: str, spec: InputArtifactSpec) -> Parameter:
    uri = {"type": "string", "pattern": URI}
    schema: dict[str, Any] = {"type": "array", "items": uri} if spec.is_artifact_list else uri
    if spec.is_optional:
        schema = {**schema, "type": ["null", schema["type"]]}
    kind = (spec.artifact_type.schema_title if spec.artifact_type else None) or "system.Artifact"
    what = f"{'URIs of artifacts' if spec.is_artifact_list else 'URI of an artifact'} of the type {kind}"
    told = [text for text in (spec.description.strip().rstrip("."), what) if text]
    return Parameter(name, schema, not spec.is_optional, None, f"{'. '.join(told)}.", kind)


def _parameter(name: str, spec: InputParameterSpec, checks: Mapping[str, Any]) -> Parameter:
    kind: str | list[str] = JSON_TYPES.get(spec.parameter_type, "string")
    nullable = spec.is_optional and spec.default_value in (ABSENT, None)
    schema: dict[str, Any] = {"type": ["null", kind] if nullable else kind}
    if spec.literals:
        choices = [whole_numbers(item, schema) for item in spec.literals]
        schema["enum"] = [*choices, None] if nullable else choices
    schema |= checks
    has_default = spec.default_value is not ABSENT
    default = whole_numbers(spec.default_value, schema) if has_default else None
    required = not spec.is_optional and not has_default
    return Parameter(name, schema, required, default, spec.description)
