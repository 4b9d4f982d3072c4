"""Build images, one after the other, and push them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import Fault, FaultsError
from turnout.images.builders import Builder
from turnout.images.image import Image, write_context
from turnout.spec.image_digests import REFERENCE


@dataclass(frozen=True)
class Built:
    """An image that was built.

    Attributes:
        digest: by which the registry has it: `sha256:` and 64 hexadecimal digits; empty when it was not pushed.
    """

    name: str
    digest: str = ""


def build(
    images: Sequence[Image],
    builder: Builder,
    *,
    push: bool = False,
    watch: Callable[[str], None] = lambda line: None,
    epoch: str = "",
    options: Sequence[str] = (),
) -> list[Built]:
    """Build images in their order, so that one may be the base of the next; then push them.

    Nothing is pushed before all are built.

    Args:
        watch: called with each line that the builder prints.
        epoch: seconds since 1970 that the images are dated with; the time of the build when empty.
        options: further options of the builder's `build`.

    Raises:
        FaultsError: names that no image can have.
        ImageError: one cannot be built, or pushed.
    """
    if faults := list(name_faults(images)):
        raise FaultsError(faults)
    for image in images:
        with tempfile.TemporaryDirectory(prefix="turnout-build-") as directory:
            write_context(image, Path(directory))
            builder.build(image.name, Path(directory), watch, epoch, options)
    return [Built(image.name, builder.push(image.name, watch) if push else "") for image in images]


def name_faults(images: Sequence[Image]) -> Iterator[Fault]:
    """What is wrong with the names of images and of their bases."""
    for image in images:
        form, found = "registry.example.com/team/name:tag", REFERENCE.fullmatch(image.name)
        if not found:
            yield Fault(f"'{image.name}' cannot be the name of an image", "image", hint=f"its form: {form}")
        elif found["digest"]:
            yield Fault(f"'{image.name}' is built already: it is named by its digest", "image", hint=f"name it {form}")
        elif not found["tag"]:
            yield Fault(f"'{image.name}' has no tag", "image", hint=f"add one: {image.name}:0.1.0")
        if not REFERENCE.fullmatch(image.base):
            yield Fault(f"'{image.base}' cannot be the name of an image", "base", hint=f"its form: {form}")
