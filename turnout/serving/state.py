"""What shall be served: one file of a serving directory, which a supervisor makes true, and the history of its changes.

Whoever changes it (a person, a pipeline, the supervisor that follows an alias) does so under a lock and says who and
why. The file is replaced as a whole: a reader sees what was before or what is after.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from turnout.errors import ComponentError
from turnout.serving.release import Release, next_release, release_from

ROOT = Path(".turnout/serving")
"""Where serving directories are, one for each model, when nobody says otherwise."""


class State:
    """The desired state of a serving directory.

    Args:
        directory: made when something is first written.
    """

    def __init__(self, directory: str | Path):
        self.directory = Path(directory)
        self.path = self.directory / "state.json"

    def read(self) -> Release | None:
        """What shall be served; None when nobody has said.

        Raises:
            ComponentError: the file holds something else.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return release_from(text, str(self.path))

    def require(self) -> Release:
        """What shall be served. Raises ComponentError when nobody has said."""
        if (release := self.read()) is None:
            hint = "start it: turnout serve MODEL@champion"
            raise ComponentError("nothing is served here", where=str(self.directory), hint=hint)
        return release

    def change(
        self,
        make: Callable[[Release | None], Release],
        reason: str,
        who: str = "",
        action: str = "change",
        then: Callable[[Release], None] = lambda release: None,
    ) -> Release:
        """Change what shall be served, under the lock, and note it in the history.

        Args:
            make: the next release, from the one before; the same again changes nothing.
            reason: why.
            who: a person or a program; empty for the user of this process.
            action: one word for the history, such as `split` or `rollback`.
            then: is done while nobody else can change it: what must agree with it, such as an alias of the registry.

        Raises:
            ComponentError: the result is no release, or cannot be written.
        """
        with self._locked():
            before = self.read()
            made = next_release(before, make(before), who, reason)
            if made is not before:
                # The history first: a change that is in force is always in it.
                self._note({"action": action, **dataclasses.asdict(made)})
                write_whole(self.path, json.dumps(dataclasses.asdict(made), indent=2) + "\n")
            then(made)
            return made

    def history(self) -> list[tuple[str, Release]]:
        """What was done, and the release that came of it, from the oldest on. A line that was cut off is left out."""
        found: dict[int, tuple[str, Release]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in (self.directory / "history.jsonl").read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, AttributeError, ComponentError):
                    record = json.loads(line)
                    action = str(record.pop("action", ""))
                    release = release_from(json.dumps(record), str(self.directory))
                    found[release.generation] = (action, release)  # an earlier one was noted, and never in force
        return list(found.values())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / "state.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            hint = "is there room on the disk, and may this user write there?"
            raise ComponentError(
                f"what shall be served cannot be written: {error.strerror}", where=str(self.directory), hint=hint
            ) from error

    def _note(self, record: Mapping[str, object]) -> None:
        line = json.dumps(record) + "\n"
        with (self.directory / "history.jsonl").open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":  # a line was cut off: the next has a line of its own
                    file.write(b"\n")
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Put a text into a file, in one piece: nobody sees a part of it, and a full disk leaves what was there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
