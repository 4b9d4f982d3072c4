"""Self-contained HTML pages for reports: headings, text, tables and plots, nothing fetched."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

_TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .25rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.verdict { padding: .75rem 1rem; border-left: .4rem solid #888; background: #8881; margin: 1rem 0; }
.good { border-color: #2a9d4a; } .bad { border-color: #d33; }
.verdict ul { margin: .25rem 0 0; padding-left: 1.2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
td.number, th.number { text-align: right; } tr.bad td:first-child { color: #d33; font-weight: 600; }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
iframe { width: 100%; height: 28rem; border: 1px solid #8884; border-radius: 4px; background: #fff; }
td { overflow-wrap: break-word; max-width: 28rem; }
figcaption, .note { color: #888; font-size: .9rem; }
</style></head><body>
<h1>{{ title }}</h1>
{% if verdict %}<div class="verdict {{ 'good' if good else 'bad' }}"><strong>{{ verdict }}</strong>
{% if reasons %}<ul>{% for reason in reasons %}<li>{{ reason }}</li>{% endfor %}</ul>{% endif %}</div>{% endif %}
{% for section in sections %}<section><h2>{{ section.heading }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% if section.rows %}<div class="scroll"><table><thead><tr>
{% for column in section.columns -%}
<th class="{{ 'number' if loop.index0 in section.numeric }}">{{ column }}</th>
{%- endfor %}
</tr></thead><tbody>
{% for row in section.rows %}<tr class="{{ 'bad' if loop.index0 in section.bad }}">
{% for cell in row -%}
<td class="{{ 'number' if loop.index0 in section.numeric }}">
{%- if cell.href %}<a href="{{ cell.href }}">{{ cell.text }}</a>{% else %}{{ section.show(cell) }}{% endif %}</td>
{%- endfor %}</tr>
{% endfor %}</tbody></table></div>{% endif %}
{% for svg, caption in section.figures -%}
<figure>{{ svg | safe }}<figcaption>{{ caption }}</figcaption></figure>
{%- endfor %}
{% for preview in section.previews -%}
<iframe sandbox srcdoc="{{ preview }}" title="{{ section.heading }}"></iframe>
{%- endfor %}
</section>{% endfor %}
</body></html>
"""
)


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere."""

    text: str
    href: str


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
        return frozenset(index for row in self.rows for index, cell in enumerate(row) if isinstance(cell, int | float))

    @staticmethod
    def show(cell: Any) -> str:
        if isinstance(cell, float):
            return f"{cell:.4g}" if abs(cell) < 10000 else f"{cell:,.0f}"
        return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def page(
    title: str, sections: Sequence[Section], *, verdict: str = "", good: bool = True, reasons: Sequence[str] = ()
) -> str:
    """An HTML page; all text is escaped."""
    return _TEMPLATE.render(title=title, sections=sections, verdict=verdict, good=good, reasons=reasons)


def svg(figure: Any) -> str:
    """A matplotlib figure as inline SVG."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
