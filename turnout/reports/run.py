"""The report of a run: one HTML page that needs nothing beside it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.plan.model import Plan
from turnout.plan.results import Read, RunResult, StepResult
from turnout.reports.drawing import graph, timeline
from turnout.reports.page import Link, Section, page
from turnout.spec.step_contract import Artifact, State

_LONGEST_PREVIEW = 2_000_000
"""Bytes; a longer artifact is named, not shown."""

_MOST_PREVIEWS = 8_000_000
"""Bytes of all artifacts that a page shows."""


def run_report(plan: Plan, record: Mapping[str, Any], read: Read) -> str:
    """The page of a run, from its plan and its record (`run.json`).

    Args:
        read: opens artifacts, those that the page may show.
    """
    steps = RunResult.from_dict(record).steps
    state = State(record["state"])
    errors = [f"{step.label}: {step.error}" for step in steps if step.error] + list(record.get("errors", ()))
    times = timeline(steps)
    sections = [
        Section("Graph", figures=[(graph(plan, steps), "A box is a step; a dashed frame belongs together.")]),
        *(
            [Section("Times", figures=[(times, "Seconds from the start of the run; cached steps take none.")])]
            if times
            else []
        ),
        _steps(steps),
        _values("Parameters", record.get("parameters", {})),
        _values("Outputs", record.get("outputs", {})),
        *_metrics(steps),
        *_artifacts(steps, read),
    ]
    took = _took(record["create_time"], record["end_time"]) if record.get("end_time") else ""
    return page(
        f"{record['pipeline']} {record['run_id']}",
        [section for section in sections if section.rows or section.figures or section.previews or section.text],
        verdict=f"{state.label}{took}",
        good=state is State.SUCCEEDED,
        reasons=errors,
    )


def results_page(
    pipeline: str, run_id: str, steps: list[StepResult], read: Read, outputs: Mapping[str, Any] = {}
) -> str:
    """The page of what the steps of a run have left, while it goes on or after it: values, metrics, artifacts.

    Args:
        steps: those that have ended, with their outcomes.
        read: opens artifacts, those that the page may show.
        outputs: of the run, when they are known.
    """
    sections = [_steps(steps, logs=False), _values("Outputs", outputs), *_metrics(steps), *_artifacts(steps, read)]
    failed = [f"{step.label}: {step.error}" for step in steps if step.error]
    other = [step.label for step in steps if step.outcome and step.outcome.other_code]
    warnings = [f"{label}: ran code other than the pipeline was compiled with" for label in other]
    return page(
        f"{pipeline} {run_id}",
        [section for section in sections if section.rows or section.figures or section.previews or section.text],
        verdict=f"{len(steps)} steps have ended" + (f", {len(failed)} of them failed" if failed else ""),
        good=not failed,
        reasons=failed + warnings,
    )


def _took(start: str, end: str) -> str:
    began = datetime.datetime.fromisoformat(start)
    seconds = (datetime.datetime.fromisoformat(end) - began).total_seconds()
    return f" in {seconds:,.1f} s, started {began:%Y-%m-%d %H:%M} UTC"


def _steps(steps: list[StepResult], *, logs: bool = True) -> Section:
    columns = ("step", "state", "attempts", "seconds", "outputs", *(["log"] if logs else []))
    rows: list[tuple[Any, ...]] = []
    for step in steps:
        parameters = step.outcome.parameters if step.outcome else {}
        values = ", ".join(f"{name} = {_short(value)}" for name, value in parameters.items())
        log = Link("log", step.outcome.log) if step.outcome and step.outcome.log else ""
        seconds = "cached" if step.cached else f"{step.duration_s:.2f}" if step.duration_s else ""
        rows.append((step.label, step.state.label, step.attempts or "", seconds, values, *([log] if logs else [])))
    bad = frozenset(index for index, step in enumerate(steps) if step.state in (State.FAILED, State.CANCELLED))
    return Section("Steps", columns=columns, rows=rows, bad=bad)


def _values(heading: str, values: Mapping[str, Any]) -> Section:
    rows = [
        (name, _short(value["uri"] if isinstance(value, dict) and "uri" in value else value))
        for name, value in values.items()
    ]
    return Section(heading, columns=("name", "value"), rows=rows)


def _metrics(steps: list[StepResult]) -> Iterator[Section]:
    rows = [
        (step.label, name, key, value)
        for step, name, artifact in _all_artifacts(steps)
        if artifact.type == "system.Metrics"
        for key, value in artifact.metadata.items()
        if isinstance(value, int | float | str)
    ]
    yield Section("Metrics", columns=("step", "output", "metric", "value"), rows=rows)


def _artifacts(steps: list[StepResult], read: Read) -> Iterator[Section]:
    found = list(_all_artifacts(steps))
    rows = [
        (step.label, name, artifact.type, artifact.uri, _short(dict(artifact.metadata)))
        for step, name, artifact in found
    ]
    yield Section("Artifacts", columns=("step", "output", "type", "where", "metadata"), rows=rows)
    left = _MOST_PREVIEWS
    for step, name, artifact in found:
        heading = f"{step.label}: {name}"
        if artifact.type == "system.ClassificationMetrics":
            yield _classification(heading, artifact.metadata)
        elif artifact.type in ("system.HTML", "system.Markdown"):
            content = read(artifact.uri, _LONGEST_PREVIEW) if left else "the page shows enough others"
            if isinstance(content, str):
                yield Section(heading, f"Not shown: {content}.")
            else:
                left = max(0, left - len(content))
                text = content.decode(errors="replace")
                yield Section(heading, previews=[text if artifact.type == "system.HTML" else _rendered(text)])


def _classification(heading: str, metadata: Mapping[str, Any]) -> Section:
    """The confusion matrix and the ROC curve that KFP's ClassificationMetrics hold."""
    matrix = metadata.get("confusionMatrix") or {}
    classes = [str(item["displayName"]) for item in matrix.get("annotationSpecs", ())]
    rows = [
        (name, *(whole for whole in map(int, row["row"])))
        for name, row in zip(classes, matrix.get("rows", ()), strict=False)
    ]
    points = metadata.get("confidenceMetrics") or ()
    curve = [(float(point["falsePositiveRate"]), float(point["recall"])) for point in points]
    figures = [(_roc(curve), "ROC curve: true positive rate against false positive rate.")] if curve else []
    return Section(heading, columns=("actual \\ predicted", *classes), rows=rows, figures=figures)


def _roc(curve: list[tuple[float, float]]) -> str:
    line = " ".join(f"{20 + 240 * x:.1f},{260 - 240 * y:.1f}" for x, y in curve)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 280 280" width="280" role="img" aria-label="ROC curve">'
        '<rect x="20" y="20" width="240" height="240" fill="none" stroke="#8888"/>'
        '<line x1="20" y1="260" x2="260" y2="20" stroke="#8888" stroke-dasharray="4 3"/>'
        f'<polyline points="{line}" fill="none" style="stroke: var(--blue, #1f6fb2)" stroke-width="2"/></svg>'
    )


def _rendered(markdown: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("js-default").render(markdown))


def _all_artifacts(steps: list[StepResult]) -> Iterator[tuple[StepResult, str, Artifact]]:
    for step in steps:
        for name, artifact in (step.outcome.artifacts if step.outcome else {}).items():
            yield step, name, artifact


def _short(value: Any, limit: int = 300) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[: limit - 1] + "…"
