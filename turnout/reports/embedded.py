"""A report inside its own page: as JSON in the page's head, whose figures are those of the page.

Who reads it back trusts nothing: every text has an end, every list too, and what is of another kind is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.reports.cells import Bar, Histogram, Link, Mark, Number
from turnout.reports.figures import Image, image
from turnout.reports.page import Section

LONGEST_PAGE = 16 * 2**20
"""Characters; a longer page is not read."""

_OPEN, _CLOSE = '<script type="application/json" id="turnout-report">', "</script>"
_SECTIONS, _ROWS, _COLUMNS, _LINES, _FIGURES, _PARTS = 200, 1_000, 100, 100, 100, 64
_LONG, _SHORT = 20_000, 2_000
_LARGEST_FIGURE = 4 * 2**20


def embed(fields: Mapping[str, Any]) -> str:
    """A report's fields as HTML for the head of its page. The page has the figures, in the order of the sections."""
    sections = [
        {
            "heading": section.heading,
            "text": section.text,
            "markdown": section.markdown,
            "columns": list(section.columns),
            "rows": [[_cell(value) for value in row] for row in section.rows],
            "bad": sorted(section.bad),
            "stacked": section.stacked,
            "figures": [caption for _, caption in section.figures],
        }
        for section in fields["sections"]
    ]
    content = {
        **fields,
        "sections": [{key: value for key, value in section.items() if value} for section in sections],
        "reasons": list(fields["reasons"]),
        "metrics": [[name, _cell(value)] for name, value in fields["metrics"]],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    return _OPEN + text.replace("<", "\\u003c") + _CLOSE


def extract(page: str) -> dict[str, Any] | None:
    """The fields of the report in a page; None when there is none."""
    start = page.find(_OPEN)
    if start < 0 or len(page) > LONGEST_PAGE:
        return None
    end = page.find(_CLOSE, start)
    try:
        content = json.loads(page[start + len(_OPEN) : end])
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    figures = _figures(page, end)
    good = content.get("good")
    return {
        "title": _text(content.get("title"), _SHORT),
        "verdict": _text(content.get("verdict"), _SHORT),
        "good": good if isinstance(good, bool) else None,
        "reasons": [_text(line, _SHORT) for line in _list(content.get("reasons"), _LINES)],
        "about": _text(content.get("about"), _SHORT),
        "notice": _text(content.get("notice"), _SHORT),
        "metrics": [
            (_text(pair[0], _SHORT), _value(pair[1]))
            for pair in _list(content.get("metrics"), _LINES)
            if isinstance(pair, list) and len(pair) == 2
        ],
        "sections": [
            _section(item, figures) for item in _list(content.get("sections"), _SECTIONS) if isinstance(item, dict)
        ],
    }


def _figures(page: str, start: int) -> Iterator[str]:
    """The drawings of a page, in its order; nothing in the place of what is none."""
    while (start := page.find("<figure", start)) >= 0 and (end := page.find("<figcaption>", start)) >= 0:
        figure = page[page.find(">", start) + 1 : end]
        yield figure if figure.startswith("<svg ") else ""
        start = end


def _section(item: Mapping[str, Any], figures: Iterator[str]) -> Section:
    rows = [
        [_value(cell) for cell in _list(row, _COLUMNS)]
        for row in _list(item.get("rows"), _ROWS)
        if isinstance(row, list)
    ]
    drawn: list[tuple[Image, str]] = []
    for caption in _list(item.get("figures"), _FIGURES):
        svg = next(figures, "")
        if svg and len(svg) <= _LARGEST_FIGURE:
            drawn.append((image(svg), _text(caption, _SHORT)))
    return Section(
        _text(item.get("heading"), _SHORT),
        _text(item.get("text"), _LONG),
        [_text(name, _SHORT) for name in _list(item.get("columns"), _COLUMNS)],
        rows,
        frozenset(index for index in _list(item.get("bad"), _ROWS) if isinstance(index, int)),
        drawn,
        markdown=_text(item.get("markdown"), _LONG),
        stacked=item.get("stacked") is True,
    )


def _cell(value: Any) -> Any:
    """A cell as JSON; its kind by the names of its fields."""
    if isinstance(value, Link):
        return {"link": value.text, "href": value.href}
    if isinstance(value, Number):
        return {"number": str(value)}
    if isinstance(value, Bar):
        return {"bar": value.text, "share": _finite(value.share)}
    if isinstance(value, Mark):
        return {"mark": value.text, "tone": value.tone}
    if isinstance(value, Histogram):
        shares = {"histogram": list(map(_rounded, value.now)), "reference": list(map(_rounded, value.reference))}
        return {**shares, "label": value.label}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"number": "–" if math.isnan(value) else f"{value:g}"}
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _value(cell: Any) -> Any:
    """The cell that JSON tells; a text for what it does not know."""
    if not isinstance(cell, dict):
        return cell if cell is None or isinstance(cell, bool | int | float) else _text(cell, _LONG)
    if "link" in cell:
        return Link(_text(cell["link"], _SHORT), _text(cell.get("href"), _SHORT))
    if "number" in cell:
        return Number(_text(cell["number"], _SHORT))
    if "bar" in cell:
        return Bar(_finite(cell.get("share")), _text(cell["bar"], _SHORT))
    if "mark" in cell:
        tone = _text(cell.get("tone"), _SHORT)
        return Mark(_text(cell["mark"], _SHORT), tone if tone.isalpha() else "quiet")
    if "histogram" in cell:
        now, reference = (
            [min(1.0, max(0.0, _finite(share))) for share in _list(cell.get(key), _PARTS)]
            for key in ("histogram", "reference")
        )
        return Histogram(now, reference, _text(cell.get("label"), _SHORT))
    return ""


def _rounded(share: float) -> float:
    return round(_finite(share), 4)


def _finite(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and -1e300 < value < 1e300 else 0.0


def _text(value: Any, longest: int) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _list(value: Any, most: int) -> Sequence[Any]:
    return value[:most] if isinstance(value, list) else ()
