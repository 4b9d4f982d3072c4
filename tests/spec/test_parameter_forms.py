"""What an author says of a parameter's field in a form, and values of several parameters that do not go together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from turnout import Examples, Labels, NotWith, Title
from turnout.errors import DefinitionError, ParameterError
from turnout.plan.model import Parameter
from turnout.plan.parameters import bind_parameters
from turnout.spec.form import combination_faults
from turnout.spec.json_schema import value_faults
from turnout.spec.signature import read_signature

Kind = Literal["linear", "trees"]


def schema(annotation: Any, other: Any = Kind) -> dict[str, Any]:
    def function(kind, value) -> None:
        """Do.

        Args:
            kind: k.
            value: v.
        """

    function.__annotations__ |= {"kind": other, "value": annotation}
    read = read_signature(function, dates=True).parameters["value"].schema
    assert read is not None
    return read


def test_what_is_said_of_the_field_is_in_the_schema_and_checks_no_value() -> None:
    read = schema(Annotated[str, Title("Time zone"), Examples("UTC", "Asia/Kolkata")])
    assert read == {"type": "string", "title": "Time zone", "examples": ["UTC", "Asia/Kolkata"]}
    assert value_faults("Europe/Berlin", read, "p.value") == []
    assert schema(Annotated[Kind, Labels({"trees": "boosted trees"})])["values_display"] == {"trees": "boosted trees"}
    assert schema(Annotated[int, Title("Most rows")] | None) == {"type": ["null", "integer"], "title": "Most rows"}


@pytest.mark.parametrize(
    ("annotation", "what"),
    [
        (Annotated[int, Examples("many")], "example does not fit: 'many' is not of type 'integer'"),
        (Annotated[Kind, Labels({"tree": "a tree"})], "a label for 'tree', which is not one of the choices"),
        (Annotated[str, NotWith("knd", {"trees": ("a",)})], "no parameter 'knd'"),
        (Annotated[str, NotWith("kind", {"tree": ("a",)})], "'tree' is not one of the choices of 'kind'"),
    ],
)
def test_what_cannot_be_said_is_told_at_definition(annotation: Any, what: str) -> None:
    with pytest.raises(DefinitionError, match=what):
        schema(annotation)


def test_values_that_do_not_go_together_are_refused_with_those_that_do() -> None:
    schemas = {
        "task": {"type": "string", "enum": ["classification", "regression"]},
        "metric": {
            "type": "string",
            "enum": ["accuracy", "r2"],
            "not_with": {"task": {"regression": ["accuracy"], "classification": ["r2"]}},
        },
        "estimator": {"type": "string", "not_with": {"task": {"regression": ["*Classifier"]}}},
    }
    given = {"task": "regression", "metric": "accuracy", "estimator": "lightgbm.LGBMClassifier"}
    metric, estimator = combination_faults(schemas, given, "p")
    assert str(metric) == (
        "metric 'accuracy' does not go with task 'regression' @ p.metric\n"
        "  available here: r2\n"
        "  hint: choose another metric, or another task"
    )
    assert estimator.what == "estimator 'lightgbm.LGBMClassifier' does not go with task 'regression'"
    assert combination_faults(schemas, given | {"metric": "r2", "estimator": "lightgbm.LGBMRegressor"}, "p") == []
    parameters = {name: Parameter(name, item, required=True) for name, item in schemas.items()}
    with pytest.raises(ParameterError, match="does not go with task 'regression'"):
        bind_parameters(parameters, given, "p")
