"""An exit handler: it runs whatever happened, and knows it."""

from kfp import dsl

from turnout import PipelineTaskFinalStatus, component, pipeline


@component
def work(divisor: int) -> float:
    """Divide.

    Args:
        divisor: by which.
    """
    return 10 / divisor


@component
def tell(status: PipelineTaskFinalStatus) -> str:
    """Say how it went.

    Args:
        status: of what was guarded.
    """
    return status.state


@pipeline
def clean_up(divisor: int = 2):
    """Work, and tell how it went.

    Args:
        divisor: 0 fails.
    """
    with dsl.ExitHandler(tell(), name="guarded"):
        work(divisor=divisor)
