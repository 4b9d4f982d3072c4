"""The registered models: their versions, who serves, and what drifted, from the records of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from turnout.plan.model_history import ModelHistory, Version, day, model_histories
from turnout.plan.run_summary import RunSummary
from turnout.plan.run_table import metric_columns, time_text
from turnout.reports.numbers import short
from turnout.reports.page import Link, Mark, Number, Section, page
from turnout.reports.runs import RunLink, drift_sections, link

MOST_VERSIONS = 50
"""Versions of a model in its table, the latest."""


def models_page(
    runs: Sequence[RunSummary],
    *,
    run_link: RunLink = lambda run: "",
    version_link: Callable[[str, str], str] = lambda model, version: "",
) -> str:
    """The page of all models under a root.

    Args:
        runs: all of the root's.
        version_link: the address of a version in MLflow, from the model's name and the version; empty for none.
    """
    histories = model_histories(runs)
    alarms = [reason for history in histories if (reason := _alarm(history))]
    served = [f"{history.name} {history.serves}" for history in histories if history.serves]
    verdict = f"In service: {', '.join(served)}" if served else "No model is in service"
    sections = [section for history in histories for section in _sections(history, run_link, version_link)]
    about = "What runs have recorded; what was changed in the registry by hand is not here." if histories else ""
    return page("Models", sections, verdict=verdict, good=not alarms, reasons=alarms, about=about)


def _alarm(history: ModelHistory) -> str:
    """What the last check of a model's data has found, if it was told of."""
    if not history.checks:
        return ""
    _, last = history.checks[-1]
    return f"{history.name}: {last.text} on {day(last)}" if last.alert else ""


def _sections(history: ModelHistory, run_link: RunLink, version_link: Callable[[str, str], str]) -> list[Section]:
    made = [version.made_by for version in history.versions if version.made_by]
    metrics = metric_columns(list(reversed(made)))
    columns = ["version", "service", *metrics, "form", "registered (UTC)", "served (UTC)", "made by", "MLflow"]
    shown = [
        version
        for place, version in enumerate(history.versions)
        if place < MOST_VERSIONS or version.version == history.serves
    ]
    rows = [_row(history, version, metrics, run_link, version_link) for version in shown]
    put = f" by {history.put_by.pipeline} {history.put_by.run_id}" if history.put_by else ""
    text = (
        f"Version {history.serves} serves; it was put into service on {time_text(history.since)} UTC{put}."
        if history.serves
        else "No version was put into service."
    )
    if len(shown) < len(history.versions):
        text += f" The latest {MOST_VERSIONS} of {len(history.versions):,} versions."
    return [
        Section(history.name, text, columns, rows, stacked=True),
        *drift_sections(history.checks, run_link, f"{history.name}: what drifted, and when"),
    ]


def _row(
    history: ModelHistory,
    version: Version,
    metrics: Sequence[str],
    run_link: RunLink,
    version_link: Callable[[str, str], str],
) -> list[object]:
    run = version.made_by
    values = [Number(short(found.value) if run and (found := run.metric(name)) else "") for name in metrics]
    times = "; ".join(f"{time_text(start)} to {time_text(end) or 'now'}" for start, end in version.served)
    address = version_link(history.name, version.version)
    return [
        version.version,
        Mark("serves", "good") if version.version == history.serves else "",
        *values,
        version.form,
        time_text(version.registered),
        times,
        link(f"{run.pipeline} {run.run_id}", run_link(run)) if run else "",
        Link("open", address) if address else "",
    ]
