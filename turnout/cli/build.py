"""`turnout build`."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from turnout.cli.options import Json, Sources, all_pipelines, errors, tell


def build(
    sources: Sources = None,
    push: Annotated[bool, typer.Option("--push", help="Push it, and write its digest to images.json.")] = False,
    builder: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(metavar="docker|podman|buildah", help="What builds. Default: the first of them that works."),
    ] = None,
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="OPTION", help="A further option of the builder: --option=--network=host."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the project's image: its code, and what it requires, on the components image.

    On top of it, one for each set of requirements that components have of their own.

    All components of the pipelines that run in it must be importable in it. The digest is written beside the compiled
    files, where Airflow's steps, turnout submit and turnout compile --pin read it.
    """
    from turnout import verbs
    from turnout.images.build import build as build_images
    from turnout.images.builders import find_builder
    from turnout.images.project import image_name, project_code, project_image, requirement_images
    from turnout.project.file import current
    from turnout.spec.image_digests import write_digests

    with errors(as_json):
        project, found = current(), find_builder(builder or "")
        image_name(project)
        documents = [verbs.linked(source).document for source in dict.fromkeys(sources or all_pipelines())]
        code = project_code(project)
        image = project_image(project, code, documents)
        images = [image, *requirement_images(image, documents)]
        if code.unknown:
            tell(f"not in the image, since git does not know them: {', '.join(code.unknown)}")
        epoch = os.environ.get("SOURCE_DATE_EPOCH", code.epoch)
        built = build_images(images, found, push=push, watch=_watch, epoch=epoch, options=option or [])
        if push:
            digests = {item.name: item.digest for item in built}
            print(write_digests(Path(project.path(project.dags)), digests), file=sys.stderr)
    if as_json:
        print(json.dumps([dataclasses.asdict(item) for item in built], indent=2))
    else:
        for item in built:
            print(f"{item.name} {item.digest}".rstrip())


def _watch(line: str) -> None:
    print(line, file=sys.stderr)
