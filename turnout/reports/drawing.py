"""Drawings of a run as SVG: the plan's graph with its states, and the steps over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from turnout.plan.model import Plan, Region, Step
from turnout.plan.results import StepResult
from turnout.spec.step_contract import State

COLOURS = {
    State.SUCCEEDED: "#2a9d4a",
    State.FAILED: "#d33a3a",
    State.CANCELLED: "#d33a3a",
    State.NOT_TRIGGERED: "#c98a2b",
    State.SKIPPED: "#9aa0a6",
    State.RUNNING: "#1f6fb2",
    State.PENDING: "#c7cbd1",
}
"""The colour of each state, the same in every drawing."""

_WORST = (State.FAILED, State.CANCELLED, State.NOT_TRIGGERED, State.RUNNING, State.SUCCEEDED, State.SKIPPED)
_STEP_HEIGHT, _GAP_X, _GAP_Y, _PADDING, _HEADING = 40, 18, 34, 14, 22
_LETTER = 7.2


@dataclass
class _Box:
    node: Step | Region
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    inside: Sequence[_Box] = ()


def graph(plan: Plan, results: Sequence[StepResult]) -> str:
    """The plan as nested boxes, each step coloured by its worst state; an arrow is an order."""
    found: dict[str, list[StepResult]] = {}
    for result in results:
        found.setdefault(result.name, []).append(result)
    root = _measured(plan.root, found)
    _place(root, 0, 0)
    parts = [part for box in root.inside for part in _drawn(box, found)]
    arrows = _arrows(root)
    return _svg(root.width, root.height, [*arrows, *parts], "The pipeline's graph")


def timeline(results: Sequence[StepResult]) -> str:
    """A Gantt chart: a bar for each step that ran, by its time from the start of the run in seconds."""
    ran = [result for result in results if result.attempts and not result.cached and result.duration_s]
    if not ran:
        return ""
    end = max(result.start_s + result.duration_s for result in ran) or 1.0
    left, wide, row = min(260.0, 20 + _LETTER * max(len(_cut(result.label)) for result in ran)), 560.0, 22
    parts = []
    for tick in range(5):
        x = left + wide * tick / 4
        parts.append(f'<line x1="{x:.0f}" y1="0" x2="{x:.0f}" y2="{row * len(ran)}" stroke="#8884"/>')
        parts.append(f'<text x="{x:.0f}" y="{row * len(ran) + 16}" text-anchor="middle">{end * tick / 4:.3g} s</text>')
    for index, result in enumerate(ran):
        x, width = left + wide * result.start_s / end, max(2.0, wide * result.duration_s / end)
        y = index * row
        parts.append(f'<text x="{left - 8:.0f}" y="{y + 15}" text-anchor="end">{escape(_cut(result.label))}</text>')
        parts.append(
            f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{row - 6}" rx="3" '
            f'fill="{COLOURS[result.state]}"><title>{escape(result.label)}: {result.duration_s:.2f} s</title></rect>'
        )
    return _svg(left + wide + 30, row * len(ran) + 24, parts, "Steps over time")


def _measured(node: Step | Region, found: Mapping[str, Sequence[StepResult]]) -> _Box:
    """A box of the size that its content needs, and where in it the content goes."""
    if isinstance(node, Step):
        return _Box(node, max(90.0, 34 + _LETTER * len(_label(node, found))), _STEP_HEIGHT)
    box = _Box(node, inside=[_measured(child, found) for child in node.nodes])
    by_path = {child.node.path: child for child in box.inside}
    ranks: dict[str, int] = {}
    for child in box.inside:  # in the plan's order: what a node is after has its rank already
        ranks[child.node.path] = 1 + max((ranks[path] for path in child.node.after if path in ranks), default=-1)
    last = max(ranks.values(), default=-1)
    rows = [[by_path[path] for path, rank in ranks.items() if rank == row] for row in range(last + 1)]
    widths = [sum(child.width for child in row) + _GAP_X * (len(row) - 1) for row in rows]
    heading = _HEADING if node.path else 0
    box.width = max([*widths, _LETTER * len(_label(node, found)) if node.path else 0, 60.0]) + 2 * _PADDING
    y = float(_PADDING + heading)
    for row, width in zip(rows, widths, strict=True):
        x = (box.width - width) / 2
        for child in row:
            child.x, child.y = x, y
            x += child.width + _GAP_X
        y += max(child.height for child in row) + _GAP_Y
    box.height = y - (_GAP_Y if rows else 0) + _PADDING
    return box


def _place(box: _Box, x: float, y: float) -> None:
    """From positions in the box around to positions in the drawing."""
    for child in box.inside:
        child.x, child.y = child.x + x, child.y + y
        _place(child, child.x, child.y)


def _drawn(box: _Box, found: Mapping[str, Sequence[StepResult]]) -> list[str]:
    label = escape(_label(box.node, found))
    if isinstance(box.node, Step):
        state = _state(found.get(box.node.path, ()))
        colour, tooltip = COLOURS[state], f"{escape(box.node.path)}: {state.label}"
        return [
            f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="6" '
            f'style="fill: var(--page, #fff)" stroke="{colour}" stroke-width="1.5"><title>{tooltip}</title></rect>',
            f'<circle cx="{box.x + 14:.0f}" cy="{box.y + box.height / 2:.0f}" r="5" fill="{colour}"/>',
            f'<text x="{box.x + 26:.0f}" y="{box.y + box.height / 2 + 4:.0f}">{label}</text>',
        ]
    frame = (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="8" '
        f'fill="#88888814" stroke="#8888" stroke-dasharray="4 3"/>'
    )
    heading = f'<text x="{box.x + _PADDING:.0f}" y="{box.y + 19:.0f}" fill-opacity=".75">{label}</text>'
    return [frame, heading, *_arrows(box), *(part for child in box.inside for part in _drawn(child, found))]


def _arrows(box: _Box) -> list[str]:
    by_path = {child.node.path: child for child in box.inside}
    lines = []
    for child in box.inside:
        for path in child.node.after:
            if before := by_path.get(path):
                x1, y1 = before.x + before.width / 2, before.y + before.height
                x2, y2 = child.x + child.width / 2, child.y
                bend = max(14.0, (y2 - y1) / 2)
                curve = f"{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2 - 3:.0f}"
                lines.append(
                    f'<path d="M{x1:.0f},{y1:.0f} C{curve}" fill="none" stroke="#888" marker-end="url(#arrow)"/>'
                )
    return lines


def _label(node: Step | Region, found: Mapping[str, Sequence[StepResult]]) -> str:
    if isinstance(node, Region):
        if node.loop:
            return f"{node.label}: for each"
        return f"{node.label}: if {node.condition.label}" if node.condition else node.label
    results = found.get(node.path, ())
    count = f" ×{len(results)}" if any(result.iteration for result in results) else ""
    cached = " (cached)" if results and all(result.cached for result in results) else ""
    return f"{_cut(node.label)}{count}{cached}"


def _state(results: Sequence[StepResult]) -> State:
    states = {result.state for result in results}
    return next((state for state in _WORST if state in states), State.PENDING)


def _cut(text: str, limit: int = 36) -> str:
    return text if len(text) <= limit else f"…{text[1 - limit :]}"


def _svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    marker = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#888"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'style="max-width: none" role="img" aria-label="{title}" '
        f'font-family="system-ui, sans-serif" font-size="12.5" fill="currentColor">'
        f"{marker}{''.join(parts)}</svg>"
    )
