"""Self-contained HTML pages for reports: headings, text, tables and plots, nothing fetched.

They are read on a telephone and on a wide screen, by day and by night: a table scrolls in itself, never the page, and
all colours, those of plots too, are the style's variables.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import jinja2
from markupsafe import Markup

from turnout.reports.cells import Bar, Histogram, Link, Number, shown
from turnout.reports.figures import Image, data_uri
from turnout.reports.style import STYLE

__all__ = ["Bar", "Histogram", "Link", "Number", "Section", "page"]

_TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>{{ head }}</head><body>
<h1>{{ title }}</h1>
{% if about %}<p class="about">{{ about }}</p>{% endif %}
{% if verdict %}<div class="verdict {{ '' if good is none else 'good' if good else 'bad' }}">
<strong>{{ verdict }}</strong>
{% if reasons %}<ul>{% for reason in reasons %}<li>{{ reason }}</li>{% endfor %}</ul>{% endif %}</div>{% endif %}
{% if metrics %}<dl class="metrics">
{% for name, value in metrics %}<div><dt>{{ name }}</dt><dd>{{ shown(value) }}</dd></div>
{% endfor %}</dl>{% endif %}
{% for section in sections %}<section>{% if section.heading %}<h2>{{ section.heading }}</h2>{% endif %}
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% if section.markdown %}<div class="markdown">{{ rendered(section.markdown) }}</div>{% endif %}
{% if section.rows %}<div class="scroll" tabindex="0" role="region" aria-label="{{ section.heading }}">
<table class="{{ 'pairs' if section.columns | length == 2 }}">
<thead><tr>
{% for column in section.columns -%}
<th class="{{ 'number' if loop.index0 in section.numeric }}">{{ column }}</th>
{%- endfor %}
</tr></thead><tbody>
{% for row in section.rows %}<tr class="{{ 'bad' if loop.index0 in section.bad }}">
{% for cell in row -%}
{% set text = shown(cell) -%}
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


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        bad: indices of the rows to point at.
        markdown: below the text; HTML in it is shown as text.
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
    markdown: str = ""

    @functools.cached_property
    def numeric(self) -> frozenset[int]:
        """The columns that have numbers in them."""
        numbers = (int, float, Number)
        return frozenset(index for row in self.rows for index, cell in enumerate(row) if isinstance(cell, numbers))


def page(
    title: str,
    sections: Sequence[Section],
    *,
    about: str = "",
    verdict: str = "",
    good: bool | None = True,
    reasons: Sequence[str] = (),
    metrics: Sequence[tuple[str, Any]] = (),
    head: str = "",
) -> str:
    """An HTML page; all text is escaped.

    Args:
        about: what the page is of, in a line below the title.
        good: None where the verdict is neither good nor bad.
        metrics: names and values of the numbers that are seen first, below the verdict.
        head: HTML for the head, taken as it is.
    """
    return _TEMPLATE.render(
        title=title, sections=sections, about=about, verdict=verdict, good=good, reasons=reasons, metrics=metrics,
        head=Markup(head), style=Markup(STYLE), named=_named, shown=shown, rendered=_rendered,
    )  # fmt: skip


def _named(svg: str, caption: str) -> Markup:
    """A drawing with a name for those who do not see it; one that others have made as an image."""
    if isinstance(svg, Image):
        return Markup('<img src="{}" alt="{}">').format(data_uri(svg), caption)
    if "aria-label=" not in svg.partition(">")[0]:
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return Markup(svg)


def _rendered(markdown: str) -> Markup:
    """Markdown as HTML: of HTML in it only the text is shown, and nothing is fetched."""
    from markdown_it import MarkdownIt

    return Markup(MarkdownIt("js-default").disable("image").render(markdown))
