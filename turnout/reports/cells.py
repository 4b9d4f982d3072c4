"""What stands in a cell of a table, besides texts and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

_SCHEME = re.compile(r"\s*([^:/?#]*):")


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere; what is no address of a page or file, such as a script, is shown as text."""

    text: str
    href: str

    @property
    def is_address(self) -> bool:
        scheme = _SCHEME.match(self.href)
        return self.href.isprintable() and (scheme is None or scheme[1].lower() in ("http", "https", "file"))


@dataclass(frozen=True)
class Choice:
    """A cell with a check box, in a section with a form.

    Attributes:
        label: what is chosen, for those who do not see the row.
    """

    name: str
    value: str
    label: str
    chosen: bool = False


class Number(str):
    """A cell with a number as it is to be shown: with its unit or interval, or with digits of its own."""


@dataclass(frozen=True)
class Bar:
    """A cell with a bar behind its text; `share` is the bar's length, between 0 and 1."""

    share: float
    text: str


@dataclass(frozen=True)
class Span:
    """A cell with a text, and below it when something began and how long it took, as shares of all the time."""

    start: float
    share: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A cell that is to be noticed, or not, by a dot before its text.

    Attributes:
        tone: `good`, `bad`, `busy` for what is under way, `open` for what is yet to come, or `quiet`.
    """

    text: str
    tone: str = "quiet"


@dataclass(frozen=True)
class Histogram:
    """A cell with a small histogram, and behind it one that it is held against.

    Attributes:
        now: the share of rows in each part of the range, from its low end to its high one.
        reference: the shares that they are held against, in the same parts; none is drawn when it is empty.
        label: what it shows, for those who do not see it.
    """

    now: Sequence[float]
    reference: Sequence[float] = ()
    label: str = ""


def shown(cell: Any) -> str:
    """A cell as HTML; what is no `Markup` is yet to be escaped."""
    if isinstance(cell, Link):
        if not cell.is_address:
            return f"{cell.text}: {cell.href}"
        return Markup('<a href="{}">{}</a>').format(cell.href, cell.text)
    if isinstance(cell, Choice):
        box = Markup('<input type="checkbox" name="{}" value="{}" aria-label="{}"{}>')
        return box.format(cell.name, cell.value, cell.label, Markup(" checked" if cell.chosen else ""))
    if isinstance(cell, Bar):
        share = f"{min(1.0, max(0.0, cell.share)):.1%}"
        return Markup('<span class="bar" style="--share: {}">{}</span>').format(share, cell.text)
    if isinstance(cell, Span):
        start, share = (f"{min(1.0, max(0.0, value)):.1%}" for value in (cell.start, cell.share))
        drawn = Markup('<i style="--from: {}; --share: {}"></i>').format(start, share)
        return Markup('<span class="span">{}{}</span>').format(cell.text, drawn)
    if isinstance(cell, Mark):
        return Markup('<span class="mark {}">{}</span>').format(cell.tone, cell.text)
    if isinstance(cell, tuple | list):
        return Markup(", ").join(map(shown, cell))
    if isinstance(cell, Histogram):
        return Markup(_drawn(cell))
    return plain(cell)


def plain(cell: Any) -> str:
    """A cell as text. Addresses are left out: they lead from the page on which they stand."""
    if isinstance(cell, Histogram | Choice):
        return cell.label
    if isinstance(cell, Link | Bar | Span | Mark):
        return cell.text
    if isinstance(cell, tuple | list):
        return ", ".join(map(plain, cell))
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return "–" if math.isnan(cell) else f"{cell:g}"
        return f"{cell:.4g}" if abs(cell) < 10000 else f"{cell:,.0f}"
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _drawn(cell: Histogram) -> str:
    """The reference filled, now as a line over it: told apart without colours too."""
    highest = max([*cell.now, *cell.reference, 1e-12])
    width, height = 10 * max(1, len(cell.now), len(cell.reference)), 40.0
    label = f' role="img" aria-label="{escape(cell.label)}"' if cell.label else ' aria-hidden="true"'
    reference = _stairs(cell.reference, highest, height)
    drawing = f'<path class="reference" d="{reference}V{height:g}H0Z"/>' if reference else ""
    if now := _stairs(cell.now, highest, height):
        drawing += f'<path class="now" d="{now}V{height:g}"/>'
    title = f"<title>{escape(cell.label)}</title>" if cell.label else ""
    return (
        f'<svg class="histogram" viewBox="0 -2 {width} {height + 3:g}" preserveAspectRatio="none"{label}>'
        f"{title}{drawing}</svg>"
    )


def _stairs(shares: Sequence[float], highest: float, height: float) -> str:
    if not shares:
        return ""
    steps = (f"V{height * (1 - share / highest):.1f}H{10 * place}" for place, share in enumerate(shares, 1))
    return f"M0 {height:g}" + "".join(steps)
