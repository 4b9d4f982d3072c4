"""`turnout compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from turnout.cli.options import Check, Runtime, all_pipelines, errors
from turnout.errors import TurnoutError


def compile(
    sources: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Argument(metavar="[SOURCE ...]", help="Pipelines to compile. Default: every file in pipelines/."),
    ] = None,
    track: Annotated[Optional[str], typer.Option(help="The track. Default: a DAG file for Airflow.")] = None,  # noqa: UP045
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory for the files.")] = Path("dags"),
    runtime: Runtime = None,
    check: Check = False,
) -> None:
    """Compile pipelines to files: to DAG files, or to what the chosen track runs."""
    from turnout import verbs

    named = {"track": track} if track else {}
    with errors():
        files: dict[Path, str] = {}
        for source in sources or all_pipelines():
            files |= verbs.compile(source, runtime=runtime, **named)
        write(files, out, check, "run turnout compile")


def write(files: dict[Path, str], out: Path, check: bool, hint: str) -> None:
    """Write files, or print how they differ from those that are there."""
    from turnout.tracks.files import stale, write_files

    if not check:
        for path in write_files(files, out):
            print(path)
        return
    diffs = stale(files, out)
    for diff in diffs:
        print(diff, end="")
    if diffs:
        raise TurnoutError(f"{len(diffs)} of {len(files)} files are stale", where=str(out), hint=hint)
