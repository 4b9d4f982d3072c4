"""What pipelines of this directory are made of."""

from kfp import dsl


@dsl.component(base_image="python:3.11")
def square(number: int) -> int:
    return number * number
