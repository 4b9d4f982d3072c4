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
_LETTER, _WIDEST = 7.2, 900.0

MOST_BOXES = 80
"""A drawing with more cannot be read."""

_ALIKE = 4
"""Steps of one component, between the same others, that share a box."""


@dataclass
class _Box:
    """A node's place; `alike` are the steps that share it."""

    node: Step | Region
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    inside: Sequence[_Box] = ()
    alike: Sequence[Step] = ()

    @property
    def paths(self) -> list[str]:
        return [step.path for step in self.alike] or [self.node.path]

    @property
    def boxes(self) -> int:
        return 1 + sum(box.boxes for box in self.inside)


def graph(plan: Plan, results: Sequence[StepResult]) -> str:
    """The plan as nested boxes, each step coloured by its worst state; an arrow is an order.

    Steps of one component that stand between the same others share a box. Nothing is drawn of a plan that has too many
    boxes even so.
    """
    found: dict[str, list[StepResult]] = {}
    for result in results:
        found.setdefault(result.name, []).append(result)
    root = _measured(_Box(plan.root), found)
    if root.boxes > MOST_BOXES:
        return ""
    _place(root, 0, 0)
    parts = [part for box in root.inside for part in _drawn(box, found)]
    arrows = _arrows(root)
    return _svg(root.width, root.height, [*arrows, *parts], "The pipeline's graph")


def _measured(box: _Box, found: Mapping[str, Sequence[StepResult]]) -> _Box:
    """The box with the size that its content needs, and where in it the content goes."""
    node = box.node
    if isinstance(node, Step):
        box.width, box.height = max(90.0, 34 + _LETTER * len(_label(box, found))), _STEP_HEIGHT
        return box
    box.inside = [_measured(child, found) for child in _children(node)]
    ranks: dict[str, int] = {}
    by_rank: dict[int, list[_Box]] = {}
    for child in box.inside:  # in the plan's order: what a node is after has its rank already
        rank = 1 + max((ranks[path] for path in child.node.after if path in ranks), default=-1)
        ranks |= dict.fromkeys(child.paths, rank)
        by_rank.setdefault(rank, []).append(child)
    rows = [row for _, boxes in sorted(by_rank.items()) for row in _rows(boxes)]
    widths = [sum(child.width for child in row) + _GAP_X * (len(row) - 1) for row in rows]
    heading = _HEADING if node.path else 0
    box.width = max([*widths, _LETTER * len(_label(box, found)) if node.path else 0, 60.0]) + 2 * _PADDING
    y = float(_PADDING + heading)
    for row, width in zip(rows, widths, strict=True):
        x = (box.width - width) / 2
        for child in row:
            child.x, child.y = x, y
            x += child.width + _GAP_X
        y += max(child.height for child in row) + _GAP_Y
    box.height = y - (_GAP_Y if rows else 0) + _PADDING
    return box


def _children(region: Region) -> list[_Box]:
    """What is in a region: steps of one component with the same others before and after them in one box."""
    followers: dict[str, list[str]] = {}
    for node in region.nodes:
        for path in node.after:
            followers.setdefault(path, []).append(node.path)
    groups: dict[object, list[Step]] = {}
    keys: list[object] = []
    for node in region.nodes:
        key: object = node.path
        if isinstance(node, Step):
            key = (repr(node.executor), frozenset(node.after), frozenset(followers.get(node.path, ())))
            groups.setdefault(key, []).append(node)
        keys.append(key)
    boxes: list[_Box] = []
    for node, key in zip(region.nodes, keys, strict=True):
        alike = groups.get(key, [])
        if len(alike) < _ALIKE:
            boxes.append(_Box(node))
        elif node is alike[0]:
            boxes.append(_Box(node, alike=alike))
    return boxes


def _rows(boxes: Sequence[_Box]) -> list[list[_Box]]:
    """Boxes side by side, in as many rows as it takes to leave the drawing narrow enough."""
    rows: list[list[_Box]] = [[]]
    width = 0.0
    for box in boxes:
        if rows[-1] and width + box.width > _WIDEST:
            rows.append([])
            width = 0.0
        rows[-1].append(box)
        width += box.width + _GAP_X
    return rows


def _place(box: _Box, x: float, y: float) -> None:
    """From positions in the box around to positions in the drawing."""
    for child in box.inside:
        child.x, child.y = child.x + x, child.y + y
        _place(child, child.x, child.y)


def _drawn(box: _Box, found: Mapping[str, Sequence[StepResult]]) -> list[str]:
    label = escape(_label(box, found))
    if isinstance(box.node, Step):
        state = _state(_results(box, found))
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
    by_path = {path: child for child in box.inside for path in child.paths}
    lines = []
    for child in box.inside:
        for before in {id(by_path[path]): by_path[path] for path in child.node.after if path in by_path}.values():
            if before is not child:
                x1, y1 = before.x + before.width / 2, before.y + before.height
                x2, y2 = child.x + child.width / 2, child.y
                bend = max(14.0, (y2 - y1) / 2)
                curve = f"{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2 - 3:.0f}"
                lines.append(
                    f'<path d="M{x1:.0f},{y1:.0f} C{curve}" fill="none" stroke="#888" marker-end="url(#arrow)"/>'
                )
    return lines


def _label(box: _Box, found: Mapping[str, Sequence[StepResult]]) -> str:
    node = box.node
    if isinstance(node, Region):
        if node.loop:
            return f"{node.label}: for each"
        return f"{node.label}: if {node.condition.expression}" if node.condition else node.label
    results = _results(box, found)
    many = any(result.iteration for result in results) or len(box.alike) > 1
    count = f" ×{max(len(results), len(box.alike))}" if many else ""
    state = _state(results)
    told = f" {state.label}" if state in (State.FAILED, State.CANCELLED, State.RUNNING) else ""  # not by colour alone
    cached = " (cached)" if results and all(result.cached for result in results) else ""
    return f"{_cut(node.label)}{count}{told}{cached}"


def _results(box: _Box, found: Mapping[str, Sequence[StepResult]]) -> list[StepResult]:
    return [result for path in box.paths for result in found.get(path, ())]


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
