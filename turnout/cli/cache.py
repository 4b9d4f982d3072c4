"""`turnout cache`: the results of steps that later runs may use."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from turnout.cli.options import Json, Root, errors
from turnout.errors import Fault

commands = typer.Typer(no_args_is_help=True, help="List or forget the results of steps that later runs may use.")


@commands.command("list")
def list_results(root: Root = ".turnout", as_json: Json = False) -> None:
    """List the results that are kept."""
    from turnout.execution.cache import Cache
    from turnout.execution.store import ArtifactStore

    with errors(as_json):
        entries = list(Cache(ArtifactStore(root)).entries())
    if as_json:
        print(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2))
        return
    table = Table("step", "pipeline", "run", "created", "fingerprint")
    for entry in sorted(entries, key=lambda entry: entry.created):
        created = entry.created[:19].replace("T", " ")
        table.add_row(entry.step, entry.pipeline, entry.run_id, created, entry.fingerprint[:12])
    Console(highlight=False).print(table if entries else str(Fault("no results are kept", root)))


@commands.command()
def prune(
    root: Root = ".turnout",
    older_than: Annotated[float, typer.Option(metavar="DAYS", min=0, help="Forget only results that are older.")] = 0.0,
) -> None:
    """Forget results, so that their steps run again. Runs and their artifacts stay."""
    from turnout.execution.cache import Cache
    from turnout.execution.store import ArtifactStore

    with errors():
        count = Cache(ArtifactStore(root)).prune(datetime.timedelta(days=older_than))
        print(f"forgot {count} results")
