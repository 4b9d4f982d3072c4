"""`turnout compare`: runs side by side, in the terminal and as a page."""

from __future__ import annotations

import dataclasses
import json
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.cli.options import Json, Root, errors
from turnout.errors import StoreError

if TYPE_CHECKING:
    from turnout.execution.store import ArtifactStore
    from turnout.plan.comparison import Comparison, MetricRow
    from turnout.plan.run_summary import RunSummary


def compare(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN_ID...", help="Ids of runs, or PIPELINE/RUN_ID.")],
    root: Root = ".turnout",
    html: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="FILE", help="Write it as a page, with curves; a terminal opens it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what differs between runs: parameters, metrics, steps, data. The first is what others are held against."""
    from turnout.execution.run_summaries import find_run, run_details, run_summaries
    from turnout.execution.store import ArtifactStore
    from turnout.plan.comparison import compared

    with errors(as_json):
        store = ArtifactStore(root)
        runs = run_summaries(store)
        chosen = list({run.name: run for run in (find_run(runs, name, root) for name in run_ids)}.values())
        if len(chosen) < 2:
            raise StoreError("one run cannot be compared", where=root, hint="name two or more: turnout runs lists them")
        found = compared([run_details(store, run) for run in chosen])
        if html:
            from turnout.reports.compare import compare_page

            write_page(html, compare_page(found, run_link=run_page(store)))
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2, default=str))
    elif not html:
        _print(found)


def run_page(store: ArtifactStore) -> Callable[[RunSummary], str]:
    """The address of a local run's report; empty where it has none."""
    from turnout.spec.step_contract import Run

    def address(run: RunSummary) -> str:
        report = store.run_path(Run(run.pipeline, run.run_id, "")) / "report.html"
        return Path(str(report)).as_uri() if store.is_local and report.exists() else ""

    return address


def write_page(file: Path, text: str) -> None:
    """Write a page, say where it is, and on a terminal open it.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the page cannot be written: {error.strerror}", where=str(file)) from error
    typer.echo(f"page: {file}", err=True)
    if sys.stdout.isatty():
        webbrowser.open(file.absolute().as_uri())


def _print(found: Comparison) -> None:
    from turnout.reports.compare import best_text

    console = Console(highlight=False)
    names = [found.name(index) for index in range(len(found.runs))]
    console.print(Text(best_text(found)[0], "bold"))
    for note in found.notes:
        console.print(Text(note, "yellow"))
    rows = [[item.name, *item.values] for item in found.parameters]
    _table(console, "parameters that differ", ["", *names], rows)
    metrics = [[row.name, *(_value(row, index) for index in range(len(names)))] for row in found.metrics]
    _table(console, "metrics, with the difference to the first run", ["", *names], metrics)
    if any("~" in str(cell) for row in metrics for cell in row):
        console.print(
            Text(
                "~ within the 95 % intervals of the two, as if measured on different rows; the same rows tell surer",
                "dim",
            )
        )
    steps = [[row.name, ", ".join(row.differs), *row.ends] for row in found.steps if row.differs]
    _table(console, "steps that differ", ["", "in", *names], steps)
    _table(console, "data that differs", ["", *names], [[item.name, *item.values] for item in found.data])


def _value(row: MetricRow, index: int) -> Text:
    from turnout.reports.compare import signed
    from turnout.reports.numbers import short

    found = row.values[index]
    if found is None:
        return Text("")
    difference = row.difference(index) if index else None
    told = f" ({signed(difference)}{'~' if row.within_interval(index) else ''})" if difference is not None else ""
    return Text(f"{short(found.value)}{told}", "bold green" if row.best == index else "")


def _table(console: Console, title: str, columns: list[str], rows: list[list[Any]]) -> None:
    if not rows:
        console.print(Text(f"{title}: none", "dim"))
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
