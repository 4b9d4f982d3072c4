"""What a run was given and what it left: parameters, data, models, outputs, artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from turnout.plan.results import StepResult
from turnout.reports.page import Link, Section
from turnout.reports.run.shown import ShownRun, link_or_text
from turnout.reports.run.values import short
from turnout.spec.step_contract import Artifact

_MOST = 100


def parameters_section(run: ShownRun) -> Section:
    """Those that differ from the defaults; the others folded."""
    given = dict(run.parameters)
    defaults: dict[str, Any] = {}
    if run.plan:
        defaults = {name: item.default for name, item in run.plan.parameters.items() if not item.required}
    changed = run.record.get("changed")
    if not run.plan and changed is None:
        return Section(
            "Parameters", "", ["parameter", "value"], [(name, short(value)) for name, value in given.items()]
        )
    names = set(changed or ()) | {name for name, value in given.items() if name in defaults and value != defaults[name]}
    names |= {name for name in given if run.plan and name not in defaults}
    rows: list[tuple[Any, ...]] = []
    for name, value in given.items():
        if name in names:
            default = [f"default {short(defaults[name])}" if name in defaults else ""] if defaults else []
            rows.append((name, short(value), *default))
    columns = ["parameter", "value", *([""] if defaults else [])]
    rest = [(name, short(value)) for name, value in given.items() if name not in names]
    text = "" if rows or not given else "All have their defaults."
    words = "1 parameter that has its default" if len(rest) == 1 else f"{len(rest)} parameters that have their defaults"
    parts = [Section("", "", ["parameter", "value"], rest, folded=words)] if rest else []
    heading = "Parameters that differ from the defaults" if rows else "Parameters"
    return Section(heading, text, columns, rows, parts=parts, stacked=bool(defaults))


def data_section(run: ShownRun) -> Section:
    """The tables of a run: their rows, of when, from where."""
    rows = []
    for step, name, artifact in run.artifacts():
        said = artifact.metadata
        if artifact.type != "system.Dataset" or not (said.get("rows") or said.get("source")):
            continue
        count = said.get("rows")
        whole = int(count) if isinstance(count, int | float) else ""
        source = " ".join(str(said[key]) for key in ("source", "revision") if said.get(key))
        rows.append(
            (f"{step.label}.{name}", whole, *_period(said), short(source, 120), str(said.get("data_digest", ""))[:19])
        )
    columns = ["table", "rows", "from", "until", "source", "digest"]
    return Section("Data", _limit(rows, "tables"), columns, rows[:_MOST], stacked=True).without_empty()


def model_section(run: ShownRun) -> Section:
    """What was trained, and which versions were registered or put into service."""
    rows: list[tuple[Any, ...]] = []
    server = ""
    for step, name, artifact in run.artifacts():
        said = artifact.metadata
        if artifact.type == "system.Model":
            server = server or _server(said)
            rows.append(
                (run.linked(step), f"{name}: {said['estimator']}" if said.get("estimator") else name, mlflow_run(said))
            )
    for event in run.summary.versions:
        version = f"{event.model}, version {event.version}"
        address = f"{server}/#/models/{event.model}/versions/{event.version}" if server else ""
        what = "put into service" if event.serves else "registered"
        if event.serves:
            what += f", in the place of version {event.previous}" if event.previous else ", the first"
        rows.append((run.linked(event.step), link_or_text(version, address), what))
    return Section("Model", _limit(rows, "entries"), ["step", "model", "what became of it"], rows[:_MOST], stacked=True)


def outputs_section(run: ShownRun) -> Section:
    rows = [(name, short(value)) for name, value in (run.record.get("outputs") or {}).items()]
    return Section("Outputs", "", ["name", "value"], rows)


def artifacts_section(run: ShownRun) -> Section:
    """Everything the steps have left, and where; folded."""
    rows = [artifact_row(run, step, name, artifact) for step, name, artifact in run.artifacts()]
    words = f"{len(rows):,} artifacts and where they are" if len(rows) != 1 else "1 artifact and where it is"
    columns = ["step", "artifact", "type", "where"]
    inner = Section("", _limit(rows, "artifacts"), columns, rows[:_MOST], folded=words, stacked=True)
    return Section("Artifacts", parts=[inner] if rows else [])


def artifact_row(run: ShownRun, step: StepResult, name: str, artifact: Artifact) -> tuple[Any, ...]:
    kind = artifact.type.removeprefix("system.")
    return run.linked(step), link_or_text(name, run.links.artifact(step, name, artifact)), kind, short(artifact.uri)


def mlflow_run(said: Mapping[str, Any]) -> Any:
    """The MLflow run that an artifact's metadata names, as a cell: a link where MLflow has a server."""
    run = str(said.get("mlflow_run_id") or "")
    if not run:
        return ""
    server, experiment = _server(said), said.get("mlflow_experiment_id", 0)
    return Link("MLflow run", f"{server}/#/experiments/{experiment}/runs/{run}") if server else f"MLflow run {run}"


def _server(said: Mapping[str, Any]) -> str:
    address = str(said.get("mlflow_tracking_uri", ""))
    return address.rstrip("/") if address.startswith(("http://", "https://")) else ""


def _period(said: Mapping[str, Any]) -> Iterator[str]:
    """Of when the rows are: the times in them, or else those that were asked for."""
    times, interval = said.get("times"), said.get("interval")
    found, ends = (times, ("first", "last")) if isinstance(times, Mapping) else (interval, ("since", "until"))
    for end in ends:
        yield str(found.get(end, ""))[:16].replace("T", " ") if isinstance(found, Mapping) else ""


def _limit(rows: list[Any], what: str) -> str:
    return f"{_MOST} of {len(rows):,} {what} are shown." if len(rows) > _MOST else ""
