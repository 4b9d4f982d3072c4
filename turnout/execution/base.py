"""The environment that others are made from: its interpreter, and the packages that are there."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import re
import site
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.errors import StepError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_FACTS = "import json, platform, site; print(json.dumps([platform.python_version(), site.getsitepackages()]))"
_KINDS = (".dist-info", ".egg-info")
_NEEDED = "Requires-Dist:"


@dataclass(frozen=True)
class Package:
    """An installed package, as the name of its directory of metadata says: to read all of them takes seconds."""

    name: str
    version: str
    path: Path

    def needs(self, extra: str = "") -> Iterator[Requirement]:
        """What it needs here."""
        from packaging.requirements import InvalidRequirement, Requirement

        for text in self._lines():
            with contextlib.suppress(InvalidRequirement):
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    yield needed

    def _lines(self) -> Iterator[str]:
        with contextlib.suppress(OSError), (self.path / "METADATA").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():  # below is the description
                    return
                if line.startswith(_NEEDED):
                    yield line.removeprefix(_NEEDED).strip()


@dataclass(frozen=True)
class Base:
    """An environment that others are made from.

    Attributes:
        version: Python's, in full.
        sites: the directories of its packages.
    """

    python: str
    version: str
    sites: tuple[str, ...]

    def packages(self) -> dict[str, Package]:
        """Its packages by their normalised names."""
        return packages_at(self.sites)

    def state(self) -> list[str]:
        """What changes when a package of it does."""
        return sorted(name for _, name in _entries(self.sites) if name.endswith((*_KINDS, ".egg-link", ".pth")))


def packages_at(sites: Iterable[str]) -> dict[str, Package]:
    """The packages in directories, by their normalised names; of two the one that is found first."""
    found: dict[str, Package] = {}
    for directory, entry in _entries(sites):
        if entry.endswith(_KINDS):
            name, _, version = Path(entry).stem.partition("-")
            path = Path(directory, entry)
            if not version:
                with contextlib.suppress(Exception):  # of a kind that setuptools wrote once
                    version = importlib.metadata.Distribution.at(path).version
            found.setdefault(normalised(name), Package(name, re.sub(r"-py3.*", "", version), path))
    return found


def _entries(sites: Iterable[str]) -> list[tuple[str, str]]:
    return [(directory, name) for directory in sites if Path(directory).is_dir() for name in os.listdir(directory)]  # noqa: PTH208


def base_of(python: str) -> Base:
    """The environment of an interpreter.

    Raises:
        StepError: it does not run.
    """
    if python == sys.executable:
        return Base(python, platform.python_version(), tuple(site.getsitepackages()))
    return _asked(python)


@functools.cache
def _asked(python: str) -> Base:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run([python, "-c", _FACTS], capture_output=True, text=True, check=True, env=variables)
        number, sites = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        what = f"the interpreter of the components' environment does not run: {error}"
        raise StepError(what, where=python) from error
    return Base(python, number, tuple(sites))


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needs_of_steps(here: Mapping[str, Package]) -> list[str]:
    """The versions that a step needs to run, whatever its component asks for: KFP's own, and what it and Turnout need.

    As constraints: nothing has to be found for what nobody asks for.
    """
    found = [f"{name}=={here[name].version}" for name in ("kfp", "turnout") if name in here]
    for name, extra in _needed_by_steps(here):
        found += [f"{needed.name}{needed.specifier}" for needed in here[name].needs(extra) if needed.specifier]
    return list(dict.fromkeys(found))


def _needed_by_steps(here: Mapping[str, Package]) -> Iterator[tuple[str, str]]:
    """The packages that a step needs to run, each with the extra of it, or none."""
    seen: set[tuple[str, str]] = set()
    queue = [("kfp", ""), ("turnout", "")]
    while queue:
        name, extra = queue.pop()
        if (name, extra) not in seen and name in here:
            seen.add((name, extra))
            yield name, extra
            for needed in here[name].needs(extra):
                queue += [(normalised(needed.name), inner) for inner in ("", *needed.extras)]


def broken(here: Mapping[str, Package], own: Mapping[str, Package]) -> list[str]:
    """Inherited packages that do not fit what is there in the place of another, each in a line.

    Args:
        here: the packages of the base.
        own: those of the environment that is made from it.
    """
    found = []
    for name, package in here.items():
        for needed in package.needs() if name not in own else ():
            there = own.get(normalised(needed.name))
            if there is not None and not needed.specifier.contains(there.version, prereleases=True):
                wanted = f"{needed.name}{needed.specifier}"
                found.append(f"{package.name} {package.version} wants {wanted}, not {there.version}")
    return found


def main() -> int:
    """Tell which packages here do not fit each other, such as in an image; 1 if steps could not run."""
    here = base_of(sys.executable).packages()
    steps = {name for name, _ in _needed_by_steps(here)}
    failed = False
    for name, package in here.items():
        for line in broken({name: package}, {other: item for other, item in here.items() if other != name}):
            failed |= name in steps
            print(f"{'error: every step needs this' if name in steps else 'warning'}: {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
