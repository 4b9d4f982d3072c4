"""Loads Feast in a quarter of the time."""

from __future__ import annotations

import sys
from typing import Any


def load_feast() -> None:
    """Load Feast without the checks that typeguard would write into the code of its classes: six of eight seconds.

    They hold the arguments of definitions against their types. `feast apply` and `feast plan` make them still.
    """
    if "feast" in sys.modules:
        return
    try:
        import typeguard
    except ImportError:  # with no Feast either, which is told where it is imported
        return
    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked
    try:
        import feast  # noqa: F401
    finally:
        typeguard.typechecked = checked


def _unchecked(target: Any = None, **_: Any) -> Any:
    return target if target is not None else _unchecked
