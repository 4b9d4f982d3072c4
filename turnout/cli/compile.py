"""`turnout compile`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from turnout.cli.annotations import FORMATS, Annotation
from turnout.cli.answers import Cache, answers_of
from turnout.cli.options import Check, Runtime, Sources, all_pipelines, errors
from turnout.errors import Fault, FaultsError, StaleError

if TYPE_CHECKING:
    from turnout.tracks.files import Stale


def compile(
    sources: Sources = None,
    track: Annotated[Optional[str], typer.Option(help="The track. Default: a DAG file for Airflow.")] = None,  # noqa: UP045
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory for the files.")] = Path("dags"),
    runtime: Runtime = None,
    check: Check = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Name images by the digests that turnout build --push has written.")
    ] = False,
    format: Annotated[
        Literal["text", "github", "sarif"], typer.Option(help="With --check: how to print what is not up to date.")
    ] = "text",
    cache: Cache = True,
) -> None:
    """Compile pipelines to files: to DAG files, or to what the chosen track runs.

    Without a SOURCE, DAG files in DIR that an earlier compilation wrote, and whose pipeline is gone, are removed.
    """
    from turnout.tracks.files import left_over

    options = {"runtime": runtime, "pin": pin} | ({"track": track} if track else {})
    with errors():
        files = compile_all(sources or all_pipelines(), options, cache)
        write(files, out, check, "run turnout compile", () if sources else left_over(files, out), format)


def compile_all(sources: Iterable[str], options: dict[str, Any] = {}, cache: bool = True) -> dict[Path, str]:
    """The files of several pipelines.

    Args:
        options: those of `turnout.verbs.compile`.
        cache: whether what was compiled before is used where nothing has changed.

    Raises:
        TurnoutError: what is wrong with any of them, all together; two of them compile to one file.
    """
    files: dict[Path, str] = {}
    owners: dict[Path, str] = {}
    faults: list[Fault] = []
    sources = list(dict.fromkeys(sources))
    for source, answer in zip(sources, answers_of(sources, "compile", options, cache), strict=True):
        faults += answer.faults
        made = {Path(name): text for name, text in (answer.value or {}).items()}
        for name in made.keys() & files.keys():
            what = f"{owners[name]} and {source} both compile to {name}"
            faults.append(Fault(what, hint="give the pipelines different names"))
        files |= made
        owners |= dict.fromkeys(made, source)
    if faults:
        raise FaultsError(list(dict.fromkeys(faults)))
    return files


def write(
    files: dict[Path, str], out: Path, check: bool, hint: str, left_over: Iterable[Path] = (), format: str = "text"
) -> None:
    """Write files, or print how they differ from those that are there.

    Args:
        hint: what brings them up to date.
        left_over: files that should be there no more.
        format: how to print the differences: `text`, or one of `turnout.cli.annotations.FORMATS`.
    """
    from turnout.tracks.files import stale, write_files

    surplus = list(left_over)
    if not check:
        for path in write_files(files, out):
            print(path)
        for path in surplus:
            path.unlink()
            print(f"removed {path}")
        return
    found = stale(files, out)
    if format in FORMATS:
        print(FORMATS[format](_annotations(found, surplus, hint)), end="")
    else:
        _show(found, surplus)
    if found:
        raise StaleError(f"{len(found)} of {len(files)} files are stale", where=str(out), hint=hint)
    if surplus:
        raise StaleError(f"{len(surplus)} files are of pipelines that are gone", where=str(out), hint=hint)


def _show(found: Iterable[Stale], surplus: Iterable[Path]) -> None:
    """The lines that differ; and below them, where a person looks first, what that means for the pipelines."""
    for file in found:
        print(file.diff, end="")
    for path in surplus:
        print(f"{path}: its pipeline is gone")
    for file in found:
        if changes := file.changes():
            print("\n".join([f"{file.path}: what has changed in the pipeline", *(f"  {line}" for line in changes)]))


def _annotations(found: Iterable[Stale], surplus: Iterable[Path], hint: str) -> Iterator[Annotation]:
    for file in found:
        what = "not up to date" if file.there else "missing"
        yield Annotation("stale", "\n".join([f"{what}: {hint}", *file.changes()]), str(file.path))
    for path in surplus:
        yield Annotation("stale", f"its pipeline is gone: {hint}", str(path))
