"""What a reviewer is told when a pipeline has changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kfp import dsl

from turnout import Dataset, Input, Output, component, on_airflow, pipeline
from turnout.authoring.pipeline import compile_pipeline
from turnout.plan.changes import changes
from turnout.plan.link import link
from turnout.plan.model import Plan
from turnout.spec.document import read, write


@component
def make(data: Output[Dataset], rows: int = 3) -> bool:
    """Make.

    Args:
        data: rows.
        rows: how many.
    """
    return True


@component
def use(data: Input[Dataset], least: float = 0.5) -> float:
    """Use.

    Args:
        data: rows.
        least: that counts.
    """
    return 1.0


def plan(body: Callable[..., Any], **facts: Any) -> Plan:
    return link(compile_pipeline(pipeline(name="flow", **facts)(body)))


def first(rows: int = 3, more: str = ""):
    """A flow.

    Args:
        rows: how many.
        more: another.
    """
    made = make(rows=rows)
    with dsl.If(made.outputs["Output"] == True, name="enough"):  # noqa: E712
        use(data=made.outputs["data"])


def second(rows: int = 5, other: str = ""):
    """A flow.

    Args:
        rows: how many.
        other: another.
    """
    made = make(rows=7)
    with dsl.If(made.outputs["Output"] == False, name="enough"):  # noqa: E712
        on_airflow(use(data=made.outputs["data"], least=0.7).set_retry(2), pool="large")
    with dsl.ParallelFor([1, 2], name="each"):
        use(data=made.outputs["data"])


def test_nothing_has_changed() -> None:
    assert changes(plan(first, schedule="@daily"), plan(first, schedule="@daily")) == []


def test_each_thing_that_changed_has_a_line() -> None:
    told = changes(plan(first, schedule="@daily"), plan(second, schedule="0 3 * * *", catchup=False))
    assert told == [
        "schedule: @daily -> 0 3 * * *",
        "parameter rows: default: 3 -> 5",
        "parameter other: new",
        "parameter more: gone",
        "group enough: condition: make == true -> make == false",
        "group each: new",
        "step make: input rows: parameter rows -> 7",
        "step enough.use: input least: 0.5 -> 0.7",
        "step enough.use: max retry count: 2 (new)",
        "step enough.use: backoff duration: 0s (new)",
        "step enough.use: backoff factor: 2.0 (new)",
        "step enough.use: backoff max duration: 3600s (new)",
        'step enough.use: settings of Airflow: {"doc": "Use."} -> {"doc": "Use.", "pool": "large"}',
        "step each.use-2: new",
    ]


def test_code_is_told_apart_from_the_rest_of_a_command() -> None:
    text = write(plan(first).document)
    digest = re.search("--code-digest\n *- (sha256:[0-9a-f]*)", text)
    assert digest
    before = link(read(text))
    assert changes(before, link(read(text.replace(digest[1], "sha256:" + "0" * 64)))) == ["step make: other code"]
    assert changes(before, link(read(text.replace("- exec\n", "- other\n", 1)))) == ["step make: other command"]
