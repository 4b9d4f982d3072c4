"""What an author says of a parameter's field in a form, beside its type: in `Annotated[...]`, with the bounds.

    estimator: Annotated[str, Title("Estimator"), Examples("sklearn.linear_model.Ridge")] = "lightgbm.LGBMRegressor"

In a parameter's JSON Schema these are annotations: the standard's `title` and `examples`, Airflow's `values_display`,
and `not_with`, which no single value can break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from turnout.errors import Fault

ANNOTATIONS = ("title", "examples", "values_display", "not_with")
"""The keys of a schema that no value is checked against."""


@dataclass(frozen=True, eq=False)
class Title:
    """The name of a parameter's field. Without it, the field has the parameter's name, in words."""

    text: str


@dataclass(frozen=True, init=False, eq=False)
class Examples:
    """Values that a form suggests; others may be given."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any):
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, eq=False)
class Labels:
    """The names of choices, for people."""

    of: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class NotWith:
    """Values that do not go with some value of another parameter.

    Attributes:
        parameter: name of the other parameter.
        values: by its value, those of this one that do not go with it; `*` in them stands for any letters.
    """

    parameter: str
    values: Mapping[str, tuple[str, ...]]


def form_facets(item: object) -> dict[str, Any] | None:
    """What an annotation says, as keys of a JSON Schema; None when it is no annotation of these."""
    match item:
        case Title(text):
            return {"title": text}
        case Examples(values):
            return {"examples": list(values)}
        case Labels(of):
            return {"values_display": dict(of)}
        case NotWith(parameter, values):
            return {"not_with": {parameter: {value: list(refused) for value, refused in values.items()}}}
    return None


def not_with_faults(schema: Mapping[str, Any], names: Mapping[str, Any], where: str) -> Iterator[Fault]:
    """What is wrong with a schema's `not_with` itself, beside parameters of these names."""
    rules = schema.get("not_with", {})
    hint = "as in {'task': {'regression': ['accuracy', '*Classifier']}}"
    if not isinstance(rules, dict):
        yield Fault("what does not go together is no struct", where, (), hint)
        return
    for other, by_value in rules.items():
        if other not in names:
            yield Fault(f"no parameter '{other}' that something does not go with", where, tuple(names))
        lists = by_value.values() if isinstance(by_value, dict) else [None]
        if not all(isinstance(items, list) and all(isinstance(item, str) for item in items) for items in lists):
            yield Fault(f"what does not go with '{other}' is no struct of lists of texts", where, (), hint)


def goes_with(schema: Mapping[str, Any], other: str, value: Any) -> tuple[Any, ...]:
    """The choices that go with a value of another parameter; none when there are no choices to name."""
    refused = schema.get("not_with", {}).get(other, {}).get(str(value), ())
    return tuple(choice for choice in schema.get("enum", ()) if not _among(choice, refused))


def combination_faults(schemas: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], where: str) -> list[Fault]:
    """The values of a run that do not go together."""
    faults = []
    for name, schema in schemas.items():
        for other, by_value in schema.get("not_with", {}).items():
            given = values.get(other)
            if _among(values.get(name), by_value.get(str(given), ())):
                what = f"{name} '{values[name]}' does not go with {other} '{given}'"
                hint = f"choose another {name}, or another {other}"
                faults.append(Fault(what, f"{where}.{name}", goes_with(schema, other, given), hint))
    return faults


def _among(value: Any, patterns: Any) -> bool:
    return isinstance(value, str) and any(fnmatchcase(value, pattern) for pattern in patterns)
