from typing import Annotated

from annotated_types import Ge
from kfp import dsl

from turnout import Dataset, Input, Output, component, pipeline


@component
def make(data: Output[Dataset], rows: Annotated[int, Ge(1)] = 3) -> bool:
    """Write some lines.

    Args:
        data: the lines.
        rows: how many.
    """
    with open(data.path, "w") as file:
        file.write("line\n" * rows)
    return rows > 2


@component
def count(data: Input[Dataset]) -> int:
    """Count the lines.

    Args:
        data: the lines.
    """
    with open(data.path) as file:
        return len(file.readlines())


@pipeline(schedule="@daily")
def lines(rows: Annotated[int, Ge(1)] = 3):
    """Write lines, and count them if there are many.

    Args:
        rows: how many.
    """
    made = make(rows=rows)
    with dsl.If(made.outputs["Output"] == True):
        count(data=made.outputs["data"])
