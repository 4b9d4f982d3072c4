"""What is in an existing project: each file is looked at by itself, in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from turnout.errors import Fault, SourceError, TurnoutError
from turnout.migration.names import Used, used
from turnout.spec.document import FILES

PATIENCE_S = 120.0
"""Seconds that a file may take to be imported and checked."""

OLD_SDK = "written for KFP SDK 1.8, whose pipelines KFP 2 and Turnout do not run"
_MIGRATE = "bring it to version 2 first: kubeflow.org/docs/components/pipelines/user-guides/migration"
_GUARD = 'guard it: if __name__ == "__main__":'
_PASSED_OVER = {"node_modules", "build", "dist", "site-packages", "__pycache__"}


@dataclass
class Pipeline:
    """A pipeline that was found.

    Attributes:
        source: what it is called on the command line.
        name: its own.
        faults, tracks: as `turnout.verbs.check` says them.
        part_of: the pipeline of the same file that it is a part of; empty when it is none's.
    """

    source: str
    name: str
    faults: list[dict[str, Any]]
    tracks: dict[str, Any]
    part_of: str = ""

    def lowered(self) -> Iterator[tuple[str, str, str]]:
        """What runs by other means: the fact, how, and the track."""
        for track, verdicts in self.tracks.items():
            for entry in verdicts["lowered"]:
                yield entry["fact"], entry.get("how", ""), track


@dataclass
class Survey:
    """What was found: pipelines, and what is wrong with files beside that."""

    pipelines: list[Pipeline] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def survey(source: str) -> Survey:
    """Look through a file or a directory, and check each pipeline on every track.

    Files of Python are imported, each in a process of its own, if they have a pipeline: what they do then, they do.

    Raises:
        SourceError: there is nothing, or nothing of KFP.
    """
    path = Path(source)
    if not path.exists():
        raise SourceError("no such file or directory", where=source, hint="give a .py file, a directory or a KFP YAML")
    found = Survey()
    files = list(_files(path)) if path.is_dir() else [path]
    asked: list[tuple[Path, Used | None]] = []
    for file in files:
        if file.suffix == ".py":
            known = _read(file, found)
            if known and known.old:
                found.faults.append(Fault(OLD_SDK, str(file), hint=_MIGRATE))
                found.faults += known.old
            elif known and known.pipelines:
                asked.append((file, known))
        elif str(file).endswith(FILES) and (file == path or _is_pipeline(file)):
            asked.append((file, None))
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        answers = list(pool.map(lambda item: _looked_at(str(item[0])), asked))
    for (file, known), (pipelines, faults) in zip(asked, answers, strict=True):
        found.faults += faults
        if known and not faults:
            found.faults += _not_found(file, known, pipelines)
        found.pipelines += pipelines
    _leave_out_compiled(found)
    if not found.pipelines and not found.faults:
        hint = "a pipeline is a function under @dsl.pipeline, in a .py file"
        raise SourceError("no KFP pipeline here", where=source, hint=hint)
    return found


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in _PASSED_OVER or (path / "pyvenv.cfg").exists():
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.suffix == ".py" or path.suffix in (".yaml", ".yml"):
            yield path


def _read(file: Path, found: Survey) -> Used | None:
    try:
        return used(file.read_text(encoding="utf-8"), str(file))
    except SyntaxError as error:
        found.faults.append(Fault(f"{type(error).__name__}: {error.msg}", f"{file}:{error.lineno}"))
    except (OSError, ValueError) as error:
        found.faults.append(Fault(f"the file cannot be read: {error}", str(file)))
    return None


def _is_pipeline(file: Path) -> bool:
    """Whether a YAML looks like a pipeline that KFP's compiler, of any version, has made."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return ("pipelineInfo:" in text and "deploymentSpec:" in text) or "pipelines.kubeflow.org/kfp_sdk_version" in text


def _not_found(file: Path, known: Used, pipelines: Sequence[Pipeline]) -> Iterator[Fault]:
    names = {pipeline.source.rpartition(":")[2] for pipeline in pipelines}
    for name in sorted(known.inside - names):
        what = f"the pipeline '{name}' is not made when the file is imported"
        hint = "move it out of the function, or of the `if`, that it is in"
        yield Fault(what, f"{file}:{known.pipelines[name]}", hint=hint)


def _leave_out_compiled(found: Survey) -> None:
    """Of a pipeline whose Python is there too, the YAML is what it was compiled to."""
    written = {pipeline.name for pipeline in found.pipelines if not pipeline.source.endswith(FILES)}
    found.pipelines = [
        item for item in found.pipelines if item.name not in written or not item.source.endswith(FILES)
    ]  # fmt: skip


# --- one file, in a process of its own --------------------------------------------------------------------


def _looked_at(file: str) -> tuple[list[Pipeline], list[Fault]]:
    """The pipelines of a file, or why there are none."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["turnout.verbs", "kfp.compiler"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_look, args=(file, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE_S):
            what = f"the file did not end being imported in {PATIENCE_S:.0f} s"
            return [], [Fault(what, file, hint=_GUARD)]
        pipelines, faults = ours.recv()
        return pipelines, faults
    except EOFError:
        return [], [Fault("the file ends Python when it is imported", file, hint=_GUARD)]
    finally:
        process.kill()
        process.join()


def _look(file: str, answer: Connection) -> None:
    os.dup2(2, 1)  # what the file prints is none of our results
    sys.stdout = sys.stderr
    found: list[Pipeline] = []
    faults: list[Fault] = []
    try:
        found = _pipelines(file)
    except TurnoutError as error:
        faults = list(error.faults)
    with contextlib.suppress(BrokenPipeError):
        answer.send((found, faults))
    answer.close()


def _pipelines(file: str) -> list[Pipeline]:
    from turnout import verbs
    from turnout.authoring.source import pipelines_in

    if file.endswith(FILES):
        said = verbs.check(file)
        return [Pipeline(file, said["pipeline"], said["faults"], said["tracks"])]
    graphs = pipelines_in(file)
    found = []
    for name, graph in graphs.items():
        said = verbs.check(graph)
        wholes = [other.name for other in graphs.values() if other is not graph and verbs.is_part(graph, other)]
        source = f"{file}:{name}" if len(graphs) > 1 else file
        part_of = wholes[0] if wholes else ""
        found.append(Pipeline(source, said["pipeline"], said["faults"], said["tracks"], part_of))
    return found
