"""`turnout check`: the faults of a pipeline, and what each track keeps, lowers and refuses."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.errors import Fault, FaultsError, TurnoutError, did_you_mean
from turnout.plan.link import link
from turnout.spec.document import Document
from turnout.tracks import airflow
from turnout.tracks.runtimes import RUNTIMES, TABLES, check_runtime
from turnout.tracks.support import AIRFLOW, report


def checked(document: Document, track: str | None, runtime: str | None = None) -> dict[str, Any]:
    """The report of a document, in JSON's types: `{pipeline, faults, tracks: {TRACK: {kept, lowered, refused}}}`.

    Raises:
        TurnoutError: there is no such track.
    """
    if track is not None and track not in TABLES:
        raise TurnoutError(str(Fault(f"no track '{track}'", "", tuple(TABLES), did_you_mean(track, TABLES))))
    faults = [str(fault) for fault in check_runtime(document, runtime)] if runtime else []
    try:
        link(document)
    except FaultsError as error:
        faults.extend(str(fault) for fault in error.faults)
    tracks: dict[str, Any] = {}
    for name in [track] if track else TABLES:
        on_runtime = name == "airflow" and runtime in RUNTIMES
        sorted_out = report(document, {**AIRFLOW, **RUNTIMES[str(runtime)]} if on_runtime else TABLES[name])
        tracks[name] = {
            verdict: [
                {"fact": fact.kind, "where": fact.where, **({"how": how.how} if how.how else {})}
                for fact, how in entries
            ]
            for verdict, entries in sorted_out.items()
        }
        if not faults and name != "kfp":
            faults.extend(f"{name}: {fact.kind} {how.how} @ {fact.where}" for fact, how in sorted_out["refused"])
    if "airflow" in tracks and not faults:
        faults.extend(str(fault) for fault in airflow.faults(document))
    return {"pipeline": document.name, "faults": faults, "tracks": tracks}


def show_check(outcome: dict[str, Any]) -> None:
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
