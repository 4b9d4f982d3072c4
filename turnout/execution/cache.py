"""Results of earlier steps, found again by what went into them.

A step's fingerprint covers what KFP's server covers in its cache key (image, command with its
arguments, parameters, definitions of outputs), and beside that the variables it sets and the *content*
and metadata of its input artifacts, by digest. The arguments of Turnout's components hold a digest of
their code. So a step is taken from here if and only if nothing that it can see has changed, by
whichever run and under whichever name the inputs were made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from turnout.execution.runtime import Runtime
from turnout.execution.store import ArtifactStore, local_path
from turnout.spec.command import CREATE_PVC, DELETE_PVC, OUTSIDE, UNCACHED
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.document import to_dict
from turnout.spec.pipeline_spec import CachingOptions
from turnout.spec.step_contract import Artifact, Outcome, State, Task

MOST_FILES = 20_000
"""How many entries below a directory are looked at. A step with a parameter that names more always runs."""


@dataclass(frozen=True)
class Entry:
    """A result that is kept; `created` is ISO 8601 in UTC."""

    fingerprint: str
    pipeline: str
    run_id: str
    step: str
    created: str


class Cache:
    """The results that are kept under a store's root."""

    def __init__(self, store: ArtifactStore):
        self.store = store
        self.path = store.root / ".cache"

    def find(self, key: str) -> Outcome | None:
        """The outcome kept under a fingerprint, if all its artifacts are still there."""
        record = self.store.read_record(self._place(key))
        try:
            outcome = Outcome.from_dict((record or {})["outcome"])
        except (KeyError, TypeError, ValueError, AttributeError):  # none, or none of ours
            return None
        if not all(_is_there(artifact) for artifact in outcome.artifacts.values()):
            return None
        return dataclasses.replace(outcome, cached=True)

    def keep(self, key: str, task: Task, outcome: Outcome) -> None:
        """Keep a step's outcome for later runs."""
        entry = Entry(key, task.run.pipeline, task.run.run_id, task.path, outcome.ended)
        record = {**dataclasses.asdict(entry), "outcome": outcome.to_dict()}
        self.store.write_record(self._place(key), record)

    def entries(self) -> Iterator[Entry]:
        """All results that are kept."""
        names = {item.name for item in dataclasses.fields(Entry)}
        for path in sorted(self.path.glob("*/*.json"), key=str):
            record = self.store.read_record(path)
            if record is not None and all(isinstance(record.get(name), str) for name in names):
                yield Entry(**{name: record[name] for name in names})

    def prune(self, older_than: datetime.timedelta = datetime.timedelta()) -> int:
        """Forget results that are older; how many there were. The runs that made them stay."""
        limit = (datetime.datetime.now(datetime.UTC) - older_than).isoformat(timespec="milliseconds")
        old = [entry for entry in self.entries() if entry.created <= limit]
        for entry in old:
            self._place(entry.fingerprint).unlink(missing_ok=True)
        return len(old)

    def _place(self, key: str) -> UPath:
        return self.path / key[:2] / f"{key}.json"


def fingerprint(task: Task, caching: CachingOptions | None, outside: str = "", directory: str = ".") -> str | None:
    """The fingerprint of a step with its inputs; None when its results are not to be kept, or it cannot be told.

    A parameter that names a file or directory of this machine counts with what is there. A pipeline's
    own `cache_key` stands for everything else, as on KFP.

    Args:
        outside: the state of what the step looks at beside its inputs, if it tells.
        directory: where the step runs.
    """
    container = task.executor
    wanted = bool(outside) or (caching is not None and caching.enable_cache)
    if not wanted or not isinstance(container, PipelineContainerSpec) or UNCACHED in container.args:
        return None
    if container.image in (CREATE_PVC, DELETE_PVC):
        return None
    files = {text: _sign(Path(directory, text)) for text in sorted(_names_of_files(task.parameters, directory))}
    if None in files.values():
        return None
    facts: Any = {
        "image": container.image,
        "command": [*container.command, *container.args],
        "environment": [[item.name, item.value] for item in container.env] + sorted(task.environment.items()),
        "parameters": dict(task.parameters),
        "artifacts": {
            name: [[artifact.type, dict(artifact.metadata), artifact.digest] for artifact in artifacts]
            for name, artifacts in task.artifacts.items()
        },
        "files": files,
        "outside": outside,
        "outputs": to_dict(task.component.output_definitions) if task.component.output_definitions else {},
    }
    text = json.dumps((caching.cache_key if caching else "") or facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint_with_outside(
    task: Task, caching: CachingOptions | None, runtime: Runtime, directory: str = "."
) -> str | None:
    """The fingerprint of a step that is asked first for the state of what it looks at beside its inputs."""
    container = task.executor
    if not isinstance(container, PipelineContainerSpec) or OUTSIDE not in container.args:
        return fingerprint(task, caching, directory=directory)
    target = container.args[container.args.index(OUTSIDE) + 1]
    with tempfile.TemporaryDirectory(prefix="turnout-") as place:
        answer, log = Path(place, "answer"), Path(place, "log")
        command = ["turnout", "outside", target, json.dumps(dict(task.parameters)), str(answer)]
        if runtime.run(command, {}, log, lambda line: None):
            return None  # the step itself will say what is wrong
        return fingerprint(task, caching, answer.read_text(), directory)


def _names_of_files(value: Any, directory: str) -> set[str]:
    """The texts in a JSON value that name a file or directory of this machine."""
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return {name for item in inner for name in _names_of_files(item, directory)}
    if not isinstance(value, str) or not 0 < len(value) < 4096 or "\0" in value:
        return set()
    try:
        return {value} if Path(directory, value).exists() else set()
    except (OSError, ValueError):
        return set()


def _sign(path: Path) -> str | None:
    """What changes when a file or the files in a directory do: names, sizes and times of change.

    None when there is too much to look at, or it cannot be looked at. What disappears meanwhile is not there.
    """
    found: list[str] = []
    directories = [path] if path.is_dir() else []
    try:
        if not directories:
            found.append(_described(path, path.stat()))
        seen = 0
        while directories:
            with contextlib.suppress(FileNotFoundError, PermissionError), os.scandir(directories.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > MOST_FILES:
                        return None
                    with contextlib.suppress(FileNotFoundError):  # gone since it was listed, or a link to nothing
                        if entry.is_dir(follow_symlinks=False):
                            directories.append(Path(entry.path))
                        elif not entry.is_dir():
                            found.append(_described(entry.path, entry.stat()))
    except OSError:
        return None
    return hashlib.sha256("".join(sorted(found)).encode(errors="surrogateescape")).hexdigest()


def _described(path: str | Path, status: os.stat_result) -> str:
    return f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0"


def _is_there(artifact: Artifact) -> bool:
    if not artifact.digest:
        return True
    path = local_path(artifact.uri)
    try:
        return UPath(artifact.uri if path is None else path).exists()
    except Exception:  # no file of any protocol, such as a model in a registry: its step vouches for it
        return True


def is_kept(outcome: Outcome) -> bool:
    """Whether an outcome is one to keep: it succeeded, by the code that its key names, and was not taken from here."""
    return outcome.state is State.SUCCEEDED and not outcome.cached and not outcome.other_code
