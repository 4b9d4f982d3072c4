"""What Python's values can hold and JSON's cannot: NaN, infinities, halves of characters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

HINT = "JSON and KFP have no such number: give a text, or leave the value out"


def beyond_json(value: Any) -> Iterator[tuple[str, str]]:
    """What in a value JSON or Unicode has not, each with its place: `[2].name`, or nothing for the value itself."""
    for place, leaf in leaves(value):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            yield place, _NAMES.get(leaf, "NaN")
        elif isinstance(leaf, str) and not leaf.isascii():
            try:
                leaf.encode()
            except UnicodeEncodeError:
                yield place, "a text that is not Unicode"


EXACT = 2**53
"""The whole numbers that a double holds, which is what KFP keeps all numbers as."""

TOO_LARGE = "it keeps numbers as doubles, which are exact up to 2^53: give it as a text"


def beyond_doubles(value: Any) -> Iterator[tuple[str, int]]:
    """The whole numbers in a value that KFP would change without a word, each with its place."""
    for place, leaf in leaves(value):
        if isinstance(leaf, int) and abs(leaf) > EXACT:
            yield place, leaf


_NAMES = {math.inf: "Infinity", -math.inf: "-Infinity"}


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """The texts and numbers in a value, keys too; without recursion, so that no depth is too much."""
    waiting = [("", value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, dict):
            waiting += [(place, key) for key in item]
            waiting += [(f"{place}.{key}" if place else str(key), inner) for key, inner in item.items()]
        elif isinstance(item, list):
            waiting += [(f"{place}[{index}]", inner) for index, inner in enumerate(item)]
        else:
            yield place, item
