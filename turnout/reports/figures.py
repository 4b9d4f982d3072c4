"""Drawings that stand alone: as an image they have their own colours by day and by night."""

from __future__ import annotations

import base64

from turnout.reports.style import DARK, LIGHT

_STYLE = (
    f"<style>svg{{{LIGHT} color: var(--text); color-scheme: light dark}}"
    f"@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}"
    "text{font-family:system-ui,sans-serif!important;fill:currentColor}</style>"
)


class Image(str):
    """An SVG drawing that others have made: shown as an image only, in which no script runs and nothing is fetched."""


def image(svg: str) -> Image:
    """An inline drawing as an image: with the namespace, and the colours that a page would give it."""
    if isinstance(svg, Image):
        return svg
    opened, end, rest = svg.partition(">")
    if "xmlns=" not in opened:
        opened = opened.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return Image(f"{opened}{end}{_STYLE}{rest}")


def data_uri(svg: str) -> str:
    """The address of a drawing for `<img src>`."""
    return "data:image/svg+xml;base64," + base64.b64encode(image(svg).encode()).decode()
