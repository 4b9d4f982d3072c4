"""The trigger form of a compiled DAG file: sections, titles, help and choices."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from paths import PROJECT

from turnout import verbs
from turnout.authoring.source import load
from turnout.cli.options import all_pipelines
from turnout.errors import ParameterError
from turnout.plan.link import link
from turnout.tracks.airflow.form import form


def fields(source: str) -> dict[str, dict[str, Any]]:
    """The fields of a pipeline's form, in their order: the default, and the arguments of `Param`."""
    found = {}
    for name, code in form(link(load(source))).items():
        call = ast.parse(str(code).strip(), mode="eval").body
        assert isinstance(call, ast.Call)
        values = [ast.literal_eval(argument) for argument in call.args]
        found[name] = {"default": values} | {str(item.arg): ast.literal_eval(item.value) for item in call.keywords}
    return found


@pytest.fixture(scope="module")
def example() -> dict[str, dict[str, Any]]:
    return fields(f"{PROJECT}/examples/form.py")


def test_sections_come_in_the_authors_order_and_airflow_opens_the_first(example: dict[str, Any]) -> None:
    assert list(example) == ["since", "names", "limit", "kind", "loss", "share", "zone"]
    # Airflow opens the section of those that have none.
    assert [field.get("section", "") for field in example.values()] == ["", "", "", "Model", "Model", "Model", "More"]


def test_a_field_has_a_title_in_words_and_says_its_bounds(example: dict[str, Any]) -> None:
    assert example["since"]["title"] == "Since"
    assert example["limit"]["title"] == "Most rows"
    assert example["limit"]["description"] == "Empty for all. At least 1. Parameter: limit."
    assert example["share"]["description"] == "What is trained on. Above 0, at most 1. Parameter: share."
    assert example["names"]["description"] == "Columns, one a line."


def test_open_texts_have_suggestions_and_choices_have_labels(example: dict[str, Any]) -> None:
    assert example["zone"]["examples"] == ["UTC", "Europe/Berlin"]
    assert example["kind"]["enum"] == ["linear", "trees"]
    assert example["kind"]["values_display"] == {"trees": "boosted trees"}


def test_what_does_not_go_together_is_in_the_help_and_refused_before_a_run(example: dict[str, Any]) -> None:
    assert example["loss"]["description"] == "What the model makes small. With Kind trees: squared."
    assert "not_with" not in example["loss"]
    with pytest.raises(ParameterError, match="loss 'hinge' does not go with kind 'trees'"):
        verbs.run(f"{PROJECT}/examples/form.py", {"loss": "hinge"})


def test_a_scheduled_run_is_asked_for_its_interval_once() -> None:
    assert fields(f"{PROJECT}/examples/daily.py") == {}
    (code,) = [text for path, text in verbs.compile(f"{PROJECT}/examples/daily.py").items() if path.suffix == ".py"]
    assert 'inputs={"since": Interval("since"), "until": Interval("until")}' in code


@pytest.mark.parametrize("source", all_pipelines())
def test_the_projects_forms(source: str) -> None:
    found = fields(source)
    opened = [name for name, field in found.items() if "section" not in field]
    assert opened == list(found)[: len(opened)]
    assert 3 < len(opened) < 9
    assert not {"since", "until"} & set(found)
    for name, field in found.items():
        assert field["title"][0].isupper(), name
        assert field["description"].endswith("."), name
        for bound, words in {"minimum": "t least", "maximum": "t most", "exclusiveMinimum": "bove"}.items():
            assert bound not in field or words in field["description"], name


def test_a_regression_is_not_judged_by_a_metric_of_classes() -> None:
    for given in ({"task": "regression"}, {"metric": "r2"}, {"estimator": "sklearn.ensemble.RandomForestRegressor"}):
        with pytest.raises(ParameterError, match="does not go with task"):
            verbs.run(f"{PROJECT}/pipelines/training.py", given)
