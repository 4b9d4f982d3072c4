"""A serving directory: what is where, and who may serve from it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.errors import ServerError
from turnout.serving import access_log

_LONGEST = 80
"""Of a directory of sockets, in bytes: the kernel takes 107 for a socket's path."""


@dataclass(frozen=True)
class Directory:
    """The files of a model's serving.

    Args:
        path: an absolute path.
    """

    path: Path

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def envoy(self) -> Path:
        return self.path / "envoy"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def access(self) -> Path:
        """The directory of the access log."""
        return self.path / "access"

    @property
    def access_log(self) -> Path:
        return self.access / access_log.CURRENT

    @property
    def requests(self) -> Path:
        """The directory of the request log."""
        return self.path / "requests"

    @property
    def failures(self) -> Path:
        """The directory of the requests that a version has failed to answer."""
        return self.path / "failures"

    @property
    def models(self) -> Path:
        return self.path / "models"

    @property
    def sockets(self) -> Path:
        """In the directory, or where temporary files are when its path is too long for sockets."""
        own = self.path / "sockets"
        if len(os.fsencode(own)) <= _LONGEST:
            return own
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"turnout-{os.getuid()}-{digest}"

    def make(self) -> None:
        """Make what is missing. Raises ServerError when somebody else could put sockets there."""
        try:
            for place in (self.envoy, self.logs, self.access, self.requests, self.models):
                place.mkdir(parents=True, exist_ok=True)
            self.sockets.mkdir(mode=0o700, exist_ok=True)
            found = self.sockets.lstat()
        except OSError as error:
            hint = "is there room on the disk, and may this user write there?"
            raise ServerError(f"cannot be written: {error.strerror}", where=str(self.path), hint=hint) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ServerError("belongs to somebody else", where=str(self.sockets), hint="take another --directory")
        self.sockets.chmod(0o700)

    @contextlib.contextmanager
    def alone(self) -> Iterator[int]:
        """Hold the directory: a second server is refused. Gives the descriptor of the lock."""
        with (self.path / "running").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                hint = "end it first, or take another --directory"
                what = f"a server runs here already, process {lock.read().strip()}"
                raise ServerError(what, where=str(self.path), hint=hint) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield lock.fileno()

    def is_served(self) -> bool:
        """Whether a server holds the directory now."""
        try:
            with (self.path / "running").open("a+") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def read_status(self) -> dict[str, Any]:
        """What the server has said last; empty when it never has."""
        try:
            found = json.loads(self.status.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
