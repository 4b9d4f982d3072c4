"""A pipeline of KFP SDK 1.8."""

import kfp
from kfp import dsl
from kfp.components import func_to_container_op


@func_to_container_op
def work() -> str:
    return "done"


@dsl.pipeline(name="earlier")
def earlier():
    first = work()
    dsl.ContainerOp(name="echo", image="debian:12", command=["echo", first.output]).add_toleration({})


if __name__ == "__main__":
    kfp.compiler.Compiler().compile(earlier, "earlier.yaml")
