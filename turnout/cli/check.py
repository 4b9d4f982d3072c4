"""`turnout check`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.cli.annotations import FORMATS, Format, of_faults
from turnout.cli.answers import Cache, answers_of
from turnout.cli.options import Json, Runtime, Sources, all_pipelines, errors
from turnout.errors import Fault


def check(
    sources: Sources = None,
    track: Annotated[Optional[str], typer.Option(help="Only this track. Default: all tracks.")] = None,  # noqa: UP045
    runtime: Runtime = None,
    as_json: Json = False,
    format: Annotated[Format, typer.Option(help="How to print it; github and sarif have the faults alone.")] = "text",
    cache: Cache = True,
) -> None:
    """Report all faults, and what each track keeps, lowers and refuses. Exit 1 when there is a fault."""
    as_json = as_json or format == "json"
    with errors(as_json):
        checked = check_all(sources or all_pipelines(), track, runtime, cache)
    if as_json:
        print(json.dumps({"pipelines": checked}, indent=2, default=str))
    elif format in FORMATS:
        print(FORMATS[format](of_faults(checked)), end="")
    else:
        for outcome in checked:
            _show(outcome)
    raise typer.Exit(1 if any(outcome["faults"] for outcome in checked) else 0)


def check_all(
    sources: list[str], track: str | None = None, runtime: str | None = None, cache: bool = True
) -> list[dict[str, Any]]:
    """What `turnout.verbs.check` says of each source; of one that is no pipeline, its faults.

    Args:
        cache: whether what was found before is used where nothing has changed.
    """
    if track:
        from turnout.tracks import registry

        registry.track(track)  # an unknown one is no fault of a pipeline
    sources = list(dict.fromkeys(sources))
    found = answers_of(sources, "check", {"track": track, "runtime": runtime}, cache)
    checked = []
    for source, answer in zip(sources, found, strict=True):
        faults = [{"track": None, **dataclasses.asdict(fault)} for fault in answer.faults]
        checked.append({"source": source, **(answer.value or {"pipeline": None, "faults": faults, "tracks": {}})})
    return checked


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
    for entry in outcome["faults"]:
        fault = Fault(**{key: value for key, value in entry.items() if key != "track"})
        track = f"{entry['track']}: " if entry["track"] else ""
        console.print(Text(f"fault: {track}{fault}", style="red"))
    what = outcome["pipeline"] or outcome["source"]
    if not outcome["faults"]:
        console.print(Text(f"{what}: no faults", style="green"))
