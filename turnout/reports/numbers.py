"""Numbers with as many digits as they deserve: as many as their interval lets one believe."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def duration(seconds: float) -> str:
    """How long something took, in two units at most: `0.35 s`, `12.7 s`, `2 min 26 s`, `3 h 5 min`."""
    if not math.isfinite(seconds) or seconds < 0:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def short(value: float | None) -> str:
    """A number for a narrow column: four digits after the point of what is about one, else four significant ones."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 0.001 <= abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:,.4g}" if abs(value) < 10000 else f"{value:,.0f}"


def alike(values: Sequence[float]) -> list[str]:
    """Numbers of one column, with as many digits after the point: four significant ones of the largest.

    A number that would show less than two digits so is written by itself; whole numbers have no point.
    """
    if all(value.is_integer() and abs(value) < 1e15 for value in values):
        return [f"{value:,.0f}" for value in values]
    largest = max(abs(value) for value in values)
    places = min(6, max(0, 3 - math.floor(math.log10(largest)))) if largest else 0
    if largest >= 1e15:
        return [f"{value:.4g}" for value in values]
    return [
        f"{value:,.{places}f}" if not value or abs(value) >= 10.0 ** (1 - places) else f"{value:.2g}"
        for value in values
    ]
