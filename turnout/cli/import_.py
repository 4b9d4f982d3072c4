"""`turnout import`: an existing KFP project becomes one of Turnout's."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from turnout.cli.annotations import FORMATS
from turnout.cli.annotations import of_faults as annotations_of
from turnout.cli.options import Json, errors, tell
from turnout.errors import Fault, ProjectError

if TYPE_CHECKING:
    from turnout.migration.survey import Survey


def import_(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A .py file, a directory of such, or a compiled KFP YAML.")
    ],
    write: Annotated[bool, typer.Option(help="Add what was found to the project file, pyproject.toml.")] = True,
    as_json: Json = False,
    format: Annotated[
        Literal["text", "json", "github", "sarif"],
        typer.Option(help="How to print it; github and sarif have the faults alone."),
    ] = "text",
) -> None:
    """Find the pipelines of a KFP project, check each on every track, and add them to the project file.

    The Python files are imported, and stay as they are. Exit 1 when there is a fault.
    """
    from turnout.migration.survey import survey
    from turnout.project.pipelines import name_pipelines

    as_json = as_json or format == "json"
    with errors(as_json):
        found = survey(source)
        kept = [item.source for item in found.pipelines if not item.faults and not item.part_of]
        written, refusal = None, None
        try:
            written = name_pipelines(kept) if write and kept else None
        except ProjectError as error:
            refusal = error
    if as_json:
        print(json.dumps(_as_json(found, str(written) if written else None, refusal), indent=2, default=str))
    elif format in FORMATS:
        outcomes = [{"source": item.source, "faults": item.faults} for item in found.pipelines]
        outcomes.append({"source": source, "faults": [dataclasses.asdict(fault) for fault in found.faults]})
        print(FORMATS[format](annotations_of(outcomes)), end="")
    else:
        _show(found)
        if written:
            print(f"written: {written}")
        if kept and write and not refusal:
            print("next: turnout check, then turnout compile")
    if refusal:
        tell(f"error: {refusal}")
    faulty = refusal or found.faults or any(item.faults for item in found.pipelines)
    raise typer.Exit(1 if faulty else 0)


def _as_json(found: Survey, written: str | None, refusal: ProjectError | None) -> dict[str, object]:
    faults = [*found.faults, *(refusal.faults if refusal else ())]
    return {
        "pipelines": [dataclasses.asdict(item) for item in found.pipelines],
        "faults": [dataclasses.asdict(fault) for fault in faults],
        "written": written,
    }


def _show(found: Survey) -> None:
    console = Console(highlight=False)
    for item in found.pipelines:
        told = Text("to do", "red") if item.faults else Text("runs unchanged", "green")
        part = f", a part of {item.part_of}" if item.part_of else ""
        line = Text.assemble((item.name, "bold"), f" ({item.source}{part}): ", told)
        console.print(line, soft_wrap=True)
        for entry in item.faults:
            fault = Fault(**{key: value for key, value in entry.items() if key != "track"})
            track = f"{entry['track']}: " if entry["track"] else ""
            console.print(Text(textwrap.indent(f"{track}{fault}", "  "), style="red"), soft_wrap=True)
    for fault in found.faults:
        console.print(Text(f"fault: {fault}", style="red"), soft_wrap=True)
    if lowered := _lowered(found):
        table = Table("done by other means", "how", "on")
        for (fact, how), tracks in lowered.items():
            table.add_row(fact, how, ", ".join(sorted(tracks)))
        console.print(table)
    good, count = sum(not item.faults for item in found.pipelines), len(found.pipelines)
    console.print(f"{good} of {count} pipelines run unchanged on every track" if count else "no pipeline")


def _lowered(found: Survey) -> dict[tuple[str, str], set[str]]:
    """The tracks by what they do by other means, and how."""
    tracks: dict[tuple[str, str], set[str]] = {}
    for item in found.pipelines:
        for fact, how, track in item.lowered():
            tracks.setdefault((fact, how), set()).add(track)
    return tracks
