"""More shapes: what KFP's files say at their edges. `contract.shapes` has them all by name."""

from typing import List, Optional  # noqa: UP035

from kfp import dsl

from contract.steps import join, optional, read, read_all

# --- artifacts that a run is given ------------------------------------------------------------------------


@dsl.pipeline
def artifact_input(data: dsl.Input[dsl.Dataset]) -> str:
    return read(data=data).output


@dsl.pipeline
def optional_artifact_input(data: Optional[dsl.Input[dsl.Dataset]] = None, text: str = "t") -> str:  # noqa: UP045
    return optional(text=text, data=data).output


@dsl.pipeline
def artifact_inputs(data: dsl.Input[List[dsl.Dataset]]) -> str:  # noqa: UP006
    with dsl.ParallelFor(data) as item:
        each = read(data=item)
    read_all(data=data)
    return join(values=dsl.Collected(each.output)).output
