"""`turnout reproduce`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.options import Json, errors


def reproduce(
    model: Annotated[str, typer.Argument(metavar="MODEL/VERSION", help="A version of a model; or MODEL@ALIAS.")],
    repository: Annotated[
        Path,
        typer.Option(help="Directory, in a clone of the code's repository, from which the training was run."),
    ] = Path(),
    tolerance: Annotated[
        float,
        typer.Option(min=0, help="How far a score on the training rows may be from what it was."),
    ] = 1e-4,
    as_json: Json = False,
) -> None:
    """Repeat the training of a model, and say whether it gives the same model. Exit 0 if it does, 1 if not.

    The code is checked out at its commit, the data by its revision, and the steps that made the model run again on this
    machine with their parameters. Nothing is registered or deployed.
    """
    with errors(as_json):
        from turnout.reproduction.repeat import reproduce as repeat

        result = repeat(
            model,
            repository=repository,
            tolerance=tolerance,
            say=lambda text: typer.secho(text, dim=True, err=True),
        )
    if as_json:
        print(json.dumps(dataclasses.asdict(result), indent=2))
    else:
        print(result.says)
        for difference in result.differences:
            print(f"{'differs, without effect' if result.same == 'bit' else 'differs'}: {difference}")
    raise typer.Exit(1 if result.same == "no" else 0)
