"""Answers in the user's cache: JSON files that only this user can write, each with what it came from."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import locale
import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import turnout
from turnout.execution.environments import user_cache
from turnout.recall.evidence import Evidence, Sets, World

_KEPT_S = 30 * 86400
"""Seconds that an answer is kept that nobody asks for."""

_FAMILIES = ("KFP", "_KFP", "LANG", "LC_", "PROTOCOL_BUFFERS", "PYTHON", "TZ")
"""How variables begin that libraries read before the user's modules are loaded."""


class Kept:
    """The answers in a directory; the user's own by default. One that cannot be read or written is not there."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.sets = Sets(
            lambda name, value: self._write(directory / f"{name}.set", value),
            lambda name: self._read(directory / f"{name}.set"),
        )
        self.world = World(self.sets)

    def find(self, question: list[Any]) -> Any:
        """The answer to a question, if all that it came from is the same; else None."""
        place = self._place(question)
        record = self._read(place)
        try:
            if not record or record["question"] != _full(question) or not self.world.confirms(record["evidence"]):
                return None
            answer = record["answer"]
        except (KeyError, TypeError, ValueError):
            return None
        with contextlib.suppress(OSError):
            if place.stat().st_mtime < time.time() - _KEPT_S / 10:
                os.utime(place)
        return answer

    def keep(self, question: list[Any], answer: Any, evidence: Evidence) -> None:
        """Keep an answer, in JSON's types."""
        record = {"question": _full(question), "answer": answer, "evidence": evidence.to_json()}
        self._write(self._place(question), record)

    def forget_old(self) -> None:
        """Remove what nobody has asked for in a month."""
        with contextlib.suppress(OSError):
            for file in os.scandir(self.directory):
                if file.stat().st_mtime < time.time() - _KEPT_S:
                    os.unlink(file.path)

    def _place(self, question: list[Any]) -> Path:
        return self.directory / f"{hashlib.sha256(json.dumps(_full(question)).encode()).hexdigest()}.json"

    def _read(self, place: Path) -> Any:
        try:
            with open(place, "rb", opener=_own) as file:
                facts = os.fstat(file.fileno())
                if facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    return None
                return json.load(file)
        except (OSError, ValueError, RecursionError):
            return None

    def _write(self, place: Path, value: Any) -> None:
        with contextlib.suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile("w", dir=self.directory, delete=False) as file:
                json.dump(value, file)  # readable and writable by its user alone
            Path(file.name).replace(place)


def of_user() -> Kept | None:
    """The answers of this user; None for one without a directory."""
    try:
        return Kept(user_cache() / "answers")
    except RuntimeError:
        return None


def _own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _full(question: list[Any]) -> list[Any]:
    """A question with all that is the same for each answer of this process."""
    return [*question, os.getcwd(), *_process()]


@functools.cache
def _process() -> list[Any]:
    variables = {name: value for name, value in sorted(os.environ.items()) if name.startswith(_FAMILIES)}
    digest = hashlib.sha256(json.dumps(variables).encode()).hexdigest()
    return [turnout.__version__, sys.version, sys.prefix, [*sys.flags], [*sys.path], locale.getlocale()[0], digest]
