"""What `check` says of files that can never run: one message each, with the place in the file's own words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout import verbs
from turnout.authoring.source import load
from turnout.errors import PlanError, TrackError
from turnout.plan.link import link
from turnout.spec.document import read, write

SHAPES = "tests/contract/shapes.py"
Spec = dict[str, Any]


@pytest.fixture(scope="module")
def specs() -> list[Spec]:
    """A pipeline with a loop over constants, and its platform document, as YAML holds them."""
    found = list(yaml.safe_load_all(write(load(f"{SHAPES}:nested_loops"))))
    return found if len(found) == 2 else [*found, {"platforms": {"kubernetes": {}}}]


def executor(spec: Spec) -> Spec:
    return next(item for item in spec["deploymentSpec"]["executors"].values() if "container" in item)


def leaf(spec: Spec) -> Spec:
    """A task that runs a container, with its inputs."""
    dags = [item["dag"] for item in [spec["root"], *spec["components"].values()] if "dag" in item]
    return next(
        task
        for dag in dags
        for task in dag["tasks"].values()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]] and task.get("inputs")
    )


def looped(spec: Spec) -> Spec:
    dags = [item["dag"] for item in [spec["root"], *spec["components"].values()] if "dag" in item]
    return next(task for dag in dags for task in dag["tasks"].values() if "raw" in str(task.get("parameterIterator")))


def retry(**policy: Any) -> Callable[[Spec, Spec], None]:
    return lambda spec, platform: leaf(spec).update(retryPolicy=policy)


def given(name: str, value: Any) -> Callable[[Spec, Spec], None]:
    """A constant for an input of a new type."""

    def edit(spec: Spec, platform: Spec) -> None:
        task = leaf(spec)
        component = spec["components"][task["componentRef"]["name"]]
        component["inputDefinitions"]["parameters"]["added"] = {"parameterType": name}
        task["inputs"].setdefault("parameters", {})["added"] = {"runtimeValue": {"constant": value}}

    return edit


def default(kind: str, value: Any) -> Callable[[Spec, Spec], None]:
    def edit(spec: Spec, platform: Spec) -> None:
        inputs = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
        inputs["added"] = {"parameterType": kind, "defaultValue": value}

    return edit


def items(raw: str) -> Callable[[Spec, Spec], None]:
    return lambda spec, platform: looped(spec)["parameterIterator"]["items"].update(raw=raw)


def in_itself(spec: Spec, platform: Spec) -> None:
    name = next(name for name, item in spec["components"].items() if "dag" in item)
    spec["components"][name]["dag"]["tasks"]["again"] = {"componentRef": {"name": name}}


def chain(levels: int, calls: int) -> Callable[[Spec, Spec], None]:
    """Pipelines in pipelines, each of which calls the next one some times."""

    def edit(spec: Spec, platform: Spec) -> None:
        name = next(name for name, item in spec["components"].items() if "executorLabel" in item)
        spec["components"] = {name: {"executorLabel": spec["components"][name]["executorLabel"]}}
        for level in range(levels):
            tasks = {f"t{call}": {"componentRef": {"name": name}} for call in range(calls)}
            name = f"comp-level-{level}"
            spec["components"][name] = {"dag": {"tasks": tasks}}
        spec["root"] = {"dag": {"tasks": {"first": {"componentRef": {"name": name}}}}}

    return edit


def set_in(*path: str, value: Any) -> Callable[[Spec, Spec], None]:
    def edit(spec: Spec, platform: Spec) -> None:
        for key in path[:-1]:
            spec = spec[key]
        spec[path[-1]] = value

    return edit


def refers(kind: str, value: Any) -> Callable[[Spec, Spec], None]:
    """A secret of a step whose name comes from elsewhere."""

    def edit(spec: Spec, platform: Spec) -> None:
        label = next(name for name, item in spec["deploymentSpec"]["executors"].items() if "container" in item)
        secret = {"secretNameParameter": {kind: value}, "mountPath": "/secret"}
        executors = {label: {"secretAsVolume": [secret]}}
        platform["platforms"]["kubernetes"].update(deploymentSpec={"executors": executors})

    return edit


FAULTS: dict[str, tuple[Callable[[Spec, Spec], Any], str, str]] = {
    "no pipelineInfo": (lambda spec, _: spec.pop("pipelineInfo"), "the pipeline has no name", "pipelineInfo.name"),
    "an empty name": (set_in("pipelineInfo", "name", value=" "), "the pipeline has no name", "pipelineInfo.name"),
    "KFP 1.8": (
        lambda spec, _: spec.update(schemaVersion="2.0.0", sdkVersion="kfp-1.8.22"),
        "a pipeline of schema 2.0.0 (kfp-1.8.22); Turnout reads 2.1.0",
        "hint: compile it with kfp>=2",
    ),
    "a newer schema": (set_in("schemaVersion", value="2.10.0"), "of schema 2.10.0", "a newer Turnout may read it"),
    "no schema": (lambda spec, _: spec.pop("schemaVersion"), "the schema's version is missing", "schemaVersion"),
    "no steps": (set_in("root", "dag", "tasks", value={}), "no steps", "root.dag.tasks"),
    "negative retries": (retry(maxRetryCount=-1), "a negative number of retries", "retryPolicy.maxRetryCount"),
    "no duration": (retry(backoffDuration="soon"), "'soon' is no duration", "retryPolicy.backoffDuration"),
    "a negative duration": (retry(backoffMaxDuration="-5s"), "'-5s' is no duration", "backoffMaxDuration"),
    "a negative factor": (retry(backoffFactor=-2.0), "a negative factor", "retryPolicy.backoffFactor"),
    "a negative parallelism": (
        lambda spec, _: looped(spec).update(iteratorPolicy={"parallelismLimit": -1}),
        "a negative number of iterations at once",
        "iteratorPolicy.parallelismLimit",
    ),
    "no command": (
        lambda spec, _: executor(spec).update(container={"image": "a"}),
        "a container without a command",
        "container.command",
    ),
    "no image": (lambda spec, _: executor(spec)["container"].pop("image"), "a container without an image", ".image"),
    "two kinds of executor": (
        lambda spec, _: executor(spec).update(importer={}),
        "an executor that is a container and a importer",
        "deploymentSpec.executors",
    ),
    "settings for nothing": (
        lambda _, platform: platform["platforms"]["kubernetes"].update(
            deploymentSpec={"executors": {"exec-prnt": {"nodeSelector": {"labels": {"a": "b"}}}}}
        ),
        "settings for an executor 'exec-prnt', which does not exist",
        "platforms.kubernetes.deploymentSpec.executors",
    ),
    **{
        f"settings with a reference that is none, {kind}": (
            refers(kind, value),
            "neither a constant, an input nor an output",
            "",
        )
        for kind, value in (
            ("runtimeValue", "fixed"),
            ("componentInputParameter", ["rows"]),
            ("taskOutputParameter", {"producerTask": {}}),
        )
    },
    "an input that is not there": (
        lambda spec, _: leaf(spec)["inputs"]["parameters"].update(textt={"runtimeValue": {"constant": "a"}}),
        "has no input 'textt'",
        "inputs.parameters",
    ),
    "a constant of another type": (given("NUMBER_INTEGER", "three"), "'three' is not NUMBER_INTEGER", "added"),
    "a fraction for an integer": (given("NUMBER_INTEGER", 1.5), "1.5 is not of type 'integer'", "added"),
    "a number for a list": (given("LIST", 3), "3 is not of type 'array'", "added.runtimeValue.constant"),
    "a large integer": (given("NUMBER_INTEGER", 2**53 + 1), "KFP cannot keep the number 9007199254740993", "added"),
    "a large integer in a struct": (given("STRUCT", {"a": [2**63]}), "cannot keep the number", "constant.a[0]"),
    "a default of another type": (default("BOOLEAN", 3), "3 is not of type 'boolean'", "added.defaultValue"),
    "a large default": (default("NUMBER_INTEGER", -(2**60)), "KFP cannot keep the number", "added.defaultValue"),
    "items that are no list": (items('{"a": 1}'), "the loop's items are no list", "items.raw"),
    "items of another type": (items('[1, "a"]'), "'a' is not NUMBER_INTEGER", "items.raw[1]"),
    "a large item": (items("[9007199254740993]"), "KFP cannot keep the number", "items.raw[0]"),
    "itself": (in_itself, "a component contains itself: ", " -> "),
    "33 million steps": (chain(25, 2), "the pipeline has 33,554,432 steps; at most 100,000", "root"),
    "1,000 levels": (chain(1000, 1), "the pipeline has 1,002 levels of groups; at most 100", "root"),
    "an empty task": (
        lambda spec, _: spec["root"]["dag"]["tasks"].update({"": next(iter(spec["root"]["dag"]["tasks"].values()))}),
        "an empty name",
        "root.dag.tasks",
    ),
    "a name with a line end": (
        lambda spec, _: spec["root"].update(inputDefinitions={"parameters": {"a\nb": {"parameterType": "STRING"}}}),
        "the name 'a\\nb' has a character in it that nobody can type",
        "root.inputDefinitions.parameters",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_can_never_run_is_told_in_the_files_own_words(name: str, specs: list[Spec]) -> None:
    spec, platform = copy.deepcopy(specs)
    edit, what, where = FAULTS[name]
    edit(spec, platform)
    with pytest.raises(PlanError) as raised:
        link(read(yaml.safe_dump_all([spec, platform])))
    assert what in str(raised.value)
    assert where in str(raised.value)


def test_an_image_and_limits_that_are_parameters_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "sized.py").write_text(SIZED)
    plan = link(load(str(tmp_path / "sized.py")))
    assert [step.path for step in plan.steps()] == ["work"]


SIZED = """
from kfp import dsl

@dsl.component(base_image="python:3.11")
def work() -> int:
    return 1

@dsl.pipeline
def sized(image: str = "python:3.12", cpu: str = "1", memory: str = "1G"):
    work().set_container_image(image).set_cpu_limit(cpu).set_memory_limit(memory)
"""


def test_a_hundred_levels_and_many_steps_are_no_fault(specs: list[Spec]) -> None:
    for levels, calls in ((98, 1), (12, 2)):
        spec, platform = copy.deepcopy(specs)
        chain(levels, calls)(spec, platform)
        assert len(link(read(yaml.safe_dump_all([spec, platform]))).steps()) == calls**levels


def test_more_groups_in_groups_than_python_can_nest_are_refused_by_airflow(specs: list[Spec]) -> None:
    for levels in (19, 20):
        spec, platform = copy.deepcopy(specs)
        chain(levels, 1)(spec, platform)
        document = read(yaml.safe_dump_all([spec, platform]))
        if levels == 19:
            (text,) = (text for path, text in verbs.compile(document).items() if path.suffix == ".py")
            compile(text, "dag.py", "exec")
        else:
            with pytest.raises(TrackError, match="groups nested in 20 levels; a DAG file can have 19"):
                verbs.compile(document)
