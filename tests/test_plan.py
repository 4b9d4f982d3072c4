"""Linking: every input finds its source, or a fault says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from turnout.errors import ParameterError, PlanError
from turnout.plan.link import link
from turnout.plan.model import Condition, Constant, PipelineParameter, StepOutput, Template
from turnout.plan.order import holds, needs
from turnout.plan.parameters import bind_parameters, parse_value
from turnout.source import load
from turnout.spec.document import read, write

SHAPES = str(Path(__file__).parent / "examples" / "shapes.py")


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
    (condition,) = needs(plan)["condition-1.count-2"].conditions
    assert condition == Condition("make_many == true", {"make_many": StepOutput("make", "many")})
    assert holds(condition, {"make_many": True})
    assert not holds(condition, {"make_many": False})


def test_nested_pipelines_are_flattened_with_their_defaults() -> None:
    plan = link(load(f"{SHAPES}:nested"))
    steps = {step.path: step for step in plan.steps()}
    assert steps["inner.make"].inputs["rows"] == Constant(4.0)
    assert steps["condition-1.inner-2.make"].inputs["rows"] == Constant(2.0)
    (condition,) = needs(plan)["condition-1.inner-2.count"].conditions
    assert condition.inputs == {"inner_Output": StepOutput("inner.count", "Output")}
    assert needs(plan)["condition-1.inner-2.make"].steps == {"inner.make", "inner.count"}


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


NOT_YET = {
    "ParallelFor": "with dsl.ParallelFor([1, 2]) as i:\n        step(x=i)",
    "exit handler": "with dsl.ExitHandler(step(x=0)):\n        step(x=1)",
    "importer": "dsl.importer(artifact_uri='a', artifact_class=dsl.Dataset)",
    "one of several": "a = step(x=1)\n    with dsl.If(a.output == 1):\n        b = step(x=1)\n    with dsl.Else():\n"
    "        c = step(x=2)\n    step(x=dsl.OneOf(b.output, c.output))",
}


@pytest.mark.parametrize("what", NOT_YET)
def test_what_is_not_linked_yet_is_refused_by_name(tmp_path: Path, what: str) -> None:
    text = "from kfp import dsl\n@dsl.component(base_image='python')\ndef step(x: int) -> int: return x\n"
    path = tmp_path / f"notyet_{abs(hash(what))}.py"
    path.write_text(text + f"@dsl.pipeline\ndef p():\n    {NOT_YET[what]}\n")
    with pytest.raises(PlanError, match=what):
        link(load(str(path)))


def test_a_condition_is_not_fooled_by_text_that_looks_like_a_reference() -> None:
    def edit(spec):
        policy = spec["root"]["dag"]["tasks"]["condition-1"]["triggerPolicy"]
        policy["condition"] += ' && \'inputs.parameter_values["x"]\' != ""'

    plan = link(read(edited("branch", edit)))
    (condition,) = needs(plan)["condition-1.count-2"].conditions
    assert "'inputs.parameter_values[\"x\"]'" in condition.expression
    assert holds(condition, {"make_many": True})


def test_parameters_are_checked_before_a_run() -> None:
    parameters = link(load(f"{SHAPES}:branch")).parameters
    assert bind_parameters(parameters, {"rows": 4.0}, "p")["rows"] == 4
    with pytest.raises(ParameterError) as raised:
        bind_parameters(parameters, {"rows": 11, "mode": "c", "day": "soon", "nte": ""}, "p")
    assert len(raised.value.faults) == 4
    assert "did you mean note?" in str(raised.value)


def test_values_typed_on_a_command_line() -> None:
    assert parse_value("3", {"type": "integer"}) == 3
    assert parse_value("3", {"type": "string"}) == "3"
    assert parse_value("true", {"type": "boolean"}) is True
    assert parse_value('["a"]', {"type": "array"}) == ["a"]
    assert parse_value("null", {"type": ["null", "string"]}) is None
    assert parse_value("three", {"type": "integer"}) == "three"  # and the check says what is wrong
