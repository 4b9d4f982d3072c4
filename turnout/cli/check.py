"""`turnout check`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.cli.options import Json, Runtime, Source, errors


def check(
    source: Source,
    track: Annotated[Optional[str], typer.Option(help="Only this track. Default: all tracks.")] = None,  # noqa: UP045
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Report all faults, and what each track keeps, lowers and refuses. Exit 1 when there is a fault."""
    from turnout import verbs

    with errors():
        outcome = verbs.check(source, track, runtime)
    if as_json:
        print(json.dumps(outcome, indent=2, default=str))
    else:
        _show(outcome)
    raise typer.Exit(1 if outcome["faults"] else 0)


def _show(outcome: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for name, verdicts in outcome["tracks"].items():
        counts = ", ".join(f"{len(entries)} {verdict}" for verdict, entries in verdicts.items())
        console.print(f"[bold]{outcome['pipeline']}[/bold] on [bold]{name}[/bold]: {counts}")
        rows: dict[tuple[str, str, str], list[str]] = {}
        for verdict in ("lowered", "refused"):
            for entry in verdicts[verdict]:
                rows.setdefault((verdict, entry["fact"], entry.get("how", "")), []).append(entry["where"])
        if rows:
            table = Table("", "fact", "places", "how")
            for (verdict, fact, how), places in rows.items():
                table.add_row(
                    Text(verdict, style="red" if verdict == "refused" else "yellow"), fact, str(len(places)), how
                )
            console.print(table)
    for fault in outcome["faults"]:
        console.print(Text(f"fault: {fault}", style="red"))
    if not outcome["faults"]:
        console.print(Text("no faults", style="green"))
