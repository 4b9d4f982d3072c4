"""`turnout environments`: the environments that steps have of their own."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from turnout.cli.options import Json, errors
from turnout.errors import Fault

commands = typer.Typer(no_args_is_help=True, help="List or remove the environments that components have of their own.")


@commands.command("list")
def list_environments(as_json: Json = False) -> None:
    """List the environments that are kept on this machine, with what each was asked for."""
    from turnout.execution.environments import cache_directory, environments

    with errors(as_json):
        found = sorted(environments(), key=lambda environment: environment.used)
    if as_json:
        print(json.dumps([dataclasses.asdict(environment) for environment in found], indent=2))
        return
    table = Table("requirements", "python", "last used", "MB", "directory")
    for item in found:
        used = item.used[:16].replace("T", " ")
        table.add_row("\n".join(item.asked), item.python, used, f"{item.size / 1e6:.0f}", item.path)
    Console(highlight=False).print(table if found else str(Fault("no environments are kept", str(cache_directory()))))


@commands.command()
def prune(
    unused_for: Annotated[
        float, typer.Option(metavar="DAYS", min=0, help="Remove only those that no step has used for so long.")
    ] = 30.0,
) -> None:
    """Remove environments, and what a killed run left of them. A step that needs one again makes it anew."""
    from turnout.execution import environments

    with errors():
        removed = environments.prune(datetime.timedelta(days=unused_for))
    for path in removed:
        print(f"removed {path}")
    print(f"removed {len(removed)} environments")
