"""A pipeline to interrupt: steps of a tenth of a second, a loop, artifacts, a retry."""

from kfp import dsl

from turnout import Dataset, Input, Output, component


@component
def start(n: int) -> list:
    """Emit numbers.

    Args:
        n: how many.
    """
    import time

    time.sleep(0.1)
    return list(range(n))


@component
def square(number: int, data: Output[Dataset]) -> int:
    """Square a number, and write it down in two goes.

    Args:
        number: any.
        data: the square, as text.
    """
    import time

    with open(data.path, "w") as file:  # noqa: PTH123
        file.write(f"{number}")
        file.flush()
        time.sleep(0.1)
        file.write(f" squared is {number**2}")
    return number**2


@component
def gather(data: Input[Dataset], numbers: list, extra: str) -> str:
    """Put together.

    Args:
        data: one of the texts.
        numbers: all squares.
        extra: a text.
    """
    import time
    from pathlib import Path

    time.sleep(0.1)
    return f"{Path(data.path).read_text()}; {sorted(numbers)}; {extra}"


@component
def moody(path: str) -> str:
    """Fail unless a file is there, which it makes.

    Args:
        path: the file.
    """
    import time
    from pathlib import Path

    time.sleep(0.1)
    if not Path(path).exists():
        Path(path).touch()
        raise ValueError("not in the mood")
    return "in the mood"


@dsl.pipeline
def resumable(marker: str) -> str:
    extra = moody(path=marker).set_retry(3, backoff_duration="0s")
    with dsl.ParallelFor(start(n=4).output) as item:
        squared = square(number=item)
    one = square(number=12)
    return gather(data=one.outputs["data"], numbers=dsl.Collected(squared.outputs["Output"]), extra=extra.output).output
