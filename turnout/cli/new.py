"""`turnout init` and `turnout new`: projects, components and pipelines to begin with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from turnout.cli.options import errors
from turnout.project.file import current


def init(
    directory: Annotated[Path, typer.Argument(metavar="NAME", help="Directory of the project; . for this one.")],
) -> None:
    """Start a project that works: components, a pipeline, its DAG, tests, CI checks and a project file."""
    from turnout import verbs
    from turnout.project.new import new_project

    with errors():
        written = new_project(directory)
        pipeline = next(path for path in written if path.parent.name == "pipelines" and path.name != "__init__.py")
        written += [directory / "dags" / name for name in verbs.compile(str(pipeline), out=directory / "dags")]
    for path in written:
        print(path)
    print(f"next: cd {directory}, then do the two commands of README.md")


def new(
    kind: Annotated[Literal["component", "pipeline"], typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="Its name.")],
) -> None:
    """Write a component with its test, or a pipeline, into the project of this directory."""
    from turnout.project.new import new_component, new_pipeline

    with errors():
        for path in (new_component if kind == "component" else new_pipeline)(name, current()):
            print(os.path.relpath(path))
