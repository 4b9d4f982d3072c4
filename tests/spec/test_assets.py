"""Names of assets that hold a step's inputs."""

from __future__ import annotations

import pytest
from kfp import dsl

from turnout import Asset, Dataset, Input, Output, component, on_airflow, pipeline
from turnout.authoring.pipeline import compile_pipeline
from turnout.errors import DefinitionError
from turnout.plan.lineage import ancestors, known_inputs
from turnout.plan.link import link
from turnout.spec.airflow_facts import read_step_facts
from turnout.spec.assets import named


def test_a_name_holds_the_values_of_inputs() -> None:
    asset = Asset("models:/{name}@{alias}", uri="s3://models/{name}")
    assert named(asset, {"name": "m", "alias": "champion"}) == Asset("models:/m@champion", uri="s3://models/m")
    assert named(Asset("{a} {b}"), {"a": "{b}", "b": 1}) == Asset("{b} 1")


@pytest.mark.parametrize("value", [None, ""])
def test_an_input_that_is_not_known_or_empty_names_no_asset(value: str | None) -> None:
    assert named(Asset("models:/{name}"), {"name": value}) is None


def test_braces_of_no_input_stay_as_they_are() -> None:
    assert named(Asset("a {b} {} {{$.x}}"), {"a": None}) == Asset("a {b} {} {{$.x}}")


def test_a_login_is_in_no_name() -> None:
    assert named(Asset("{at}"), {"at": "s3://user:p@ss@bucket/key"}) == Asset("s3://bucket/key")
    assert named(Asset("{at}"), {"at": "models:/m@champion"}) == Asset("models:/m@champion")


@component(reads=[Asset("{source}")])
def read(source: str, data: Output[Dataset], other: str = "") -> None:
    """Read.

    Args:
        source: where.
        data: what.
        other: more.
    """


@component(publishes={"out": Asset("{table}")})
def write(data: Input[Dataset], out: Output[Dataset], table: str = "t") -> None:
    """Write.

    Args:
        data: what.
        out: where it is.
        table: its name.
    """


@pipeline
def both(place: str = "here") -> None:
    """Read and write.

    Args:
        place: where.
    """
    found = read(source=f"{place}/a.csv")
    with dsl.If(place == "here"):
        written = write(data=found.outputs["data"])
        on_airflow(write(data=written.outputs["out"]), publishes={"out": Asset("fixed")})


def test_what_components_say_stands_in_the_document_and_a_pipeline_may_say_otherwise() -> None:
    plan = link(compile_pipeline(both))
    facts = {
        step.path: read_step_facts(plan.document.platform_executor("airflow", step.executor_label), step.path)
        for step in plan.steps()
    }
    assert facts["read"].reads == (Asset("{source}"),)
    assert facts["condition-1.write"].publishes == {"out": Asset("{table}")}
    assert facts["condition-1.write-2"].publishes == {"out": Asset("fixed")}


def test_what_a_step_descends_from_and_what_is_known_of_its_inputs() -> None:
    plan = link(compile_pipeline(both))
    last = plan.steps()[-1]
    assert [step.path for step in ancestors(plan, last.path)] == ["read", "condition-1.write"]
    assert [known_inputs(plan, step) for step in plan.steps()] == [
        {"source": "here/a.csv", "other": ""}, {"table": "t"}, {"table": "t"},
    ]  # fmt: skip


def test_an_asset_by_an_input_that_there_is_not_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no input 'sorce' for the asset") as refused:
        component(reads=[Asset("{sorce}")])(read.python_func)
    assert "did you mean source" in str(refused.value)
    with pytest.raises(DefinitionError, match="no output 'model'"):
        component(publishes={"model": Asset("a")})(read.python_func)
    with pytest.raises(DefinitionError, match="no input 'place'"):

        @pipeline
        def wrong(place: str = "here") -> None:
            """Read.

            Args:
                place: where.
            """
            on_airflow(read(source=place), reads=[Asset("{place}")])
