"""A pipeline as a step of another."""

from turnout import component, pipeline


@component
def double(number: int) -> int:
    """Double a number.

    Args:
        number: any.
    """
    return 2 * number


@pipeline
def four_times(number: int = 1) -> int:
    """Double twice.

    Args:
        number: any.
    """
    return double(number=double(number=number).output).output


@pipeline
def nested_pipeline(number: int = 3) -> int:
    """Make sixteen times a number.

    Args:
        number: any.
    """
    return four_times(number=four_times(number=number).output).output
