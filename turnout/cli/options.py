"""What commands share: options by one name and help, and how errors are shown."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Optional

import typer

from turnout.errors import Fault, SourceError, StaleError, TurnoutError
from turnout.extras import hint_for
from turnout.project.file import current

SOURCE = "module:pipeline, path.py[:name], a compiled KFP YAML, or a .zip or .tar.gz of one"
Sources = Annotated[
    Optional[list[str]],  # noqa: UP045 - Typer reads this spelling on every Python
    typer.Argument(metavar="[SOURCE ...]", help=f"{SOURCE}. Default: the project's, every file in pipelines/."),
]
Root = Annotated[str, typer.Option(envvar="TURNOUT_ROOT", help="Path or URI under which runs are kept.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit 3 with a diff if a file is not up to date.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
Runtime = Annotated[
    Optional[str],  # noqa: UP045 - Typer reads this spelling on every Python
    typer.Option(help="The runtime that steps will have, if you know it. What it cannot do is refused."),
]


@contextlib.contextmanager
def errors(as_json: bool = False) -> Iterator[None]:
    """Print Turnout's errors without a traceback, and exit with 1; with 3 where files are not up to date.

    Args:
        as_json: print them as JSON too, for the program that reads the output.
    """
    try:
        yield
    except TurnoutError as error:
        if as_json:
            print_error(type(error).__name__, [dataclasses.asdict(fault) for fault in error.faults])
        tell(f"error: {error}")
        raise typer.Exit(3 if isinstance(error, StaleError) else 1) from None
    except ModuleNotFoundError as error:
        if not (hint := hint_for(error)):
            raise
        fault = Fault(f"no module '{error.name}'", sys.executable, hint=hint)
        if as_json:
            print_error(type(error).__name__, [dataclasses.asdict(fault)])
        typer.secho(f"error: {fault}", fg="red", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        tell("interrupted: the steps that were running have been cancelled")
        raise typer.Exit(130) from None


def tell(text: str) -> None:
    """Print what is wrong on standard error, line by line as it is; red where that is wanted and can be seen."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False).print(Text(text, style="red"), soft_wrap=True)


def print_error(kind: str, faults: list[dict[str, Any]]) -> None:
    """An error as the JSON that a command prints in the place of its result."""
    print(json.dumps({"error": kind, "faults": faults}, indent=2))


def all_pipelines() -> list[str]:
    """The files with pipelines of the project. Raises SourceError when there is none."""
    project = current()
    if not (found := project.sources()):
        hint = "name a SOURCE, or write pipelines = [...] under [tool.turnout] in pyproject.toml"
        raise SourceError(f"no {' or '.join(project.pipelines)}", where=str(project.directory), hint=hint)
    return found
