"""Parameter values against JSON Schema: one check for the command line, Airflow's form and the executor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnout.errors import Fault, did_you_mean
from turnout.spec.form import ANNOTATIONS
from turnout.spec.json_values import HINT, beyond_json
from turnout.spec.values import ParameterType

JSON_TYPES = {
    ParameterType.NUMBER_DOUBLE: "number",
    ParameterType.NUMBER_INTEGER: "integer",
    ParameterType.STRING: "string",
    ParameterType.BOOLEAN: "boolean",
    ParameterType.LIST: "array",
    ParameterType.STRUCT: "object",
}
"""What KFP's types of parameters are called in JSON Schema."""

_PYTHON_TYPES = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}

URI = r"^(/|[A-Za-z][A-Za-z0-9+.-]*:)\S"
"""The pattern of what names an artifact: an absolute path, or a URI of any protocol."""

_HINTS = {
    URI: "write an absolute path, or a URI such as s3://bucket/data.csv",
    "date": "write a date as 2024-01-31",
    "date-time": "write a time with its zone, as 2024-01-31T00:00:00Z or 2024-01-31T00:00:00+01:00",
}


def value_faults(value: Any, schema: dict[str, Any], where: str) -> list[Fault]:
    """What is wrong with a value, by its JSON Schema (with the formats `date` and `date-time`)."""
    if odd := list(beyond_json(value)):
        return [Fault(f"{held} is no value of JSON", f"{where}{at if at[:1] in ('', '[') else f'.{at}'}", hint=HINT)
                for at, held in odd]  # fmt: skip
    if _plainly_fits(value, schema):
        return []
    from jsonschema import Draft202012Validator, FormatChecker

    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    faults = []
    for error in validator.iter_errors(value):
        at = "".join(f"[{part!r}]" for part in error.absolute_path)
        choices = tuple(map(str, schema["enum"])) if error.validator == "enum" else ()
        what = f"{value!r} is not one of the choices" if choices else error.message
        hint = _HINTS.get(error.validator_value, "") if error.validator in ("format", "pattern") else ""
        faults.append(Fault(what, where + at, choices, hint or did_you_mean(str(value), choices)))
    return faults


def schema_faults(schema: Mapping[str, Any], where: str) -> list[Fault]:
    """What is wrong with a JSON Schema itself, at one of its places; it refers to no other."""
    if schema.keys() == {"type"} and all(kind in _PYTHON_TYPES for kind in _kinds(schema)):
        return []
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(dict(schema), format_checker=Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        at = ".".join(map(str, error.absolute_path))
        return [Fault(f"its schema is no JSON Schema, at '{at}': {error.message}", where, hint="compile it anew")]
    return []


def _plainly_fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a look is enough; the library takes a third of the time that a small step takes to start."""
    if not schema.keys() <= {"type", "enum", *ANNOTATIONS} or ("enum" in schema and value not in schema["enum"]):
        return False
    return type(value) in [_PYTHON_TYPES.get(kind) for kind in _kinds(schema)]


def whole_numbers(value: Any, schema: Mapping[str, Any] | None = None) -> Any:
    """The value with whole floats as ints, except where a float is what the schema asks for.

    KFP keeps all numbers as doubles: a struct's `{"n_estimators": 300}` comes back as `300.0`.
    """
    if isinstance(value, float) and value.is_integer():
        return value if schema is not None and "number" in _kinds(schema) else int(value)
    if isinstance(value, list):
        items = schema.get("items") if schema else None
        return [whole_numbers(item, items) for item in value]
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    return value


def convert(value: Any, kind: ParameterType) -> Any:
    """A value as an input's type, as KFP's driver converts it: text takes anything as JSON, and gives it back.

    Raises:
        ValueError: text that is not JSON, for a type that is not text.
    """
    value = whole_numbers(value, {"type": JSON_TYPES.get(kind, "")})
    if kind is ParameterType.STRING and not isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, str) and kind in JSON_TYPES and kind is not ParameterType.STRING:
        try:
            return whole_numbers(json.loads(value), {"type": JSON_TYPES[kind]})
        except json.JSONDecodeError:
            raise ValueError(f"{value[:80]!r} is not {kind.value}") from None
    return value


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]
