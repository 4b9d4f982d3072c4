"""A loop whose results are collected, in the way of KFP's samples with ParallelFor."""

from typing import List  # noqa: UP035 - as such samples write it

from kfp import dsl
from parts import square


@dsl.component(base_image="python:3.11")
def total(numbers: List[int]) -> int:  # noqa: UP006
    return sum(numbers)


@dsl.pipeline(name="sum-of-squares")
def squares(numbers: List[int] = [1, 2, 3]) -> int:  # noqa: UP006
    with dsl.ParallelFor(numbers) as number:
        squared = square(number=number)
    return total(numbers=dsl.Collected(squared.output)).output
