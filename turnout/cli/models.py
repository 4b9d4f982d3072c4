"""`turnout models`: the registered models, who serves, and what drifted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.cli.options import Json, Root, errors
from turnout.errors import Fault

if TYPE_CHECKING:
    from turnout.plan.model_history import ModelHistory

_SHOWN = 10
"""Versions of a model that are listed, the latest."""


def models(
    root: Root = ".turnout",
    html: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="FILE", help="Write them as a page, with drift over days; a terminal opens it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that runs have registered: their versions, who serves, and what drifted last."""
    from turnout.cli.compare import run_page, write_page
    from turnout.execution.run_summaries import run_summaries
    from turnout.execution.store import ArtifactStore
    from turnout.plan.model_history import model_histories

    with errors(as_json):
        store = ArtifactStore(root)
        runs = run_summaries(store)
        found = model_histories(runs)
        if html:
            from turnout.reports.models import models_page

            write_page(html, models_page(runs, run_link=run_page(store)))
    if as_json:
        print(json.dumps([_plain(history) for history in found], indent=2))
    elif not found and not html:
        print(Fault("no run has registered a model", root))
    elif not html:
        for history in found:
            _print(history)


def _print(history: ModelHistory) -> None:
    from turnout.plan.model_history import day
    from turnout.plan.run_table import metric_columns, time_text
    from turnout.reports.numbers import short

    console = Console(highlight=False)
    made = [version.made_by for version in reversed(history.versions) if version.made_by]
    metrics = metric_columns(made)[: 1 if console.width < 100 else 3]
    table = Table(title=history.name, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("version")
    for name in metrics:
        table.add_column(name, justify="right")
    for name in ("form", "registered", "serves since", "made by"):
        table.add_column(name, overflow="fold")
    for version in history.versions[:_SHOWN]:
        run = version.made_by
        serves = version.version == history.serves
        numbers = [short(found.value) if run and (found := run.metric(name)) else "" for name in metrics]
        since = Text(time_text(history.since) if serves else "", "green")
        table.add_row(
            version.version, *numbers, version.form, time_text(version.registered), since, run.name if run else ""
        )
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for version in history.versions[:_SHOWN]:
        if version.form_reason and version.form != "compiled":
            reasons.setdefault(version.form_reason, []).append(version.version)
    for reason, of in reasons.items():
        console.print(Text(f"version {', '.join(of)}: {reason}"))
    if history.checks:
        _, last = history.checks[-1]
        console.print(Text(f"{day(last)}: {last.text}", "yellow" if last.alert else "green"))


def _plain(history: ModelHistory) -> dict[str, Any]:
    """A model in JSON's types; of runs their names."""
    versions = [
        {**dataclasses.asdict(dataclasses.replace(item, made_by=None)), "made_by": item.made_by and item.made_by.name}
        for item in history.versions
    ]
    checks = [{"run": run.name, **dataclasses.asdict(check)} for run, check in history.checks]
    put_by = history.put_by and history.put_by.name
    facts = {"name": history.name, "serves": history.serves, "since": history.since, "put_by": put_by}
    return {**facts, "versions": versions, "checks": checks}
