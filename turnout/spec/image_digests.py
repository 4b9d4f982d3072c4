"""Digests of images that a registry has, by the names that compiled files have for them.

A compiled file names an image by its tag, so that the same sources compile to the same file whoever builds the image.
The digest is in a file of its own, `images.json` in the directory of compiled files. Where it is, servers are given the
image by its digest: a tag that is moved later changes no run.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from turnout.errors import Fault, SpecError
from turnout.spec.document import Document

FILE = "images.json"
"""The name of the file, beside the compiled ones."""

REFERENCE = re.compile(
    r"(?P<repository>(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
"""The name of an image (the grammar of `distribution/reference`), in its parts."""


def read_digests(directory: Path) -> dict[str, str]:
    """The digests in a directory, by the name of the image; none where there is no file.

    Raises:
        SpecError: the file does not hold digests.
    """
    path = directory / FILE
    hint = "remove it, and build again: turnout build --push"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SpecError([Fault(f"the digests of images cannot be read: {error}", str(path), hint=hint)]) from error
    if not isinstance(held, dict):
        raise SpecError([Fault("not the digests of images, by their names", str(path), hint=hint)])
    faults = [
        Fault(f"not a digest: {digest!r}", f"{path}: {name}", hint=hint)
        for name, digest in held.items()
        if not isinstance(digest, str) or not re.fullmatch("sha256:[0-9a-f]{64}", digest)
    ]
    if faults:
        raise SpecError(faults)
    return held


def write_digests(directory: Path, digests: Mapping[str, str]) -> Path:
    """Write digests beside those that are there; the path of the file. Raises SpecError as `read_digests` does."""
    held = {**read_digests(directory), **digests}
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    path.write_text(json.dumps(held, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def with_digest(name: str, digests: Mapping[str, str]) -> str:
    """An image by its digest, where that is known, without the tag: not all engines take both. Else as it is named."""
    if name not in digests or not (found := REFERENCE.fullmatch(name)):
        return name
    return f"{found['repository']}@{digests[name]}"


def pinned(document: Document, digests: Mapping[str, str]) -> Document:
    """A document whose images are given by their digests, where those are known."""
    deployment = document.pipeline.deployment_spec
    if not digests or deployment is None:
        return document
    executors = {
        label: dataclasses.replace(
            executor,
            container=dataclasses.replace(executor.container, image=with_digest(executor.container.image, digests)),
        )
        if executor.container
        else executor
        for label, executor in deployment.executors.items()
    }
    deployment = dataclasses.replace(deployment, executors=executors)
    return dataclasses.replace(document, pipeline=dataclasses.replace(document.pipeline, deployment_spec=deployment))
