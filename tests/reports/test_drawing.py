"""The drawing of a plan: readable, or not made."""

from __future__ import annotations

import re

from kfp import dsl
from reported import choose, fit, load

from turnout.plan.link import link
from turnout.plan.model import Plan
from turnout.plan.results import StepResult
from turnout.reports.drawing import MOST_BOXES, graph
from turnout.spec.step_contract import State


def plan_of(function: object) -> Plan:
    from turnout.authoring.pipeline import compile_pipeline

    return link(compile_pipeline(function))


def labels(drawn: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)", drawn)


@dsl.pipeline(name="fan")
def fan():
    loaded = load()
    scores = [fit(data=loaded.outputs["data"], depth=depth).outputs["Output"] for depth in range(1, 41)]
    choose(scores=scores)


@dsl.pipeline(name="chain")
def chain():
    after = load()
    for _ in range(MOST_BOXES + 1):
        task = load()
        task.after(after)
        after = task


@dsl.pipeline(name="few")
def few():
    loaded = load()
    fit(data=loaded.outputs["data"], depth=1)
    fit(data=loaded.outputs["data"], depth=2)


def test_steps_that_are_alike_share_a_box_that_says_the_worst_of_them() -> None:
    plan = plan_of(fan)
    states = {"fit-7": State.FAILED}
    results = [StepResult(step.path, state=states.get(step.path, State.SUCCEEDED)) for step in plan.steps()]
    drawn = graph(plan, results)
    assert labels(drawn) == ["load", "fit ×40 FAILED", "choose"]
    assert drawn.count("marker-end") == 2


def test_a_few_steps_have_a_box_each() -> None:
    assert labels(graph(plan_of(few), [])) == ["load", "fit", "fit-2"]


def test_what_would_be_a_poster_is_not_drawn() -> None:
    assert graph(plan_of(chain), []) == ""
