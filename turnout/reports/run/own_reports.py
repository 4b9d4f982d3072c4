"""The reports that steps have made, as parts of a page: the main ones of a run, all of a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from turnout.plan.results import StepResult
from turnout.reports.page import Link, Section
from turnout.reports.report import Report
from turnout.reports.run.classification import classification_section
from turnout.reports.run.shown import ShownRun
from turnout.spec.step_contract import Artifact, State

_CLASSES = "system.ClassificationMetrics"
_KINDS = ("system.HTML", "system.Markdown", _CLASSES)

_MOST, _MOST_FIGURES, _MOST_ROWS = 12, 6, 30
"""What the page of a run shows: reports, and of each the drawings and the rows of a table."""

_LONGEST = 2_000_000
"""Bytes; a longer report is named, not shown."""

_ROOM = 500_000
"""Characters that the reports on the page of a run may take."""

_ROOM_OF_STEP = 8 * 2**20
"""Characters that the reports on the page of a step may take."""

_TOO_LONG = "It is too long for this page."


def main_reports(run: ShownRun, first: str) -> list[Section]:
    """The reports that matter most: of what failed or decided, then with a verdict, then of steps outside of loops.

    Args:
        first: the label of the step whose verdict or error stands above all.
    """
    found = [item for item in run.artifacts() if item[2].type in _KINDS]
    told = {step.label for step, _, artifact in found if artifact.type != _CLASSES}
    found = [item for item in found if item[2].type != _CLASSES or item[0].label not in told]
    found.sort(key=lambda item: _rank(item[0], item[2], first))
    sections: list[Section] = []
    left, count = _ROOM, 0
    for step, name, artifact in found:
        if count == _MOST:
            break
        section = _of(run, step, name, artifact, whole=False, verdict=step.label != first)
        if section is None:
            continue
        if (size := _size(section)) > left:
            section = dataclasses.replace(section, parts=(), figures=(), previews=(), rows=(), text=_TOO_LONG)
            size = 0
        left, count = left - size, count + 1
        sections.append(section)
    if count < len(found):
        text = f"{count:,} of {len(found):,} reports are shown; the others are on the pages of their steps."
        sections.append(Section("Further reports", text))
    return sections


def reports_of(run: ShownRun, step: StepResult) -> list[Section]:
    """All that a step has reported, whole; KFP's metrics of classes folded where a report tells of them too."""
    artifacts = step.outcome.artifacts if step.outcome else {}
    found = [(name, artifact) for name, artifact in artifacts.items() if artifact.type in _KINDS]
    found.sort(key=lambda item: item[1].type == _CLASSES)
    sections: list[Section] = []
    left = _ROOM_OF_STEP
    for name, artifact in found:
        section = _of(run, step, name, artifact, whole=True, verdict=False)
        if section is None:
            continue
        if (size := _size(section)) > left:
            section, size = Section(section.heading, _TOO_LONG, links=section.links), 0
        elif artifact.type == _CLASSES and sections:
            section = Section("", parts=[dataclasses.replace(section, heading="", folded=section.heading)])
        left -= size
        sections.append(section)
    return sections


def _rank(step: StepResult, artifact: Artifact, first: str) -> tuple[bool, ...]:
    said = artifact.metadata
    return (
        step.label != first,
        step.state is not State.FAILED,
        not (said.get("verdict") and said.get("good") is False),
        bool(step.iteration),
        not said.get("verdict"),
    )


def _of(
    run: ShownRun, step: StepResult, name: str, artifact: Artifact, *, whole: bool, verdict: bool
) -> Section | None:
    """A report as a section; None when it has nothing to show."""
    links = _links(run, step, name, artifact, whole)
    heading = f"{name} · {step.label}"
    if artifact.type == _CLASSES:
        section = classification_section(heading, artifact.metadata)
        return section if section.rows or section.figures else None
    content = run.read(artifact.uri, _LONGEST)
    if isinstance(content, str):
        return Section(heading, f"Not shown: {content}.", links=links)
    text = content.decode(errors="replace")
    if artifact.type == "system.Markdown":
        return Section(heading, markdown=text[:_ROOM], links=links)
    report = Report.from_html(text)
    if report is None:
        return Section(heading, previews=[text], links=links)
    title = f"{report.title} · {step.label}" if report.title else heading
    if whole or step.state is State.FAILED:
        return Section(title, report.about, links=links, parts=_whole(report))
    section = Section(title, report.about, links=links, parts=_main(report))
    if not verdict:
        return section
    if step.iteration or (report.good and not any(part.figures for part in report.sections)):  # not what one asks for
        told = f"{title}: {report.verdict}" if report.verdict else title
        return Section("", parts=[Section("", folded=told, parts=_main(report), links=links)])
    return dataclasses.replace(section, verdict=report.verdict, good=report.good, reasons=report.reasons[:_MOST_ROWS])


def _links(run: ShownRun, step: StepResult, name: str, artifact: Artifact, whole: bool) -> list[Link]:
    page = Link(f"All of {step.label}", run.links.step(step))
    file = Link("The report by itself", run.links.artifact(step, name, artifact))
    return [link for link in ([file] if whole else [page, file]) if link.href]


def _numbers(report: Report) -> Iterator[Section]:
    if report.metrics:
        yield Section("", columns=("metric", "value"), rows=list(report.metrics))


def _whole(report: Report) -> list[Section]:
    return [*_numbers(report), *report.sections]


def _main(report: Report) -> list[Section]:
    """The drawings of a report, or else its first table; the rest folded."""
    drawn = [section for section in report.sections if section.figures]
    if drawn:
        front = _with_drawings(drawn)
        rest = [
            dataclasses.replace(section, figures=())
            for section in report.sections
            if section.rows or not section.figures
        ]
        rest += _further_drawings(drawn)
    else:
        front, rest = list(report.sections[:1]), list(report.sections[1:])
    front = [_cut(section) for section in front]
    if not rest:
        return [*_numbers(report), *front]
    names = ", ".join(section.heading for section in rest[:4] if section.heading)
    more = f" and {len(rest) - 4} more" if len(rest) > 4 else ""
    folded = f"More of this report: {names}{more}" if names else "More of this report"
    return [*_numbers(report), *front, Section("", folded=folded, parts=[_cut(section) for section in rest])]


def _with_drawings(drawn: Sequence[Section]) -> list[Section]:
    left, front = _MOST_FIGURES, []
    for section in drawn:
        if left:
            front.append(Section(section.heading, section.text, figures=section.figures[:left]))
            left -= len(front[-1].figures)
    return front


def _further_drawings(drawn: Sequence[Section]) -> list[Section]:
    every = [(section, figure) for section in drawn for figure in section.figures]
    return [Section(section.heading, figures=[figure]) for section, figure in every[_MOST_FIGURES:]]


def _cut(section: Section) -> Section:
    if len(section.rows) <= _MOST_ROWS:
        return section
    words = f"{_MOST_ROWS} of {len(section.rows):,} rows are shown."
    return dataclasses.replace(section, rows=section.rows[:_MOST_ROWS], text=f"{section.text} {words}".strip())


def _size(section: Section) -> int:
    """About how many characters a section takes."""
    own = sum(len(str(cell)) + 20 for row in section.rows for cell in row)
    drawn = sum(len(svg) * 4 // 3 for svg, _ in section.figures) + sum(map(len, section.previews))
    return own + drawn + len(section.text) + len(section.markdown) + sum(map(_size, section.parts))
