"""The page of a step: its part of a run, whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.errors import StepError
from turnout.plan.model import Collected, Field, OneOf, PipelineParameter, Source, Step, StepOutput, references
from turnout.plan.results import StepResult
from turnout.reports.numbers import duration
from turnout.reports.page import Link, Section, page
from turnout.reports.run.facts import artifact_row, mlflow_run
from turnout.reports.run.metrics import metrics_table
from turnout.reports.run.own_reports import reports_of
from turnout.reports.run.shown import ShownRun
from turnout.reports.run.values import short
from turnout.reports.run.verdicts import error_lines, moment
from turnout.spec.step_contract import Artifact, State

_LONGEST_LOG = 200_000
"""Bytes; of a longer log there is the link only."""

_LONG = 2_000


def step_page(run: ShownRun, step: StepResult) -> str:
    """The page of a step: its verdict or error, metrics, reports, inputs, outputs, artifacts and log."""
    step = next((other for other in run.steps if other.key == step.key), step)  # with the names that the plan has
    said = run.verdicts.get(step.label)
    text, good, reasons = (said.text, said.good, list(said.reasons)) if said else (step.state.label, None, [])
    if step.error:
        what, *reasons = error_lines(step.error)
        text, good = what, False
    sections = [
        *_metrics(run, step),
        *reports_of(run, step),
        *_inputs(run, step),
        _outputs(step),
        _artifacts(run, step),
        *_metadata(step),
        *_log(run, step),
    ]
    above = [*run.links.around, *([Link(f"The run {run.name}", run.links.run)] if run.links.run else [])]
    return page(
        step.label,
        [section for section in sections if section.has_content],
        about=_about(run, step),
        verdict=text,
        good=good,
        reasons=reasons,
        links=above,
    )


def _about(run: ShownRun, step: StepResult) -> str:
    outcome = step.outcome
    parts = [
        f"A step of {run.name}",
        f"{step.state.label}{', from the cache' if step.cached else ''}",
        duration(step.duration_s) if step.duration_s and not step.cached else "",
        f"started {moment(outcome.started)}" if outcome and outcome.started else "",
        f"{step.attempts} attempts" if step.attempts > 1 else "",
        f"{outcome.memory / 2**20:,.0f} MiB of memory at most" if outcome and outcome.memory else "",
    ]
    return " · ".join(filter(None, parts))


def _metrics(run: ShownRun, step: StepResult) -> Iterator[Section]:
    if step.label in run.metrics:
        yield metrics_table(run, step.label, "Metrics")


def _inputs(run: ShownRun, step: StepResult) -> Iterator[Section]:
    """What the step was given, and where that came from; the plan tells it."""
    node = next((node for node in run.plan.steps() if node.path == step.name), None) if run.plan else None
    if node is None or not run.progress:
        return
    rows = []
    for name, source in node.inputs.items():
        try:
            value: Any = run.progress.values.resolve_all({name: source}, step.iteration, step.name).get(name, "")
        except (StepError, LookupError, TypeError):
            value = ""
        items = value if isinstance(value, list) and value and isinstance(value[0], Artifact) else [value]
        told = "; ".join(short(item, _LONG) for item in items[:10])
        rows.append((name, told, _origin(run, source, step)))
    rows += [(name, short(value, _LONG), "default of the component") for name, value in _defaults(node)]
    yield Section("Inputs", "", ["input", "value", "from"], rows, stacked=True)


def _defaults(node: Step) -> Iterator[tuple[str, Any]]:
    declared = node.component.input_definitions
    for name, item in (declared.parameters if declared else {}).items():
        if name not in node.inputs and isinstance(item.default_value, str | int | float | bool | list | dict):
            yield name, item.default_value


def _origin(run: ShownRun, source: Source, step: StepResult) -> Any:
    """Where a value came from, with a link to the step that gave it."""
    found: list[Any] = []
    for inner in references(source):
        if isinstance(inner, StepOutput):
            same = next((other for other in run.steps if other.name == inner.step and _same(other, step)), None)
            found.append(run.linked(same) if same and not isinstance(source, Collected) else inner.step)
        elif isinstance(inner, PipelineParameter):
            found.append(f"parameter {inner.name}")
    unique = list(dict.fromkeys(found))
    if not unique:
        return "" if isinstance(source, Field | OneOf) else "the pipeline"
    return unique


def _same(other: StepResult, step: StepResult) -> bool:
    """Whether a step ran in the same iteration, or around it."""
    return step.iteration[: len(other.iteration)] == other.iteration


def _outputs(step: StepResult) -> Section:
    parameters = step.outcome.parameters if step.outcome else {}
    return Section(
        "Outputs", "", ["output", "value"], [(name, short(value, _LONG)) for name, value in parameters.items()]
    )


def _artifacts(run: ShownRun, step: StepResult) -> Section:
    artifacts = step.outcome.artifacts if step.outcome else {}
    rows = [(*artifact_row(run, step, name, item)[1:], mlflow_run(item.metadata)) for name, item in artifacts.items()]
    return Section("Artifacts", "", ["artifact", "type", "where", "MLflow"], rows, stacked=True).without_empty()


def _metadata(step: StepResult) -> Iterator[Section]:
    """What is said of each artifact, folded."""
    parts = []
    for name, artifact in (step.outcome.artifacts if step.outcome else {}).items():
        said: Mapping[str, Any] = artifact.metadata
        if said and artifact.type not in ("system.Metrics", "system.ClassificationMetrics"):
            text = json.dumps(dict(said), indent=1, ensure_ascii=False, default=str)
            parts.append(Section("", folded=f"What is said of {name}", code=text[:_LONGEST_LOG]))
    if parts:
        yield Section("Metadata", parts=parts)


def _log(run: ShownRun, step: StepResult) -> Iterator[Section]:
    uri = step.outcome.log if step.outcome else ""
    if not uri:
        return
    address = run.links.log(step)
    links = [Link("The log by itself", address)] if address else []
    content = run.read(uri, _LONGEST_LOG)
    if isinstance(content, str):
        yield Section("Log", f"Not shown: {content}.", links=links)
        return
    text = content.decode(errors="replace")
    lines = text.count("\n") + bool(text and not text.endswith("\n"))
    folded = f"{lines:,} lines" if lines != 1 else "1 line"
    inner = Section("", folded=folded, unfolded=step.state is State.FAILED, code=text)
    yield Section("Log", "" if text else "It is empty.", parts=[inner] if text else [], links=links)
