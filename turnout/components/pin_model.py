"""Find out which version of a model a run is about, once and for all its steps."""

from typing import NamedTuple

from turnout import Asset, component


class Pinned(NamedTuple):
    """The version's own URI, `models:/NAME/VERSION`, and the version."""

    model: str
    version: str


@component(cache=False, reads=[Asset("{model}")])
def pin_model(model: str) -> Pinned:
    """Give the version that a model's alias means now: steps that come later, or again, use the same one.

    Args:
        model: `models:/NAME@ALIAS`, or `models:/NAME/VERSION`, which is passed on.
    """
    from turnout.models.registry import look_up

    version = look_up(model)
    print(f"{model} is {version.uri}")
    return Pinned(version.uri, version.version)
