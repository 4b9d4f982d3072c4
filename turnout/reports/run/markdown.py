"""A run as Markdown, for a comment on a pull request: the parts of its page that are texts and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from turnout.reports.cells import plain
from turnout.reports.page import Section
from turnout.reports.run.facts import data_section, model_section, parameters_section
from turnout.reports.run.gates import gates_section
from turnout.reports.run.metrics import metrics_sections
from turnout.reports.run.shown import ShownRun
from turnout.reports.run.steps import steps_section
from turnout.reports.run.verdicts import about, headline, verdicts_section

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#@])")
_SIGN = {True: "✅ ", False: "❌ ", None: ""}


def run_markdown(run: ShownRun) -> str:
    """The verdict and its reasons, metrics beside the champion's, what was changed, gates, model, data and steps."""
    said = headline(run)
    first = [verdicts_section(run, said), *metrics_sections(run), gates_section(run)]
    rest = [parameters_section(run), model_section(run), data_section(run), steps_section(run)]
    blocks = [
        f"## {_escaped(run.name)}",
        f"{_SIGN[said.good]}**{_escaped(said.text)}**",
        "\n".join(f"- {_escaped(reason)}" for reason in said.reasons),
        _escaped(about(run, said)),
        *(block for section in first for block in _section(section)),
        *_folded("Parameters, model, data, steps", [block for section in rest for block in _section(section)]),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _folded(name: str, blocks: Sequence[str]) -> Iterator[str]:
    if blocks:
        yield "\n\n".join([f"<details><summary>{name}</summary>", *blocks, "</details>"])


def _section(section: Section) -> Iterator[str]:
    if section.heading and section.has_content:
        yield f"### {_escaped(section.heading)}"
    if section.text:
        yield _escaped(section.text)
    if section.rows:
        yield _table(section)
    parts = [block for part in section.parts for block in _section(part)]
    if section.folded:
        yield from _folded(_escaped(section.folded), parts)
    else:
        yield from parts


def _table(section: Section) -> str:
    """The rows under their headings, without the columns in which nothing stands, such as those of links."""
    rows = [[_cell(cell) for cell in row] for row in section.rows]
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows)]
    names = [_escaped(section.columns[index]) if section.columns else "" for index in kept]
    lines = [names, ["---"] * len(kept), *([row[index] for index in kept] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Any) -> str:
    return " ".join(_escaped(plain(cell)).split())


def _escaped(text: str) -> str:
    """A text in which nothing is Markdown, HTML, or a name that would be told."""
    return _SPECIAL.sub(r"\\\1", text)
