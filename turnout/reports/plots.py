"""Plots of matplotlib for pages: inline SVG in the page's colours, by day and by night."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

BLUE, ORANGE, PALE, GREY = "#1f6fb2", "#d9822b", "#9db8d2", "#8a919a"
"""Blue is what is judged, orange what it is held against; grey is seen by day and by night."""

SEVERAL = ("#1f6fb2", "#d9822b", "#2f9e5b", "#b65fc4", "#c2484f", "#1fa3a8", "#97803a", "#7a7fe0", "#d1679c", "#8a919a")
"""Colours of lines side by side; all can be told from a white and from a dark page."""

_VARIABLES = {
    "#ffffff": "var(--page, #ffffff)",
    BLUE: f"var(--blue, {BLUE})",
    ORANGE: f"var(--orange, {ORANGE})",
    PALE: f"var(--pale, {PALE})",
}
_PLACES = re.compile(r' (?:d|x|y|points)="[^"]*"')
"""Where marks are: a hundredth of a point is more than is seen, and matplotlib writes millionths."""

_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "turnout", "font.size": 10.5}


def plot(x: str, y: str, *, diagonal: tuple[float, float] | None = None, height: float = 3.6) -> tuple[Figure, Any]:
    """An empty plot with names of its axes; a figure and its axes.

    Args:
        diagonal: ends of a dashed line where both axes are the same.
        height: in inches; it is 5.2 wide.
    """
    figure = Figure(figsize=(5.2, height))
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    if diagonal:
        axes.plot(diagonal, diagonal, color=GREY, linewidth=1, linestyle="--")
    return figure, axes


def svg(figure: Figure) -> str:
    """A figure as inline SVG: no background, and black is the colour of the page's text."""
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, dpi=144, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r'<g id="[^"]*"', "<g", text[text.index("<svg") :])
    text = _PLACES.sub(lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), text)
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub("#[0-9a-f]{6}\\b", _coloured, text)


def _coloured(found: re.Match[str]) -> str:
    """A colour as the page's: what is nearly black is text, and white is the page."""
    red, green, blue = bytes.fromhex(found[0][1:])
    if red == green == blue and red < 0x50:
        return "currentColor"
    return _VARIABLES.get(found[0], found[0])
