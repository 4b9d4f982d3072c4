"""The parameters of a pipeline as Airflow's trigger form: fields in sections, each with a title and its help.

Of the sections, Airflow 3.3 opens the one that it calls "Run Parameters", and no other: there stand the parameters
that have no section, or else those of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.plan.model import Parameter, Plan
from turnout.plan.parameters import empty_value
from turnout.spec.airflow_facts import UNTIMED_PRESETS, AirflowFacts
from turnout.spec.form import goes_with
from turnout.spec.json_schema import whole_numbers
from turnout.tracks.airflow.python_source import Code, call


def interval_parameters(facts: AirflowFacts) -> tuple[str, ...]:
    """The parameters that the form has no field for: Airflow's own asks for the data interval of a scheduled run."""
    schedule = facts.schedule
    untimed = schedule is None or (isinstance(schedule, str) and schedule in UNTIMED_PRESETS)
    return () if untimed else facts.data_interval or ()


def form(plan: Plan) -> dict[str, Code]:
    """The fields as calls of `Param`, in their order."""
    sections = {name: title for title, names in plan.airflow.sections.items() for name in names}
    fields = [item for name, item in plan.parameters.items() if name not in interval_parameters(plan.airflow)]
    opened = sections.get(fields[0].name, "") if fields else ""
    return {
        item.name: _field(item, "" if (section := sections.get(item.name, "")) == opened else section, plan.parameters)
        for item in fields
    }


def _field(parameter: Parameter, section: str, others: Mapping[str, Parameter]) -> Code:
    # A required parameter has no first argument: the form asks for it.
    default = [] if parameter.required else [parameter.default]
    schema = {
        key: whole_numbers(value, {"type": "number"})
        for key, value in parameter.schema.items()
        if key not in ("not_with", "title")
    }
    if not parameter.required and empty_value(schema) is not None:
        # The form takes an empty field for null, and without it lets nobody start the run.
        schema["type"] = ["null", schema["type"]]
    if _is_list(schema):
        # Of a list, the form takes examples for all that there is to choose from.
        schema.pop("examples", None)
        if choices := schema.get("items", {}).get("enum"):
            schema["examples"] = choices
    texts = {"section": section} if section else {}
    texts["title"] = _title(parameter)
    texts["description"] = " ".join(_help(parameter, others))
    return Code(call("Param", {**schema, **texts}, 2, default))


def _title(parameter: Parameter) -> str:
    """What the author calls it, or its name in words."""
    words = parameter.name.replace("_", " ").strip() or parameter.name
    return str(parameter.schema.get("title") or words[:1].upper() + words[1:])


def _help(parameter: Parameter, others: Mapping[str, Parameter]) -> Iterator[str]:
    """The author's text, and what the field does not show: bounds, examples of a list, what does not go together."""
    schema = parameter.schema
    if text := " ".join(parameter.description.split()):
        yield text if text[-1] in ".!?" else f"{text}."
    yield from _bounds(schema)
    if not _is_list(schema) and schema.get("examples") and "enum" not in schema and parameter.default:
        yield "Clear the field to see suggestions."  # a browser shows those that go on from what is there
    if _is_list(schema):
        if examples := schema.get("examples"):
            yield f"Such as {', '.join(map(str, examples))}."
        texts = schema.get("items", {}).get("type") == "string" and "enum" not in schema["items"]
        if texts and "one a line" not in text.lower():
            yield "One a line."
    # Labels tell of themselves what a choice is for.
    for other, by_value in schema.get("not_with", {}).items() if "values_display" not in schema else ():
        called = _title(others[other]) if other in others else other
        for value in by_value:
            if choices := goes_with(schema, other, value):
                yield f"With {called} {value}: {', '.join(map(str, choices))}."
    if parameter.name not in {_title(parameter), _title(parameter).lower().replace(" ", "_")}:
        yield f"Parameter: {parameter.name}."


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    """The bounds in words: at least 0, below 1."""
    items = " entries" if _is_list(schema) else " letters"
    told = [
        f"{word} {_number(schema[key])}{unit}"
        for key, word, unit in (
            ("minimum", "at least", ""),
            ("exclusiveMinimum", "above", ""),
            ("maximum", "at most", ""),
            ("exclusiveMaximum", "below", ""),
            ("minLength", "at least", items),
            ("minItems", "at least", items),
            ("maxLength", "at most", items),
            ("maxItems", "at most", items),
            ("multipleOf", "a multiple of", ""),
        )
        if key in schema
    ]
    if told:
        text = ", ".join(told)
        yield f"{text[0].upper()}{text[1:]}."


def _number(value: Any) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def _is_list(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type", [])
    return "array" in (kinds if isinstance(kinds, list) else [kinds])
