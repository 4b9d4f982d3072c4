"""A team's own image: the code of its project on the components image."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout import __version__
from turnout.errors import Fault, ProjectError
from turnout.images.image import Image
from turnout.project.file import Project
from turnout.spec.document import Document
from turnout.spec.requirements import image_with, required

COMPONENTS = f"turnout-python-components:{__version__}"
"""The components image of this version, made by `docker/components.Dockerfile`."""

_LEFT_OUT = {"__pycache__", "node_modules", "venv", "build", "dist"}


@dataclass(frozen=True)
class Code:
    """A project's files.

    Attributes:
        files: those that are in the image, by their paths in the project.
        unknown: files of Python that git does not know: they are not in the image.
        revision: git's name of the commit, with `-dirty` where files were changed since; empty without git.
        epoch: seconds since 1970 of the commit; empty without git, or where files were changed since.
    """

    files: dict[str, Path]
    unknown: tuple[str, ...] = ()
    revision: str = ""
    epoch: str = ""


def image_name(project: Project) -> str:
    """What a project's image is called: `$TURNOUT_IMAGE`, or as the project says. Raises ProjectError: no name."""
    if name := os.environ.get("TURNOUT_IMAGE") or project.image:
        return name
    hint = 'write image = "registry.example.com/team/name:0.1.0" under [tool.turnout] in pyproject.toml'
    raise ProjectError([Fault("the project names no image", str(project.directory), hint=hint)])


def project_image(project: Project, code: Code, documents: Sequence[Document]) -> Image:
    """The image of a project's code.

    Args:
        documents: the project's pipelines: what they run in this image must be importable in it.

    Raises:
        ProjectError: the project names no image, or requirements that are not there.
    """
    name = image_name(project)
    base = project.base or COMPONENTS
    labels = {
        "org.opencontainers.image.title": name.rpartition("/")[2].partition(":")[0],
        "org.opencontainers.image.base.name": base,
        **({"org.opencontainers.image.revision": code.revision} if code.revision else {}),
    }
    roots, modules = import_roots(project), sorted(set(_modules(documents, name)))
    return Image(name, base, code.files, roots, _requirements(project), tuple(modules), labels)


def project_code(project: Project) -> Code:
    """A project's files as git knows them; without git, all that are not hidden. Compiled files are not among them."""
    listed = _git(project, "ls-files", "-z", "--cached")
    if listed is None:
        return Code(dict(_kept(project, _walk(project.directory))))
    files = dict(_kept(project, listed.split("\0")))
    new = (_git(project, "ls-files", "-z", "--others", "--exclude-standard", "*.py") or "").split("\0")
    changed = (_git(project, "status", "--porcelain", "--untracked-files=no", "--", ".") or "").strip()
    revision = (_git(project, "rev-parse", "HEAD") or "").strip()
    epoch = (_git(project, "log", "-1", "--format=%ct") or "").strip()
    return Code(
        files,
        tuple(sorted(dict(_kept(project, new)))),
        f"{revision}-dirty" if revision and changed else revision,
        "" if changed else epoch,
    )


def requirement_images(image: Image, documents: Sequence[Document]) -> list[Image]:
    """The images of components that have requirements of their own, on top of the project's.

    Args:
        image: the project's.
        documents: the project's pipelines.

    Raises:
        ProjectError: requirements that no image can be built with.
    """
    found: dict[str, Image] = {}
    for document in documents:
        deployment = document.pipeline.deployment_spec
        for executor in deployment.executors.values() if deployment else ():
            lines = required(executor.container)
            # Components that name their image themselves have one that is not built here.
            if not lines or not executor.container or executor.container.image != image_with(image.name, lines):
                continue
            name = executor.container.image
            if faults := [
                Fault(f"'{line}' is a place of this machine, which the image does not see", name, hint=_REACHABLE)
                for line in lines
                if line.startswith("--find-links") and "://" not in line
            ]:
                raise ProjectError(faults)
            found[name] = Image(
                name=name,
                base=image.name,
                requirements="".join(f"{line}\n" for line in lines),
                modules=tuple(sorted(set(_modules(documents, name)))),
                labels=image.labels,
                inherits=True,
            )
    return list(found.values())


_REACHABLE = "name an index or a URL that the build can reach, or give the component an image of its own: image=..."


def import_roots(project: Project) -> tuple[str, ...]:
    """The directories that a project's modules are imported from, as on this machine: the project first."""
    roots = ["."]
    for source in project.sources():
        root = Path(source).resolve().parent
        while (root / "__init__.py").is_file():
            root = root.parent
        if root.is_relative_to(project.directory.resolve()):
            roots.append(root.relative_to(project.directory.resolve()).as_posix())
    return tuple(dict.fromkeys(roots))


def _modules(documents: Sequence[Document], image: str) -> Iterator[str]:
    """The modules of the components that run in an image."""
    for document in documents:
        deployment = document.pipeline.deployment_spec
        for executor in deployment.executors.values() if deployment else ():
            container = executor.container
            if container and container.image == image and container.command[:2] == ["turnout", "exec"]:
                yield container.command[2].partition(":")[0]


def _requirements(project: Project) -> str:
    """What pip installs: the file that the project names, or its own dependencies. Turnout is in the base."""
    if project.requirements:
        path = project.directory / project.requirements
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            hint = "name a file of requirements, from the project's directory on"
            raise ProjectError([Fault(f"the requirements cannot be read: {error}", str(path), hint=hint)]) from error
    file = project.directory / "pyproject.toml"
    table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    lines = [str(item) for item in table.get("project", {}).get("dependencies", [])]
    return "".join(f"{line}\n" for line in lines if not re.match(r"turnout(?![\w.-])", line.strip(), re.IGNORECASE))


def _git(project: Project, *arguments: str) -> str | None:
    """What git says; None where there is no repository, or no git."""
    command = ["git", "-C", str(project.directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _walk(directory: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.endswith(".egg-info"))
        yield from (str((Path(folder) / name).relative_to(directory)) for name in sorted(names))


def _kept(project: Project, names: Sequence[str] | Iterator[str]) -> Iterator[tuple[str, Path]]:
    """The files that belong into an image: none that is hidden, or compiled from a pipeline."""
    for name in sorted(filter(None, names)):
        parts, path = Path(name).parts, project.directory / name
        hidden = any(part.startswith(".") for part in parts)
        if not hidden and not Path(name).is_relative_to(project.dags) and path.is_file():
            yield Path(name).as_posix(), path
