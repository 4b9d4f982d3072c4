"""What the runs under a root have come to, read from their records: local runs and Airflow's alike.

A list of a thousand runs is read in about a second: from the record of a run that has ended where it tells its steps,
and else from the outcomes of its steps; no artifact and no pipeline is opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from turnout.errors import StoreError, TurnoutError
from turnout.execution.runs import no_run
from turnout.execution.store import ArtifactStore, segment
from turnout.plan.comparison import RunDetails
from turnout.plan.link import link
from turnout.plan.results import RunResult, StepResult
from turnout.plan.run_summary import RunSummary, Tags, summarised
from turnout.spec.document import read
from turnout.spec.step_contract import Outcome, Run

RECORD, TAGS, OUTCOME = "run.json", "tags.json", "outcome.json"

_LARGEST = 64 * 2**20
"""Bytes; a longer file is no record."""

_Records = dict[str, Mapping[str, Any]]
"""Records of a run by their path in its directory."""


def run_summaries(store: ArtifactStore, pipeline: str = "") -> list[RunSummary]:
    """The runs under a root, by their time, the latest last.

    Args:
        pipeline: only those of this one; all when empty.
    """
    found = [_summary(*key, records) for key, records in _all_records(store, pipeline)]
    return sorted((run for run in found if run), key=lambda run: (run.started, run.run_id))


def run_summary(store: ArtifactStore, pipeline: str, run_id: str) -> RunSummary | None:
    """A run; None when it has left nothing."""
    place = store.run_path(Run(pipeline, run_id, ""))
    for key, records in _all_records(store, pipeline, place.name):
        if found := _summary(*key, records):
            return found
    return None


def find_run(runs: Sequence[RunSummary], name: str, root: str) -> RunSummary:
    """A run by its id, or `PIPELINE/RUN_ID`.

    Raises:
        StoreError: there is no such run, or more than one.
    """
    found = [run for run in runs if name in (run.run_id, run.name)]
    if not found:
        raise no_run(name, [run.run_id for run in runs] + [run.name for run in runs], root)
    if len(found) > 1:
        known = tuple(run.name for run in found)
        raise StoreError(f"more than one run '{name}'", where=root, available=known, hint="name the pipeline too")
    return found[0]


def run_details(store: ArtifactStore, run: RunSummary) -> RunDetails:
    """A run with its steps, and its plan where its pipeline can be read."""
    place = store.run_path(Run(run.pipeline, run.run_id, ""))
    records = next((found for _, found in _all_records(store, run.pipeline, place.name, all_outcomes=True)), {})
    steps = run_steps(records.get(RECORD, {}), {})
    told = {(step.name, step.iteration): step for step in run_steps({}, _outcomes(records))}
    if steps:  # a record does not tell all that an outcome does
        for step in steps:
            if found := told.get((segment(step.name), step.iteration)):
                step.outcome = found.outcome
    else:
        steps = list(told.values())
    try:
        plan = link(read((place / "pipeline.yaml").read_text(encoding="utf-8"), where=run.name))
    except (OSError, ValueError, TurnoutError):
        plan = None
    return RunDetails(run, tuple(steps), plan)


def run_steps(record: Mapping[str, Any], outcomes: Mapping[str, Any]) -> list[StepResult]:
    """The steps of a run: as its record tells them; while it goes on, and of Airflow's, those that have ended.

    Args:
        outcomes: records of outcomes, by the name of the step's directory.
    """
    if record.get("steps"):
        return RunResult.from_dict(record).steps
    steps = []
    for name, content in outcomes.items():
        step, _, index = name.partition("@")
        parts = [part for part in index.split(".") if part]
        if all(part.isdecimal() for part in parts):
            try:
                steps.append(StepResult.of(step, tuple(map(int, parts)), Outcome.from_dict(content)))
            except (KeyError, TypeError, ValueError, AttributeError):
                continue  # a file of somebody else
    return sorted(steps, key=lambda step: step.outcome.ended if step.outcome else "")


def write_tags(store: ArtifactStore, run: Run, tags: Tags) -> None:
    """Keep the tags of a run beside its record, in the place of those that it had."""
    store.write_record(store.run_path(run) / TAGS, {"tags": dict(tags)})


def read_tags(store: ArtifactStore, run: Run) -> dict[str, str]:
    return _tags(store.read_record(store.run_path(run) / TAGS) or {})


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    tags = record.get("tags")
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def _summary(pipeline: str, run: str, records: _Records) -> RunSummary | None:
    """A run from its records; None when they are not those of a run.

    Args:
        pipeline, run: names of the directories.
    """
    record = records.get(RECORD, {})
    try:
        if record and (segment(record["pipeline"]), segment(record["run_id"])) != (pipeline, run):
            return None  # a copy of another
        steps = run_steps(record, _outcomes(records))
        if not record and not steps:
            return None
        record = record or {"pipeline": pipeline, "run_id": run, "track": "airflow"}
        return summarised(record, steps, _tags(records.get(TAGS, {})))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # a file of somebody else


def _outcomes(records: _Records) -> dict[str, Mapping[str, Any]]:
    return {path.partition("/")[0]: content for path, content in records.items() if path.endswith(f"/{OUTCOME}")}


def _all_records(
    store: ArtifactStore, pipeline: str = "", run: str = "*", *, all_outcomes: bool = False
) -> Iterator[tuple[tuple[str, str], _Records]]:
    """The records of each run, by the names of the directories of its pipeline and its own.

    Args:
        all_outcomes: those of steps too that the run's record tells.
    """
    chosen = segment(pipeline) if pipeline else "*"
    if store.is_local:
        yield from _local_records(Path(str(store.root)), chosen, run, all_outcomes)
        return
    fs, root = store.root.fs, store.root.path.rstrip("/")
    patterns = [f"{root}/{chosen}/{run}/{name}" for name in (RECORD, TAGS, f"*/{OUTCOME}")]
    paths = sorted({str(path) for pattern in patterns for path in fs.glob(pattern)})
    contents = fs.cat(paths, on_error="omit") if paths else {}
    found: dict[tuple[str, str], _Records] = {}
    for path in paths:
        key, name = _split(path, root)
        content = contents.get(path) if isinstance(contents, dict) else contents
        if content is not None and (record := _json(content)) is not None:
            found.setdefault(key, {})[name] = record
    yield from found.items()


def _split(path: str, root: str) -> tuple[tuple[str, str], str]:
    pipeline, run, *name = PurePosixPath(path).relative_to(root).parts
    return (pipeline, run), "/".join(name)


def _local_records(
    root: Path, pipeline: str, run: str, all_outcomes: bool
) -> Iterator[tuple[tuple[str, str], _Records]]:
    for pipeline_name in _directories(root) if pipeline == "*" else [pipeline]:
        place = root / pipeline_name
        for run_name in _directories(place) if run == "*" else [run]:
            records = dict(_of_run(f"{place}/{run_name}", all_outcomes))
            if records:
                yield (pipeline_name, run_name), records


def _of_run(place: str, all_outcomes: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    record = _read(f"{place}/{RECORD}")
    tags = _read(f"{place}/{TAGS}")
    if record is not None:
        yield RECORD, record
    if tags is not None:
        yield TAGS, tags
    if all_outcomes or not (record and record.get("steps")):
        for step in _directories(Path(place)):
            if (outcome := _read(f"{place}/{step}/{OUTCOME}")) is not None:
                yield f"{step}/{OUTCOME}", outcome


def _directories(place: Path) -> Sequence[str]:
    """The names of the directories in a place; what begins with a dot is Turnout's own."""
    try:
        with os.scandir(place) as entries:
            found = (entry for entry in entries if entry.name[0] != ".")
            return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    except OSError:
        return ()


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb", opener=_at_once) as file:
            content = file.read(_LARGEST + 1)
            return _json(content) if len(content) <= _LARGEST else None
    except OSError:
        return None


def _at_once(path: str, flags: int) -> int:
    """Open a file; a link to elsewhere is refused, and a pipe of somebody else is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _json(content: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
