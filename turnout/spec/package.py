"""KFP's packages: a `.zip` or `.tar.gz` with the YAML of one pipeline in it, as KFP's server takes them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from turnout.errors import Fault, SpecError

PACKAGES = (".zip", ".tar.gz", ".tgz")
"""How the names of packages end."""

LARGEST = 32 * 1024**2
"""Bytes that a package may hold, unpacked; KFP's server has the same limit for a pipeline."""

_CHOSEN = "pipeline.yaml"


def read_package(path: Path) -> bytes:
    """The YAML in a package; of several, the one that is called `pipeline.yaml`, which KFP's server takes too.

    Raises:
        SpecError: it is no package, is too large, or has not one YAML.
        OSError: it cannot be read.
    """
    try:
        found = dict(_zipped(path) if path.name.endswith(".zip") else _tarred(path))
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError,
            RuntimeError) as error:  # fmt: skip
        raise SpecError([Fault(f"cannot read the package: {error}", path.name)]) from error
    chosen = [name for name in found if len(found) == 1 or name == _CHOSEN]
    if len(chosen) != 1:
        what = f"{'more than one' if found else 'no'} YAML in the package"
        raise SpecError([Fault(what, path.name, tuple(sorted(found))[:10], f"KFP's server takes {_CHOSEN}")])
    return found[chosen[0]]


def _zipped(path: Path) -> Iterator[tuple[str, bytes]]:
    left = LARGEST
    with zipfile.ZipFile(path) as package:
        for item in package.infolist():
            if _is_yaml(item.filename):
                with package.open(item) as file:
                    data = _bounded(file, left, path)
                left -= len(data)
                yield item.filename, data


def _tarred(path: Path) -> Iterator[tuple[str, bytes]]:
    with gzip.open(path) as stream:
        unpacked = io.BytesIO(_bounded(stream, LARGEST, path))
    with tarfile.open(fileobj=unpacked, mode="r:") as package:
        for item in package:
            if item.isfile() and _is_yaml(item.name) and (file := package.extractfile(item)) is not None:
                yield item.name.removeprefix("./"), file.read()


def _bounded(file: IO[bytes] | gzip.GzipFile, most: int, path: Path) -> bytes:
    data: bytes = file.read(most + 1)
    if len(data) > most:
        raise SpecError([Fault(f"the package holds more than {LARGEST // 1024**2} MiB", path.name)])
    return data


def _is_yaml(name: str) -> bool:
    # The files that start with ._ are what macOS keeps of others.
    return name.endswith((".yaml", ".yml")) and not name.rpartition("/")[2].startswith("._")
