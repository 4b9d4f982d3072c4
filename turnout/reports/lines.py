"""Line plots as SVG, drawn without a plotting library: pages are drawn in Airflow's environment too, which has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = (
    "var(--blue, #1f6fb2)",
    "#d9822b",
    "#2f9e5b",
    "#b65fc4",
    "#c2484f",
    "#1fa3a8",
    "#97803a",
    "#7a7fe0",
    "#d1679c",
    "#8a919a",
)
"""Colours of lines side by side; all can be told from a white and from a dark page."""

_WIDTH, _HEIGHT, _RIGHT, _TOP, _BOTTOM = 440, 290, 12, 28, 44
_LETTER = 6.6


@dataclass(frozen=True)
class Line:
    """Points that belong together, from left to right.

    Attributes:
        titles: what is told of each point when it is pointed at.
        bad: indices of the points to point at.
        joined: whether a line goes through the points.
        colour: its place among the colours; that among the lines when None.
    """

    name: str
    points: Sequence[tuple[float, float]]
    titles: Sequence[str] = ()
    bad: frozenset[int] = frozenset()
    marked: bool = True
    joined: bool = True
    colour: int | None = None


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        ends: of what it shows; those of the points when None.
        ticks: places with their labels; round numbers when None.
    """

    label: str
    ends: tuple[float, float] | None = None
    ticks: Sequence[tuple[float, str]] | None = None


def plot_lines(
    lines: Sequence[Line], x: Axis, y: Axis, *, diagonal: bool = False, threshold: float | None = None, label: str = ""
) -> str:
    """A plot of lines, with a legend where there are several.

    Args:
        diagonal: a dashed line from corner to corner, of what guessing or perfection would be.
        threshold: a dashed line across.
        label: what the plot shows, for those who do not see it.
    """
    points = [point for line in lines for point in line.points if all(map(math.isfinite, point))]
    limit = [threshold] if threshold is not None else []
    x_ends = x.ends or _ends([point[0] for point in points], 0.02)
    y_ends = y.ends or _ends([*(point[1] for point in points), *limit], 0.08)
    rows = _legend([(line.name, _colour(line, index)) for index, line in enumerate(lines) if line.name])
    height = _HEIGHT + (4 if rows else 0) + 18 * len(rows)
    bottom = _HEIGHT - _BOTTOM
    marks = y.ticks or _round_ticks(*y_ends)
    left = 12 + _LETTER * max(len(text) for _, text in marks)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - x_ends[0]) / (x_ends[1] - x_ends[0])
        up = (point[1] - y_ends[0]) / (y_ends[1] - y_ends[0])
        return left + across * (_WIDTH - left - _RIGHT), bottom - up * (bottom - _TOP)

    parts = []
    for value, text in marks:
        _, at = place((x_ends[0], value))
        parts.append(f'<line x1="{left:.0f}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#8883"/>')
        parts.append(f'<text x="{left - 6:.0f}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x.ticks or _round_ticks(*x_ends):
        at, _ = place((value, y_ends[0]))
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>')
    middle = (left + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{bottom + 35}" text-anchor="middle">{escape(x.label)}</text>')
    parts.append(f'<text x="4" y="14" font-weight="600">{escape(y.label)}</text>')
    if diagonal:
        parts.append(_dashed(place((x_ends[0], y_ends[0])), place((x_ends[1], y_ends[1]))))
    if threshold is not None:
        parts.append(_dashed(place((x_ends[0], threshold)), place((x_ends[1], threshold))))
    for index, line in enumerate(lines):
        parts += _drawn(line, _colour(line, index), [place(point) for point in line.points])
    parts += [part for row, at in zip(rows, range(_HEIGHT + 6, height + 18, 18), strict=False) for part in row(at)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(label or y.label)}" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="currentColor">{"".join(parts)}</svg>'
    )


def _colour(line: Line, place: int) -> str:
    return COLOURS[(place if line.colour is None else line.colour) % len(COLOURS)]


def _drawn(line: Line, colour: str, places: Sequence[tuple[float, float]]) -> list[str]:
    known = [(index, at) for index, at in enumerate(places) if all(map(math.isfinite, at))]
    parts = []
    if line.joined and len(known) > 1:
        path = " ".join(f"{across:.1f},{up:.1f}" for _, (across, up) in known)
        parts.append(f'<polyline points="{path}" fill="none" style="stroke: {colour}" stroke-width="2"/>')
    for index, (across, up) in known if line.marked else ():
        title = f"<title>{escape(line.titles[index])}</title>" if index < len(line.titles) else ""
        bad = index in line.bad
        fill = f' style="fill: {"var(--bad, #c22f2f)" if bad else colour}"'
        parts.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="{4.5 if bad else 3.2}"{fill}>{title}</circle>')
    return parts


def _dashed(start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="#8a919a" '
        f'stroke-dasharray="5 4"/>'
    )


def _legend(entries: Sequence[tuple[str, str]]) -> list[_Row]:
    """The names of lines beside their colours, in as many rows as they need; none where there is one line."""
    if len(entries) < 2:
        return []
    rows: list[_Row] = [_Row([])]
    at = 8.0
    for name, colour in entries:
        shown = name if len(name) <= 44 else f"{name[:43]}…"
        width = 26 + _LETTER * len(shown)
        if rows[-1].entries and at + width > _WIDTH:
            rows.append(_Row([]))
            at = 8.0
        rows[-1].entries.append((at, shown, colour))
        at += width
    return rows


@dataclass(frozen=True)
class _Row:
    """A row of a legend: places from the left, names, colours."""

    entries: list[tuple[float, str, str]]

    def __call__(self, y: int) -> list[str]:
        return [
            part
            for x, name, colour in self.entries
            for part in (
                f'<rect x="{x:.0f}" y="{y - 2}" width="12" height="4" style="fill: {colour}"/>',
                f'<text x="{x + 17:.0f}" y="{y + 4}">{escape(name)}</text>',
            )
        ]


def _ends(values: Sequence[float], margin: float) -> tuple[float, float]:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(low) * 0.1 or 1.0
    return low - room, high + room


def _round_ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """Round numbers between two others."""
    step = 10 ** math.floor(math.log10((high - low) / about))
    step = next(step * times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= about)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    count = int((high - first * step) / step + 1e-9) + 1
    return [((first + index) * step, f"{(first + index) * step:,.{digits}f}") for index in range(count)]
