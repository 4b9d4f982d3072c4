"""The artifact store: where runs keep their artifacts and records, under one root URI.

    ROOT/PIPELINE/RUN/run.json                       what was asked for, and how it ended
    ROOT/PIPELINE/RUN/STEP/outcome.json              a step's outcome, written last
    ROOT/PIPELINE/RUN/STEP/attempt-1/OUTPUT          what an attempt wrote; log.txt beside it

Any URI that fsspec opens will do: a local path, `s3://`, `gs://`, `memory://`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from turnout.errors import Fault, StoreError
from turnout.runtime.contract import Outcome, Run, Task

_LOCAL = ("", "file", "local")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.=@-]")


class ArtifactStore:
    """Artifacts and records of runs under a root URI.

    Raises:
        StoreError: the root's protocol is unknown, or its library is not installed.
    """

    def __init__(self, root: str):
        try:
            path = UPath(root)
            self.is_local = path.protocol in _LOCAL
            self.root = UPath(Path(path.path).expanduser().absolute()) if self.is_local else path
        except (ValueError, ImportError) as error:
            raise StoreError(str(Fault(f"the artifact store cannot be opened: {error}", root))) from error

    def check_writable(self) -> None:
        """Write and remove a small file, so that a run does not start that could not keep its results.

        Raises:
            StoreError: the root cannot be written.
        """
        probe = self.root / f".probe-{uuid.uuid4().hex}"
        try:
            self._make(self.root)
            probe.write_text("")
            probe.unlink()
        except Exception as error:  # every protocol has its own
            hint = "give another place with --root, or make this one writable"
            raise StoreError(
                str(Fault(f"the artifact store cannot be written: {error}", str(self.root), (), hint))
            ) from error

    def run_path(self, run: Run) -> UPath:
        return self.root / _segment(run.pipeline) / _segment(run.run_id)

    def step_path(self, run: Run, step: str) -> UPath:
        return self.run_path(run) / _segment(step)

    def attempt_path(self, task: Task) -> UPath:
        return self.step_path(task.run, task.path) / f"attempt-{task.attempt}"

    def commit(self, task: Task, outcome: Outcome) -> None:
        """Make a step's outcome known, atomically."""
        self.write_record(self.step_path(task.run, task.path) / "outcome.json", outcome.to_dict())

    def outcome(self, run: Run, step: str) -> Outcome | None:
        """The outcome of a step, or None when none was committed."""
        record = self.read_record(self.step_path(run, step) / "outcome.json")
        return Outcome.from_dict(record) if record else None

    def claim(self, run: Run, record: Mapping[str, Any]) -> None:
        """Begin a run under an id that no other run has.

        Raises:
            StoreError: there is a run of that id.
        """
        path = self.run_path(run) / "run.json"
        self._make(path.parent)
        taken = StoreError(
            str(Fault(f"there is a run '{run.run_id}' already", str(path.parent), (), "give another --run-id"))
        )
        if not self.is_local and path.exists():
            raise taken
        try:
            with path.open("x" if self.is_local else "w") as file:
                json.dump(record, file)
        except FileExistsError:
            raise taken from None

    def write_record(self, path: UPath, record: Mapping[str, Any]) -> None:
        """Write JSON so that readers see all of it or what was there before.

        An object store puts an object whole; a local file is written beside its place, then moved there.
        """
        text = json.dumps(record, indent=1, sort_keys=True, default=str)
        self._make(path.parent)
        if not self.is_local:
            path.write_text(text)
            return
        temporary = Path(f"{path}.{uuid.uuid4().hex}.tmp")
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(str(path))

    def read_record(self, path: UPath) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return record

    def stage_in(self, uri: str, directory: Path) -> str:
        """The local path of an artifact; one that lives elsewhere is fetched into `directory`.

        Raises:
            StoreError: the artifact cannot be read.
        """
        try:
            source = UPath(uri)
            if source.protocol in _LOCAL:
                return str(source.path)
            target = directory / source.name
            directory.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                source.fs.get(source.path.rstrip("/") + "/", str(target) + "/", recursive=True)
            elif source.exists():
                source.fs.get_file(source.path, str(target))
        except Exception as error:
            raise StoreError(str(Fault(f"an artifact cannot be read: {error}", uri))) from error
        return str(target)

    def stage_out(self, local: Path, uri: str) -> None:
        """Store what a step wrote at a local path; nothing, when it wrote nothing or it is there already.

        Raises:
            StoreError: the artifact cannot be written.
        """
        target = UPath(uri)
        if target.protocol in _LOCAL or not local.exists():
            return
        try:
            if local.is_dir():
                target.fs.put(str(local) + "/", target.path.rstrip("/") + "/", recursive=True)
            else:
                target.fs.put_file(str(local), target.path)
        except Exception as error:
            raise StoreError(str(Fault(f"an artifact cannot be stored: {error}", uri))) from error

    def clear_attempt(self, task: Task) -> UPath:
        """An empty place for an attempt's outputs: what an earlier one of the same number left is removed."""
        path = self.attempt_path(task)
        if self.is_local:
            shutil.rmtree(str(path), ignore_errors=True)
        elif path.exists():
            path.fs.rm(path.path, recursive=True)
        self._make(path)
        return path

    def _make(self, path: UPath) -> None:
        if self.is_local:
            path.mkdir(parents=True, exist_ok=True)


def _segment(name: str) -> str:
    """A name as one segment of a path, unlike that of any other name.

    No character that means something in a path or URI, and no percent sign: libraries decode those.
    """
    safe = _UNSAFE.sub("-", name)
    if safe == name and safe.strip("."):
        return name
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
