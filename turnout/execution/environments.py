"""Environments that steps have of their own: what their components ask for, installed once and kept.

A component of Turnout says what it requires. Its environment has the packages of the components' environment, and on
top of them what is missing there, or is another version. KFP's lightweight components install their packages each time
they run, into the environment that they run in; here into one that only they use, and that has nothing else. The
command then runs there without installing anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.errors import StepError
from turnout.execution.base import base_of, broken
from turnout.execution.installing import Installer
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.requirements import installs_of, required, without_lines

_KFP_ALONE = re.compile(r"kfp==(?P<version>[\w.]+)")

_FORM = 1
"""Of environments; another is made anew. Those that inherit depend on the base's packages, Turnout among them."""

RECORD = "environment.json"
"""File of an environment, written last: without it, the environment is not whole."""


@dataclass(frozen=True)
class Environment:
    """An environment that is kept.

    Attributes:
        asked: what was asked for, line by line.
        packages: what was installed, as `name==version`.
        base: the interpreter of the environment that it was made from.
        made, used: ISO 8601 in UTC; when it was made, and when a step last asked for it.
        size: bytes of its files; those of a common cache, linked here, count too.
    """

    path: str
    asked: tuple[str, ...]
    packages: tuple[str, ...]
    base: str
    python: str
    made: str
    used: str
    size: int


def prepare(
    container: PipelineContainerSpec,
    python: str = sys.executable,
    on_line: Callable[[str], None] = lambda line: None,
    directory: str | None = None,
) -> tuple[str, PipelineContainerSpec]:
    """The interpreter of a step's environment, and its container without what has been installed there.

    Args:
        python: the interpreter of the components' environment, for steps that ask for nothing more.
        on_line: called with each line that an installer prints.
        directory: where relative paths of packages start; the current one when None.

    Raises:
        StepError: the packages cannot be installed.
    """
    place = Path(directory or Path.cwd())
    if lines := required(container):
        own = _environment([lines], True, python, on_line, place)
        return str(own), dataclasses.replace(container, args=without_lines(container.args))
    installs = installs_of(container.command)
    if installs is None:
        return python, container
    inner = dataclasses.replace(container, command=container.command[3:])
    if _is_here(installs, python):
        return python, inner
    return str(_environment(installs, False, python, on_line, place)), inner


def _is_here(installs: list[list[str]], python: str) -> bool:
    """Whether all that is asked for is the KFP that the components' environment has already."""
    wanted = [item for arguments in installs for item in arguments if not item.startswith(("-", "typing-extensions"))]
    matches = [_KFP_ALONE.fullmatch(item) for item in wanted]
    return all(match and match["version"] == _kfp_version(python) for match in matches)


@functools.cache
def _kfp_version(python: str) -> str:
    if python == sys.executable:
        try:
            return importlib.metadata.version("kfp")
        except importlib.metadata.PackageNotFoundError:
            return ""
    code = "import importlib.metadata as found; print(found.version('kfp'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def _environment(
    installs: Sequence[Sequence[str]], inherits: bool, python: str, on_line: Callable[[str], None], directory: Path
) -> Path:
    """The interpreter of an environment, which is made if it is not there."""
    base = base_of(python)
    asked = [sorted(lines) if inherits else list(lines) for lines in installs]
    facts = [str(Path(python).absolute()), base.version, _FORM, asked, base.state() if inherits else None]
    if inherits and any(line.startswith("--find-links") for lines in asked for line in lines):
        facts.append(str(directory))
    place = cache_directory() / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    own, record = place / "bin" / "python3", place / RECORD
    if not _touched(record):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with _locked(place) as held:
                if not _touched(record):  # or another process made it while this one waited
                    _make(Installer(place, base, directory, on_line, held), installs, inherits)
        except OSError as error:
            raise StepError(f"an environment cannot be made: {error.strerror}", where=str(place)) from error
    return own


def _make(installer: Installer, installs: Sequence[Sequence[str]], inherits: bool) -> None:
    asked = [item for lines in installs for item in lines]
    place = installer.place
    shutil.rmtree(place, ignore_errors=True)  # half of one, whose maker was killed
    installer.tell(f"making an environment with {', '.join(asked if inherits else installs[-1])}")
    try:
        installer.inheriting(installs[0]) if inherits else installer.alone(installs)
        own = installer.packages()
        packages = sorted(f"{name}=={package.version}" for name, package in own.items())
        for line in broken(installer.base.packages(), own) if inherits else ():
            installer.tell(f"warning: of what is inherited, {line}")
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, StepError):
            hint = "look at the component's requirements" if inherits else "look at packages_to_install"
            raise StepError(error.faults[0].what, where=error.faults[0].where, hint=hint) from error
        raise
    if inherits:
        installer.tell(f"on top of {installer.base.python}: {', '.join(packages) or 'nothing, all was there'}")
    record = {
        "asked": asked,
        "packages": packages,
        "base": installer.base.python,
        "python": installer.base.version,
        "inherits": inherits,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    unfinished = place / f"{RECORD}.new"
    unfinished.write_text(json.dumps(record, indent=2))
    unfinished.rename(place / RECORD)


def inherited(python: Path) -> list[str]:
    """The directories with the commands of the environment that an interpreter's environment inherits, if it does."""
    record = _read(python.parents[1] / RECORD) if len(python.parents) > 1 else {}
    return [str(Path(record["base"]).parent)] if record.get("inherits") else []


def environments() -> Iterator[Environment]:
    """All environments that are kept."""
    for path in sorted(cache_directory().glob(f"*/{RECORD}")):
        record = _read(path)
        if not record:
            continue
        used = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).isoformat(timespec="seconds")
        yield Environment(
            path=str(path.parent),
            asked=tuple(record["asked"]),
            packages=tuple(record["packages"]),
            base=record["base"],
            python=record["python"],
            made=record["made"],
            used=used,
            size=_size(path.parent),
        )


def prune(unused_for: datetime.timedelta = datetime.timedelta()) -> list[str]:
    """Remove environments that no step has asked for in a while, and what is left of makers that were killed.

    One that is being made stays.

    Returns:
        The directories that were removed.
    """
    limit = (datetime.datetime.now(datetime.UTC) - unused_for).timestamp()
    removed = []
    for place in sorted(cache_directory().glob("*")):
        if not place.is_dir() or not re.fullmatch(r"[0-9a-f]{16}", place.name):
            continue
        with contextlib.suppress(BlockingIOError), _locked(place, wait=False):
            record = place / RECORD
            if not record.exists() or record.stat().st_mtime <= limit:
                record.unlink(missing_ok=True)  # first: from now on it is not whole
                shutil.rmtree(place, ignore_errors=True)
                removed.append(str(place))
    return removed


def cache_directory() -> Path:
    """Where environments are kept: `$TURNOUT_ENVIRONMENTS`, or a place in the user's cache."""
    given = os.environ.get("TURNOUT_ENVIRONMENTS")
    return Path(given).expanduser() if given else user_cache() / "environments"


def user_cache() -> Path:
    """Turnout's part of the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "turnout"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _touched(record: Path) -> bool:
    """Whether an environment is whole; from now on, it was used now."""
    if not record.exists():
        return False
    with contextlib.suppress(OSError):  # another user's: it is used all the same
        os.utime(record)
    return True


def _size(directory: Path) -> int:
    found = 0
    for path, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(OSError):
                found += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118 - of some thousand files
    return found


@contextlib.contextmanager
def _locked(place: Path, wait: bool = True) -> Iterator[int]:
    """Nobody else makes or removes an environment meanwhile.

    Who inherits the descriptor holds the lock too: what a killed maker has started is waited for.
    """
    with place.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield file.fileno()
