"""The plan of a DAG file's pipeline: linked by the first task that needs it, and kept on the machine for the others.

Each task is a process of its own. Without that, each task of a pipeline would read and link the whole of it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import time
from pathlib import Path

from turnout.errors import TurnoutError
from turnout.execution.environments import user_cache
from turnout.plan.model import Plan
from turnout.spec.document import digest as digest_of
from turnout.spec.image_digests import pinned, read_digests

_KEPT_S = 30 * 86400
"""Seconds that a plan is kept which nothing writes anew."""


@functools.lru_cache(maxsize=8)
def read_plan(path: str, digest: str) -> Plan:
    """The plan that a DAG file was compiled from, with images by the digests that are known beside it.

    Raises:
        TurnoutError: the YAML beside the DAG file is missing, or another one; the file of digests holds none.
    """
    try:
        text = Path(path).read_bytes().decode(errors="replace")
    except OSError as error:
        hint = "deploy the .yaml together with the .py file"
        raise TurnoutError(f"the pipeline cannot be read: {error.strerror}", where=path, hint=hint) from error
    if digest_of(text) != digest:
        hint = "run turnout compile, and deploy both files"
        raise TurnoutError("not the pipeline that the DAG file was compiled with", where=path, hint=hint)
    digests = read_digests(Path(path).parent)
    place = _place(f"{text}{digests or ''}")
    plan = _kept(place) if place else None
    if plan is None:
        from turnout.plan.link import link
        from turnout.spec.document import read

        plan = link(pinned(read(text, where=path), digests))
        if place:
            _keep(plan, place)
    return plan


def _place(text: str) -> Path | None:
    """Where the plan of a YAML is kept that this code has linked; None when the user has no directory."""
    package = Path(__file__).parents[1]
    files = [file for pattern in ("names.py", "plan/*.py", "spec/*.py") for file in package.glob(pattern)]
    code = sorted((file.name, file.stat().st_mtime_ns) for file in files)
    key = hashlib.sha256(f"{sys.version} {package} {code} {text}".encode()).hexdigest()
    try:
        return user_cache() / "plans" / f"{key}.pickle"
    except RuntimeError:
        return None


def _kept(place: Path) -> Plan | None:
    """A plan that a task of this user has kept. A pickle can run code: another user's is never read."""
    collects = gc.isenabled()
    gc.disable()  # it would look through a growing plan again and again
    try:
        with place.open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            plan = pickle.load(file)
        return plan if isinstance(plan, Plan) else None
    except Exception:  # whatever is wrong with it, the YAML is there
        return None
    finally:
        if collects:
            gc.enable()


def _keep(plan: Plan, place: Path) -> None:
    """Keep a plan, and forget the oldest; where that cannot be, each task links its own."""
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:  # readable and writable by its user
            pickle.dump(plan, file, protocol=pickle.HIGHEST_PROTOCOL)
        Path(file.name).replace(place)
        for other in place.parent.iterdir():
            if other.stat().st_mtime < time.time() - _KEPT_S:
                other.unlink()
