"""Environments of lightweight components: what their command would install, installed once.

KFP's lightweight components install their packages each time they run, into the environment that they
run in. Here the packages are resolved once, into a cached environment that only they use; the command
then runs there without installing anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from turnout.errors import StepError

_INSTALL = re.compile(r"python3 -m pip install (?P<arguments>.*?)\s*(?=&&)", re.DOTALL)
_KFP_ALONE = re.compile(r"kfp==(?P<version>[\w.]+)")


def prepare(
    command: Sequence[str], python: str = sys.executable, on_line: Callable[[str], None] = lambda line: None
) -> tuple[str, list[str]]:
    """The interpreter of a command's environment, and the command without what has been installed there.

    Args:
        python: the interpreter of the components' environment, for commands that install nothing.

    Raises:
        StepError: the packages cannot be installed.
    """
    installs = _installs(command)
    if installs is None:
        return python, list(command)
    if _is_here(installs, python):
        return python, list(command[3:])
    return str(_environment(installs, python, on_line)), list(command[3:])


def _installs(command: Sequence[str]) -> list[list[str]] | None:
    """The arguments of each `pip install` before the command proper; None for any other command."""
    if len(command) < 4 or list(command[:2]) != ["sh", "-c"] or not command[2].rstrip().endswith('"$0" "$@"'):
        return None
    found = [shlex.split(match["arguments"]) for match in _INSTALL.finditer(command[2])]
    return found or None


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


def _environment(installs: list[list[str]], base: str, on_line: Callable[[str], None]) -> Path:
    text = json.dumps([str(Path(base).resolve()), installs])
    place = cache_directory() / hashlib.sha256(text.encode()).hexdigest()[:16]
    python, complete = place / "bin" / "python3", place / "complete.json"
    if complete.exists():
        return python
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.with_suffix(".lock")):
        if complete.exists():  # another process made it while this one waited
            return python
        shutil.rmtree(place, ignore_errors=True)
        on_line(f"installing {' '.join(installs[-1])}")
        _run([base, "-m", "venv", str(place)], "an environment cannot be made")
        for arguments in installs:
            command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
            _run(command, f"packages cannot be installed: {' '.join(arguments)}")
        complete.write_text(text)
    return python


def cache_directory() -> Path:
    """Where environments are kept: `$TURNOUT_ENVIRONMENTS`, or a place in the user's cache."""
    given = os.environ.get("TURNOUT_ENVIRONMENTS")
    return Path(given).expanduser() if given else user_cache() / "environments"


def user_cache() -> Path:
    """Turnout's part of the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "turnout"


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise StepError("\n  ".join([what, *lines[-3:]]), hint="look at packages_to_install")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
