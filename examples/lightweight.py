"""KFP's own components, whose code is in the YAML: they run as they are."""

from kfp import dsl


@dsl.component(base_image="python:3.11")
def add(a: float, b: float) -> float:
    return a + b


@dsl.pipeline(name="lightweight")
def lightweight(a: float = 1.0, b: float = 2.0) -> float:
    return add(a=add(a=a, b=b).output, b=b).output
