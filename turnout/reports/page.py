"""Self-contained HTML pages for reports: headings, text, tables and plots, nothing fetched.

They are read on a telephone and on a wide screen, by day and by night: a table scrolls in itself, never the page, and
all colours, those of plots too, are the style's variables.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import jinja2
from markupsafe import Markup

from turnout.reports.cells import Bar, Choice, Histogram, Link, Mark, Number, Span, shown
from turnout.reports.figures import Image, data_uri
from turnout.reports.style import STYLE

__all__ = ["Bar", "Choice", "Form", "Histogram", "Link", "Mark", "Number", "Section", "Span", "page"]

_TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """{% macro judged(verdict, good, reasons) -%}
<div class="verdict {{ '' if good is none else 'good' if good else 'bad' }}">
<strong>{{ verdict }}</strong>
{% if reasons %}<ul>{% for reason in reasons %}<li>{{ reason }}</li>{% endfor %}</ul>{% endif %}</div>
{%- endmacro %}
{% macro links_of(links) -%}
{% for link in links %}{% if not loop.first %} · {% endif %}{{ shown(link) }}{% endfor %}
{%- endmacro %}
{% macro part(section, level) -%}
<section{% if section.anchor %} id="{{ section.anchor }}"{% endif %}>
{% if section.folded %}<details{{ ' open' if section.unfolded }}><summary>{{ section.folded }}</summary>{% endif %}
{% if section.heading %}<h{{ level }}>{{ section.heading }}</h{{ level }}>{% endif %}
{% if section.verdict %}{{ judged(section.verdict, section.good, section.reasons) }}{% endif %}
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% if section.markdown %}<div class="markdown">{{ rendered(section.markdown) }}</div>{% endif %}
{% if section.code %}<pre tabindex="0">{{ section.code }}</pre>{% endif %}
{% if section.form %}<form method="get" action="{{ section.form.action }}">
{% for name, value in section.form.hidden.items() %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}<button>{{ section.form.button }}</button>{% endif %}
{% if section.rows %}<div class="scroll" tabindex="0" role="group" aria-label="{{ section.name }}">
<table{% if section.stacked %} class="stacked"{% elif section.columns | length == 2 %} class="pairs"{% endif %}>
{% if section.columns | select | list %}
<thead><tr>
{% for column in section.columns -%}
{% set kind = ' class="number"' | safe if loop.index0 in section.numeric -%}
{% if column %}<th scope="col"{{ kind }}>{{ column }}</th>{% else %}<td></td>{% endif %}
{%- endfor %}

</tr></thead>
{% endif %}
<tbody>
{% for row in section.rows %}
<tr{% if loop.index0 in section.bad %} class="bad"{% endif %}>
{%- for cell in row -%}
{% set text = shown(cell) -%}
{% set kind = 'number' if loop.index0 in section.numeric else 'short' if text | striptags | length < 24 -%}
{% set labelled = section.stacked and kind and loop.index0 > (0 if kind == 'number' else 2) -%}
<td{% if kind %} class="{{ kind }}"{% endif %}
{%- if labelled %} data-label="{{ section.columns[loop.index0] }}"{% endif %}>{{ text }}</td>
{%- endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if section.form %}</form>{% endif %}
{% if section.figures %}<div class="figures{{ ' single' if section.figures | length == 1 }}">
{% for svg, caption in section.figures -%}
<figure{{ wide(svg, caption) }}>{{ named(svg, caption) }}<figcaption>{{ caption }}</figcaption></figure>
{%- endfor %}</div>{% endif %}
{% for preview in section.previews -%}
<iframe sandbox srcdoc="{{ preview }}"{% if 'color-scheme' in preview %} class="modes"{% endif %}
 title="{{ section.name }}" style="height: {{ height(preview) }}"></iframe>
{%- endfor %}
{% if section.links %}<p>{{ links_of(section.links) }}</p>{% endif %}
{% for inner in section.parts %}{{ part(inner, level + 1 if section.heading else level) }}{% endfor %}
{% if section.folded %}</details>{% endif %}
</section>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>{{ head }}</head><body>
{% if links %}<header><nav aria-label="Around this page">{{ links_of(links) }}</nav></header>{% endif %}
<main>
<h1>{{ title }}</h1>
{% if about %}<p class="about">{{ about }}</p>{% endif %}
{% if notice %}<p class="notice" role="status">{{ notice }}</p>{% endif %}
{% if verdict %}{{ judged(verdict, good, reasons) }}{% endif %}
{% if metrics %}<dl class="metrics">
{% for name, value in metrics %}<div><dt>{{ name }}</dt><dd>{{ shown(value) }}</dd></div>
{% endfor %}</dl>{% endif %}
{% for section in sections %}{{ part(section, 2) }}{% endfor %}
</main></body></html>
"""
)

_NO_TEXT = re.compile(r"<(style|script|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_BLOCK = re.compile(r"<(?:p|li|tr|h[1-6]|br|div)\b", re.IGNORECASE)
_DRAWN = re.compile(r"<(?:img|svg|canvas|video|iframe)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """What becomes of the choices in a section's table: they lead to another page, without a script.

    Attributes:
        action: address of the page.
        hidden: further fields of it.
    """

    action: str
    button: str
    hidden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        bad: indices of the rows to point at.
        markdown: below the text; HTML in it is shown as text.
        figures: SVG and caption of each.
        previews: HTML documents of others, shown in frames in which no script runs.
        code: as it is, letter by letter.
        verdict, good, reasons: what is said of this part in a line, as `page` takes them.
        links: below all else but the parts.
        form: where the choices in the table lead to.
        parts: with headings one level below this one's.
        folded: a few words, in whose place the section is shown when they are clicked; empty: it is shown.
        unfolded: whether it is open from the start.
        anchor: the id that addresses can name.
        stacked: whether a row of the table is a block of its own where the page is narrow; else the table scrolls.
    """

    heading: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    bad: frozenset[int] = frozenset()
    figures: Sequence[tuple[str, str]] = field(default_factory=list)
    previews: Sequence[str] = ()
    markdown: str = ""
    code: str = ""
    verdict: str = ""
    good: bool | None = None
    reasons: Sequence[str] = ()
    links: Sequence[Link] = ()
    form: Form | None = None
    parts: Sequence[Section] = ()
    folded: str = ""
    unfolded: bool = False
    anchor: str = ""
    stacked: bool = False

    @property
    def name(self) -> str:
        """What those hear who do not see it."""
        return self.heading or self.folded

    @property
    def has_content(self) -> bool:
        """Whether there is anything below the heading."""
        own = (
            self.rows, self.figures, self.previews, self.text, self.markdown, self.code, self.verdict, self.links,
        )  # fmt: skip
        return any(own) or any(part.has_content for part in self.parts)

    def without_empty(self, keep: int = 1) -> Section:
        """The table without the columns that have nothing in them, but for the first `keep`."""
        columns = range(len(self.columns))
        kept = [place for place in columns if place < keep or any(row[place] not in ("", None) for row in self.rows)]
        rows = [[row[place] for place in kept] for row in self.rows]
        return dataclasses.replace(self, columns=[self.columns[place] for place in kept], rows=rows)

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
    links: Sequence[Link] = (),
    notice: str = "",
    head: str = "",
) -> str:
    """An HTML page; all text is escaped.

    Args:
        about: what the page is of, in a line below the title.
        good: None where the verdict is neither good nor bad.
        metrics: names and values of the numbers that are seen first, below the verdict.
        links: to the pages around this one, above the title.
        notice: what is to be known before all else.
        head: HTML for the head, taken as it is.
    """
    return _TEMPLATE.render(
        title=title, sections=sections, about=about, verdict=verdict, good=good, reasons=reasons, metrics=metrics,
        links=links, notice=notice, head=Markup(head), style=Markup(STYLE), named=_named, shown=shown,
        rendered=_rendered, wide=_wide, height=_height,
    )  # fmt: skip


def _named(svg: str, caption: str) -> Markup:
    """A drawing with a name for those who do not see it; one that others have made as an image."""
    if isinstance(svg, Image):
        return Markup('<img src="{}" alt="{}">').format(data_uri(svg), caption)
    if "aria-label=" not in svg.partition(">")[0]:
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return Markup(svg)


def _wide(svg: str, caption: str) -> Markup:
    """The attributes of a figure that may be wider than the page, and then scrolls: by the keyboard too."""
    if isinstance(svg, Image) or "max-width: none" not in svg.partition(">")[0]:
        return Markup("")
    return Markup(' class="wide" tabindex="0" role="group" aria-label="{}"').format(caption)


def _height(preview: str) -> str:
    """A height that fits a document of others roughly: no script may measure it."""
    text = _NO_TEXT.sub(" ", preview)
    lines = len(_TAG.sub("", text)) / 90 + 1.2 * len(_BLOCK.findall(text)) + 14 * len(_DRAWN.findall(text))
    return f"{min(44, max(6, 3 + 1.5 * lines)):.0f}rem"


def _rendered(markdown: str) -> Markup:
    """Markdown as HTML: of HTML in it only the text is shown, and nothing is fetched."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("js-default").disable("image")
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):  # below the headings of the page
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))
