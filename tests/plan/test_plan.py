"""Linking: every input finds its source, or a fault says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from paths import EXAMPLES, TESTS

from turnout.authoring.source import load
from turnout.errors import ParameterError, PlanError
from turnout.plan.link import link
from turnout.plan.model import Condition, Constant, PipelineParameter, Plan, Region, StepOutput, Template
from turnout.plan.parameters import bind_parameters, parse_value
from turnout.plan.values import holds
from turnout.spec.document import read, write


def region(plan: Plan, path: str) -> Region:
    return next(item for item in plan.root.regions() if item.path == path)


SHAPES = str(EXAMPLES / "shapes.py")


def test_sources_of_constants_parameters_outputs_and_texts() -> None:
    plan = link(load(f"{SHAPES}:branch"))
    steps = {step.path: step for step in plan.steps()}
    assert list(steps) == ["make", "condition-1.count-2", "count"]
    assert steps["make"].inputs["rows"] == PipelineParameter("rows")
    assert steps["make"].inputs["options"] == Constant({"times": 1.0})
    assert steps["condition-1.count-2"].inputs["data"] == StepOutput("make", "data")
    note = steps["count"].inputs["note"]
    assert isinstance(note, Template)
    assert set(note.inputs.values()) == {PipelineParameter("note"), PipelineParameter("day"), PipelineParameter("mode")}
    assert plan.outputs == {"Output": StepOutput("count", "Output")}


def test_conditions_read_plain_names() -> None:
    plan = link(load(f"{SHAPES}:branch"))
    condition = region(plan, "condition-1").condition
    assert condition == Condition("make_many == true", {"make_many": StepOutput("make", "many")})
    assert holds(condition, {"make_many": True})
    assert not holds(condition, {"make_many": False})


def test_nested_pipelines_are_flattened_with_their_defaults() -> None:
    plan = link(load(f"{SHAPES}:nested"))
    steps = {step.path: step for step in plan.steps()}
    assert steps["inner.make"].inputs["rows"] == Constant(4.0)
    assert steps["condition-1.inner-2.make"].inputs["rows"] == Constant(2.0)
    inside = region(plan, "condition-1")
    assert inside.condition is not None
    assert inside.condition.inputs == {"inner_Output": StepOutput("inner.count", "Output")}
    assert inside.after == ("inner",)


def edited(name: str, edit) -> str:
    documents = list(yaml.safe_load_all(write(load(f"{SHAPES}:{name}"))))
    edit(documents[0])
    return yaml.safe_dump_all(documents)


def test_all_faults_of_a_pipeline_are_reported_at_once() -> None:
    def edit(spec):
        tasks = spec["root"]["dag"]["tasks"]
        tasks["count"]["inputs"]["artifacts"]["data"]["taskOutputArtifact"]["outputArtifactKey"] = "dta"
        tasks["make"]["componentRef"]["name"] = "comp-mak"
        del tasks["condition-1"]["inputs"]["artifacts"]

    with pytest.raises(PlanError) as raised:
        link(read(edited("branch", edit)))
    text = str(raised.value)
    assert "no component 'comp-mak' @ branch.make" in text
    assert "did you mean comp-make?" in text
    assert "input 'pipelinechannel--make-data' of step 'condition-1' has no producer" in text


def test_a_wrong_output_is_told_with_what_there_is() -> None:
    def edit(spec):
        task = spec["root"]["dag"]["tasks"]["count"]
        task["inputs"]["artifacts"]["data"]["taskOutputArtifact"]["outputArtifactKey"] = "dta"

    with pytest.raises(PlanError) as raised:
        link(read(edited("branch", edit)))
    assert "'make' has no output 'dta' @ branch.count.data" in str(raised.value)
    assert "make.data" in str(raised.value)
    assert "did you mean data?" in str(raised.value)


def test_tasks_that_wait_for_each_other_are_a_fault() -> None:
    def edit(spec):
        spec["root"]["dag"]["tasks"]["make"]["dependentTasks"] = ["count"]

    with pytest.raises(PlanError, match="wait for each other"):
        link(read(edited("branch", edit)))


def test_a_condition_is_not_fooled_by_text_that_looks_like_a_reference() -> None:
    def edit(spec):
        policy = spec["root"]["dag"]["tasks"]["condition-1"]["triggerPolicy"]
        policy["condition"] += ' && \'inputs.parameter_values["x"]\' != ""'

    plan = link(read(edited("branch", edit)))
    condition = region(plan, "condition-1").condition
    assert condition is not None
    assert "'inputs.parameter_values[\"x\"]'" in condition.expression
    assert holds(condition, {"make_many": True})


def test_parameters_are_checked_before_a_run() -> None:
    parameters = link(load(f"{SHAPES}:branch")).parameters
    assert bind_parameters(parameters, {"rows": 4.0}, "p")["rows"] == 4
    with pytest.raises(ParameterError) as raised:
        bind_parameters(parameters, {"rows": 11, "mode": "c", "day": "soon", "nte": ""}, "p")
    assert len(raised.value.faults) == 4
    assert "did you mean note?" in str(raised.value)


def test_a_pipelines_artifact_is_given_by_its_uri_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parameters = link(load(f"{TESTS}/contract/shapes.py:artifact_input")).parameters
    assert parameters["data"].artifact == "system.Dataset"
    for given, uri in (
        ("s3://bucket/x.csv", "s3://bucket/x.csv"),
        ("models:/flights/3", "models:/flights/3"),
        ("x.csv", f"{tmp_path}/x.csv"),
        (Path("x.csv"), f"{tmp_path}/x.csv"),
    ):
        assert bind_parameters(parameters, {"data": given}, "p") == {"data": uri}
    for wrong in ("", 3, None, ["x.csv"]):
        with pytest.raises(ParameterError, match=r"@ p\.data"):
            bind_parameters(parameters, {"data": wrong}, "p")


def test_values_typed_on_a_command_line() -> None:
    assert parse_value("3", {"type": "integer"}) == 3
    assert parse_value("3", {"type": "string"}) == "3"
    assert parse_value("true", {"type": "boolean"}) is True
    assert parse_value('["a"]', {"type": "array"}) == ["a"]
    assert parse_value("null", {"type": ["null", "string"]}) is None
    assert parse_value("three", {"type": "integer"}) == "three"  # and the check says what is wrong
