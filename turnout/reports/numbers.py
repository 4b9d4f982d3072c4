"""Numbers with as many digits as they deserve: as many as their interval lets one believe."""

from __future__ import annotations

import math

NOTHING = "–"
"""What stands where a number is not defined."""


def decimals(low: float, high: float) -> int:
    """Digits after the point that leave two significant ones of half the interval; 4 where it has no width."""
    half = (high - low) / 2
    if not math.isfinite(half) or half <= 0:
        return 4
    return min(8, max(0, 1 - math.floor(math.log10(half))))


def with_interval(value: float, low: float, high: float, *, sign: bool = False) -> str:
    """A number and its interval, such as `0.842 (0.831 to 0.853)`.

    Args:
        sign: whether to write the plus, as of a difference.
    """
    if not math.isfinite(value):
        return NOTHING
    form = f"{'+' if sign else ''},.{decimals(low, high)}f"
    if not (math.isfinite(low) and math.isfinite(high)):
        return format(value, form)
    return f"{value:{form}} ({low:{form}} to {high:{form}})"
