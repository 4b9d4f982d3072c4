"""The artifact store: where runs keep their artifacts and records, under one root URI.

    ROOT/PIPELINE/RUN/run.json                       what was asked for, and how it ended
    ROOT/PIPELINE/RUN/pipeline.yaml                  the pipeline that runs
    ROOT/PIPELINE/RUN/tags.json                      the run's tags
    ROOT/PIPELINE/RUN/STEP/outcome.json              a step's outcome, written last
    ROOT/PIPELINE/RUN/STEP/attempt-1/OUTPUT          what an attempt wrote; log.txt beside it. HTML ends in .html
    ROOT/PIPELINE/RUN/STEP@0.2/...                   the same in a loop: an index for each loop around
    ROOT/.cache/                                     outcomes by fingerprint: see `cache`

Any URI that fsspec opens will do: a local path, `s3://`, `gs://`, `memory://`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from turnout.data.digest import content_digest
from turnout.errors import StoreError
from turnout.extras import hint_for
from turnout.spec.platform_spec import PipelineConfig
from turnout.spec.step_contract import Outcome, Run, Task

_LOCAL = ("", "file", "local")
_LONGEST = 200
"""Characters of a name in a path: file systems allow 255, and the index of an iteration may follow."""

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
            what = f"the artifact store cannot be opened: {error}"
            raise StoreError(what, where=root, hint=hint_for(error)) from error

    def check_writable(self) -> None:
        """Write and remove a small file, so that a run does not start that could not keep its results.

        Raises:
            StoreError: the root cannot be written.
        """
        probe = self.root / f".probe-{uuid.uuid4().hex}"
        try:
            self._make(self.root)
            try:
                probe.write_text("room for a record" * 256)
            finally:
                probe.unlink(missing_ok=True)
        except Exception as error:  # every protocol has its own
            hint = hint_for(error) or "give another place with --root, or make this one writable"
            raise StoreError(
                f"the artifact store cannot be written: {error}", where=str(self.root), hint=hint
            ) from error

    def run_path(self, run: Run) -> UPath:
        return self.root / segment(run.pipeline) / segment(run.run_id)

    def step_path(self, run: Run, step: str, iteration: tuple[int, ...] = ()) -> UPath:
        index = f"@{'.'.join(map(str, iteration))}" if iteration else ""
        return self.run_path(run) / f"{segment(step)}{index}"

    def attempt_path(self, task: Task) -> UPath:
        return self.step_path(task.run, task.path, task.iteration) / f"attempt-{task.attempt}"

    def commit(self, task: Task, outcome: Outcome) -> Outcome:
        """Make a step's outcome known, atomically; the outcome with what the step was given: digest, items."""
        outcome = dataclasses.replace(outcome, inputs=task.inputs_digest, items=task.items)
        path = self.step_path(task.run, task.path, task.iteration)
        self.write_record(path / "outcome.json", outcome.to_dict())
        return outcome

    def outcome(self, run: Run, step: str, iteration: tuple[int, ...] = ()) -> Outcome | None:
        """The outcome of a step, or None when none was committed."""
        return self._outcome(self.step_path(run, step, iteration) / "outcome.json")

    def outcomes(self, run: Run) -> dict[tuple[str, tuple[int, ...]], Outcome]:
        """The outcomes of all steps that have ended, by the step's directory name and iteration."""
        found: dict[tuple[str, tuple[int, ...]], Outcome] = {}
        for name, record in self._step_records(self.run_path(run)):
            step, _, index = name.partition("@")
            parts = [part for part in index.split(".") if part]
            if all(part.isdecimal() for part in parts) and (outcome := self._as_outcome(record)):
                found[step, tuple(map(int, parts))] = outcome
        return found

    def _step_records(self, place: UPath) -> Iterator[tuple[str, Any]]:
        """The records of a run's outcomes by the names of their directories; of an object store all at once."""
        if self.is_local:
            for path in sorted(place.iterdir(), key=str) if place.exists() else ():
                if path.is_dir():
                    yield path.name, self.read_record(path / "outcome.json")
            return
        names = sorted(path.name for path in place.iterdir()) if place.exists() else []
        paths = {place.fs._strip_protocol((place / name / "outcome.json").path): name for name in names}
        contents = place.fs.cat(list(paths), on_error="omit") if paths else {}
        for path, name in paths.items():
            if path in contents:
                yield name, _parsed(contents[path])

    def forget_listings(self) -> None:
        """Look at an object store anew: its library keeps what it has listed, and steps go on elsewhere."""
        if not self.is_local:
            self.root.fs.invalidate_cache()

    def all_outcomes(self) -> Iterator[tuple[str, str, Outcome]]:
        """The outcomes of all runs, each with the directory names of its pipeline and of its step."""
        for path in sorted(self.root.glob("*/*/*/outcome.json"), key=str):
            if outcome := self._outcome(path):
                yield path.parents[2].name, path.parent.name.partition("@")[0], outcome

    def _outcome(self, path: UPath) -> Outcome | None:
        """The outcome that a record tells; None when there is none, or it is not ours."""
        return self._as_outcome(self.read_record(path))

    @staticmethod
    def _as_outcome(record: Any) -> Outcome | None:
        try:
            return Outcome.from_dict(record or {})
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def claim(self, run: Run, record: Mapping[str, Any], pipeline: str) -> None:
        """Begin a run of a pipeline, given as its YAML, under an id that no other run has.

        To be called under the run's lock. The record is written last: without it there is no run.

        Raises:
            StoreError: there is a run of that id.
        """
        self.check_free(run)
        path = self.run_path(run)
        self._make(path)
        (path / "pipeline.yaml").write_text(pipeline, encoding="utf-8")
        self.write_record(path / "run.json", record)

    def check_free(self, run: Run) -> None:
        """Raises StoreError when there is a run of that id."""
        path = self.run_path(run)
        if (path / "run.json").exists():
            what = f"there is a run '{run.run_id}' already"
            raise StoreError(what, where=str(path), hint="give another --run-id, or resume it with --resume")

    def write_outputs(self, run: Run, outputs: Mapping[str, Any]) -> None:
        """Keep the outputs of a run beside the records of its steps."""
        self.write_record(self.run_path(run) / "outputs.json", outputs)

    def outputs(self, run: Run) -> dict[str, Any]:
        """The outputs of a run that were kept; none while it goes on."""
        return self.read_record(self.run_path(run) / "outputs.json") or {}

    def write_record(self, path: UPath, record: Mapping[str, Any]) -> None:
        """Write JSON so that readers see all of it or what was there before.

        An object store puts an object whole; a local file is written beside its place, then moved there.

        Raises:
            OSError: it cannot be written; nothing of it is left.
        """
        text = json.dumps(record, indent=1, sort_keys=True, default=str)
        self._make(path.parent)
        if not self.is_local:
            path.write_text(text)
            return
        temporary = Path(f"{path}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(str(path))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error

    def overwrite_record(self, path: UPath, record: Mapping[str, Any]) -> None:
        """Put a record into the room that an earlier one has on the disk: it may be the only room. Else nothing."""
        text = json.dumps(record, default=str).encode()
        if not self.is_local:
            return
        with contextlib.suppress(OSError), Path(str(path)).open("r+b", buffering=0) as file:
            before = file.read()
            for content in (text, before):
                file.seek(0)
                with contextlib.suppress(OSError):
                    if file.write(content) == len(content):
                        file.truncate()
                        return

    def read_record(self, path: UPath) -> dict[str, Any] | None:
        """A record; None when there is none: nothing, what a machine that lost power left of it, or a foreign file."""
        try:
            return _parsed(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
            return None

    @contextlib.contextmanager
    def lock(self, run: Run, patience: float = 10.0) -> Iterator[int | None]:
        """Be the only runner of a run, and after the last process of an earlier one has ended.

        Gives the lock's descriptor, for the processes that act for the runner to hold too; None for a
        store that is not a local directory, which knows no locks.

        Raises:
            StoreError: another runner has it, and keeps it for `patience` seconds.
        """
        if not self.is_local:
            yield None
            return
        path = self.run_path(run)
        self._make(path)
        with Path(str(path / ".lock")).open("a") as file:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        what = f"the run '{run.run_id}' is still under way"
                        raise StoreError(what, where=str(path), hint="let it end, or end it") from None
                    time.sleep(0.05)
            yield file.fileno()

    def digest(self, uri: str, local: Path | None = None) -> str:
        """A digest of an artifact's content; nothing when nothing is there.

        Args:
            local: where it is on this machine, if it is; otherwise what its file system tells of it
                (version, size, time of change) stands for its content, or the URI if it tells nothing.
        """
        path = local_path(uri)
        here = local or (Path(path) if path is not None else None)
        if here is not None:
            return content_digest(here) if here.exists() else ""
        try:
            target = UPath(uri)
            sign = str(target.fs.checksum(target.path))
        except Exception:  # whatever the protocol's own is; `models:/flight-delay/3` is no file at all
            sign = ""
        return "sign:" + hashlib.sha256(f"{uri}\0{sign}".encode()).hexdigest()

    def stage_in(self, uri: str, directory: Path) -> str:
        """The local path of an artifact; one that lives elsewhere is fetched into `directory`.

        Raises:
            StoreError: the artifact cannot be read.
        """
        target = Path(self.staged_path(uri, directory))
        try:
            source = UPath(uri)
            if source.protocol in _LOCAL:
                return str(target)
            directory.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                source.fs.get(source.path.rstrip("/") + "/", str(target) + "/", recursive=True)
            elif source.exists():
                source.fs.get_file(source.path, str(target))
        except Exception as error:
            raise StoreError(f"an artifact cannot be read: {error}", where=uri, hint=hint_for(error)) from error
        return str(target)

    def staged_path(self, uri: str, directory: Path) -> str:
        """Where `stage_in` puts an artifact. Raises StoreError when its protocol is unknown."""
        try:
            source = UPath(uri)
        except (ValueError, ImportError) as error:
            raise StoreError(f"an artifact cannot be read: {error}", where=uri, hint=hint_for(error)) from error
        return str(source.path if source.protocol in _LOCAL else directory / source.name)

    def stage_out(self, local: Path, uri: str) -> None:
        """Store what a step wrote at a local path; nothing, when it wrote nothing or it is there already.

        Raises:
            StoreError: the artifact cannot be written.
        """
        target = UPath(uri)
        here = target.protocol in _LOCAL
        if not local.exists() or (here and Path(target.path) == local):
            return
        try:
            if here:
                Path(target.path).parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if local.is_dir() else shutil.copyfile)(local, target.path)
            elif local.is_dir():
                target.fs.put(str(local) + "/", target.path.rstrip("/") + "/", recursive=True)
            else:
                target.fs.put_file(str(local), target.path)
        except Exception as error:
            raise StoreError(f"an artifact cannot be stored: {error}", where=uri, hint=hint_for(error)) from error

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


def with_workspace(run: Run, config: PipelineConfig, store: ArtifactStore) -> Run:
    """The run with the directory that its steps share, made, if the pipeline asks for one.

    Raises:
        StoreError: the store is not a directory of this machine.
    """
    if config.workspace is None:
        return run
    if not store.is_local:
        what = "a pipeline with a workspace needs a root that is a directory of this machine"
        raise StoreError(what, where=str(store.root))
    path = Path(str(store.run_path(run) / "workspace"))
    path.mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(run, workspace=str(path))


def _parsed(content: bytes) -> dict[str, Any] | None:
    """The JSON object that a file holds; None when it holds something else."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def local_path(uri: str) -> str | None:
    """The path of a URI on this machine, or None when it is elsewhere."""
    try:
        target = UPath(uri)
    except (ValueError, ImportError):
        return None
    return str(target.path) if target.protocol in _LOCAL else None


def segment(name: str, *taken: str) -> str:
    """A name as one segment of a path, unlike that of any other name, and unlike those that are taken.

    No character that means something in a path or URI, and no percent sign: libraries decode those. No longer than file
    systems allow.
    """
    safe = _UNSAFE.sub("-", name)
    if safe == name and safe.strip(".") and len(name) <= _LONGEST and name not in taken:
        return name
    return f"{safe[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
