"""What is found when a pipeline is linked, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.authoring.source import load
from turnout.errors import PlanError
from turnout.plan.link import link

CHANNELS = """
from kfp import dsl


@dsl.container_component
def c():
    return dsl.ContainerSpec(image="a", command=["true"])


@dsl.component(base_image="python:3.11")
def e(x: str) -> str:
    return x


@dsl.pipeline
def in_a_variable(x: str = "a"):
    c().set_env_variable("A", f"pre-{x}")


@dsl.pipeline
def in_an_item(x: str = "a"):
    made = e(x=x)
    with dsl.ParallelFor([{"a": f"{made.output}"}, {"a": "b"}]) as item:
        e(x=item.a)
"""


@pytest.mark.parametrize(
    ("name", "fault", "place"),
    [
        ("in_a_variable", "the parameter 'x' cannot be a part of this text", "exec-c.container.env[0].value"),
        ("in_an_item", "the output 'Output' of 'e' cannot be a part of this text", "parameterIterator.items.raw"),
    ],
)
def test_a_value_that_kfps_sdk_left_as_text_is_a_fault(name: str, fault: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "channels.py").write_text(CHANNELS)
    with pytest.raises(PlanError) as raised:
        link(load(f"{tmp_path}/channels.py:{name}"))
    assert fault in str(raised.value)
    assert place in str(raised.value)
