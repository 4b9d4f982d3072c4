"""Branches, of which one gives the result."""

from kfp import dsl

from turnout import component, pipeline


@component
def flip(seed: int) -> str:
    """Give a side of a coin.

    Args:
        seed: even for heads.
    """
    return "tails" if seed % 2 else "heads"


@component
def say(text: str) -> str:
    """Give a text back.

    Args:
        text: any.
    """
    return text


@pipeline
def one_of(seed: int = 7) -> str:
    """Say who wins.

    Args:
        seed: of the coin.
    """
    side = flip(seed=seed)
    with dsl.If(side.output == "heads", name="heads"):
        first = say(text="the first player wins")
    with dsl.Else(name="tails"):
        second = say(text="the second player wins")
    return say(text=dsl.OneOf(first.output, second.output)).output
