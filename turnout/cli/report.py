"""`turnout report`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from turnout.cli.options import Root, errors


def report(
    run_id: Annotated[
        str, typer.Argument(metavar="[RUN_ID]", help="Id of the run, or PIPELINE/RUN_ID. Default: the latest run.")
    ] = "",
    format: Annotated[Literal["markdown"], typer.Option(help="What is printed.")] = "markdown",
    root: Root = ".turnout",
) -> None:
    """Print a run for a comment on a pull request: verdict, metrics beside the champion's, gates, what was changed."""
    from turnout import verbs

    with errors():
        print(verbs.markdown_report(run_id, root=root), end="")
