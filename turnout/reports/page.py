"""Self-contained HTML pages for reports: headings, text, tables and plots, nothing fetched.

They are read on a telephone and on a wide screen, by day and by night: a table scrolls in itself, never the page, and
all colours, those of plots too, are the style's variables.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import jinja2
from markupsafe import Markup

_TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #fff; --text: #1c1f24; --quiet: #59616b; --line: #d9dde3; --soft: #f3f5f7;
  --good: #1e7d3a; --bad: #c22f2f; --blue: #1f6fb2; --orange: #c8701a; --pale: #9db8d2; --bar: #cfe0f0; }
@media (prefers-color-scheme: dark) { :root { --page: #16191d; --text: #e6e8eb; --quiet: #a0a8b2; --line: #3a4048;
  --soft: #20252b; --good: #4cc26a; --bad: #ff8079; --blue: #62aef2; --orange: #f0a04b; --pale: #6f93b8;
  --bar: #2b4a66; } }
html { background: var(--page); color: var(--text); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 68rem; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .25rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0; max-width: 46rem; } a { color: var(--blue); }
.verdict { padding: .75rem 1rem; border-left: .4rem solid var(--quiet); background: var(--soft); margin: 1rem 0; }
.verdict { overflow-wrap: anywhere; } .verdict strong { font-size: 1.1rem; }
.good { border-color: var(--good); } .bad { border-color: var(--bad); }
.verdict ul { margin: .4rem 0 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--quiet); font-weight: 600; font-size: .9rem; vertical-align: bottom; }
td { overflow-wrap: break-word; max-width: 28rem; }
td.short { white-space: nowrap; }
@media (max-width: 40rem) { td:not(.number, .short) { min-width: 8rem; max-width: 10rem; overflow-wrap: anywhere; } }
table.pairs td { overflow-wrap: anywhere; min-width: 6.5rem; max-width: 40rem; }
td.number, th.number { text-align: right; } td.number { white-space: nowrap; }
tr.bad { border-color: var(--line); } tr.bad td:first-child { color: var(--bad); font-weight: 600; }
.bar { background: linear-gradient(var(--bar), var(--bar)) no-repeat left / var(--share) 100%; padding: .1rem .4rem;
  min-width: 6rem; display: inline-block; text-align: left; white-space: nowrap; box-sizing: border-box; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .5rem 1.5rem; }
.figures.single { grid-template-columns: minmax(0, 1fr); }
figure { margin: .5rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; color: var(--text); }
figure svg text { font-family: system-ui, sans-serif !important; fill: currentColor; }
iframe { width: 100%; height: 28rem; border: 1px solid var(--line); border-radius: 4px; background: #fff; }
figcaption { color: var(--quiet); font-size: .9rem; }
</style></head><body>
<h1>{{ title }}</h1>
{% if verdict %}<div class="verdict {{ 'good' if good else 'bad' }}"><strong>{{ verdict }}</strong>
{% if reasons %}<ul>{% for reason in reasons %}<li>{{ reason }}</li>{% endfor %}</ul>{% endif %}</div>{% endif %}
{% for section in sections %}<section><h2>{{ section.heading }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% if section.rows %}<div class="scroll" tabindex="0" role="region" aria-label="{{ section.heading }}">
<table class="{{ 'pairs' if section.columns | length == 2 }}">
<thead><tr>
{% for column in section.columns -%}
<th class="{{ 'number' if loop.index0 in section.numeric }}">{{ column }}</th>
{%- endfor %}
</tr></thead><tbody>
{% for row in section.rows %}<tr class="{{ 'bad' if loop.index0 in section.bad }}">
{% for cell in row -%}
{% set text = section.show(cell) -%}
<td class="{{ 'number' if loop.index0 in section.numeric else 'short' if text | length < 24 }}">{{ text }}</td>
{%- endfor %}</tr>
{% endfor %}</tbody></table></div>{% endif %}
{% if section.figures %}<div class="figures{{ ' single' if section.figures | length == 1 }}">
{% for svg, caption in section.figures -%}
<figure>{{ named(svg, caption) }}<figcaption>{{ caption }}</figcaption></figure>
{%- endfor %}</div>{% endif %}
{% for preview in section.previews -%}
<iframe sandbox srcdoc="{{ preview }}" title="{{ section.heading }}"></iframe>
{%- endfor %}
</section>{% endfor %}
</body></html>
"""
)

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


class Number(str):
    """A cell with a number as it is to be shown: with its unit or interval, or with digits of its own."""


@dataclass(frozen=True)
class Bar:
    """A cell with a bar behind its text; `share` is the bar's length, between 0 and 1."""

    share: float
    text: str


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        bad: indices of the rows to point at.
        figures: SVG and caption of each.
        previews: HTML documents of others, shown in frames in which no script runs.
    """

    heading: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    bad: frozenset[int] = frozenset()
    figures: Sequence[tuple[str, str]] = field(default_factory=list)
    previews: Sequence[str] = ()

    @functools.cached_property
    def numeric(self) -> frozenset[int]:
        """The columns that have numbers in them."""
        numbers = (int, float, Number)
        return frozenset(index for row in self.rows for index, cell in enumerate(row) if isinstance(cell, numbers))

    @staticmethod
    def show(cell: Any) -> str:
        if isinstance(cell, Link):
            if not cell.is_address:
                return f"{cell.text}: {cell.href}"
            return Markup('<a href="{}">{}</a>').format(cell.href, cell.text)
        if isinstance(cell, Bar):
            share = f"{min(1.0, max(0.0, cell.share)):.1%}"
            return Markup('<span class="bar" style="--share: {}">{}</span>').format(share, cell.text)
        if isinstance(cell, float):
            if not math.isfinite(cell):
                return "–" if math.isnan(cell) else f"{cell:g}"
            return f"{cell:.4g}" if abs(cell) < 10000 else f"{cell:,.0f}"
        return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def page(
    title: str, sections: Sequence[Section], *, verdict: str = "", good: bool = True, reasons: Sequence[str] = ()
) -> str:
    """An HTML page; all text is escaped."""
    return _TEMPLATE.render(
        title=title, sections=sections, verdict=verdict, good=good, reasons=reasons, named=_named
    )  # fmt: skip


def _named(svg: str, caption: str) -> Markup:
    """A drawing with a name for those who do not see it."""
    if "aria-label=" not in svg.partition(">")[0]:
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return Markup(svg)
