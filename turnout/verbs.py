"""Run, compile and check pipelines from Python. The command line calls these functions."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import secrets as random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.authoring.kubernetes_settings import kubernetes_faults
from turnout.authoring.source import load, make_importable
from turnout.errors import Fault, FaultsError, PlanError, SourceError, StoreError, TrackError, did_you_mean
from turnout.execution.runs import read_run
from turnout.execution.secrets import Secrets
from turnout.execution.store import ArtifactStore
from turnout.plan.checks import default_faults, requirement_faults
from turnout.plan.link import link
from turnout.plan.model import Plan
from turnout.plan.parameters import bind_parameters, with_data_interval
from turnout.plan.results import RunResult, StepResult, Watch
from turnout.plan.support import report
from turnout.project.file import current
from turnout.spec.document import Document
from turnout.spec.image_digests import pinned, read_digests
from turnout.spec.step_contract import Run, State
from turnout.tracks import registry
from turnout.tracks.files import write_files


def linked(pipeline: Any, *, pin: bool = False) -> Plan:
    """The plan of a pipeline.

    Args:
        pipeline: a function under `@pipeline` or `kfp.dsl.pipeline`; a source (`module:pipeline`, `path.py[:name]`, a
            compiled YAML file); a document; or a plan.
        pin: name images by the digests that `turnout build --push` has written, where there are any.

    Raises:
        SourceError: the source does not exist, or has not exactly one pipeline.
        DefinitionError, SpecError, PlanError: it is not a pipeline, or cannot be linked; with all reasons.
    """
    if isinstance(pipeline, Plan) and not pin:
        return pipeline
    document = _document(pipeline)
    if pin:
        project = current()
        document = pinned(document, read_digests(Path(project.path(project.dags))))
    if faults := list(kubernetes_faults(document)):
        raise PlanError(faults)
    plan = link(document)
    if faults := [*default_faults(plan), *requirement_faults(plan)]:
        raise PlanError(faults)
    return plan


def _document(pipeline: Any) -> Document:
    if isinstance(pipeline, Plan):
        return pipeline.document
    if isinstance(pipeline, Document):
        return pipeline
    if isinstance(pipeline, str | Path):
        return load(str(pipeline))
    from turnout.authoring.pipeline import compile_pipeline, is_pipeline

    if not is_pipeline(pipeline):
        hint = "give a function under @pipeline, or a source such as path.py:name"
        raise SourceError(f"not a pipeline: {pipeline!r}", hint=hint)
    make_importable(pipeline.pipeline_func)
    return compile_pipeline(pipeline)


def run(
    pipeline: Any,
    parameters: Mapping[str, Any] = {},
    *,
    track: str = registry.RUN_ON,
    root: str | Path | None = None,
    run_id: str = "",
    runtime: str = "",
    settings: Mapping[str, str] = {},
    cache: bool = True,
    parallelism: int | None = None,
    secrets: str | Path | None = None,
    tags: Mapping[str, str] = {},
    watch: Watch = lambda step, line: None,
) -> RunResult:
    """Run a pipeline to its end.

    Args:
        pipeline: as `linked` takes it.
        parameters: values by name, of Python's or JSON's types. The others have their defaults.
        track: the track to run on.
        root: path or URI under which runs are kept; `$TURNOUT_ROOT`, the project's, or `.turnout`, when None.
        run_id: an id that no run under the root has; when empty, it is made from the time.
        runtime: how the commands of steps run, such as `docker`; when empty, the track's default.
        settings: settings of the runtime, by name.
        cache: whether results of earlier steps with the same code and inputs are used.
        parallelism: how many steps may run at once; when None, the number of cores.
        secrets: YAML file that stands for a cluster's secrets and config maps.
        tags: by name, to find the run by later; the value of one without a value is empty.
        watch: called with a step whenever its state changes, and with each line that it prints.

    Returns:
        How the run ended, also when it failed: `result.state`, `result.outputs`, `result.artifacts`.

    Raises:
        TurnoutError: the run cannot start: this is not a pipeline, a parameter has a wrong value, or the track cannot
            run it.
    """
    plan = linked(pipeline)
    chosen = registry.track(track)
    if chosen.run is None:
        what, hint = f"the track '{track}' runs nothing here", f"compile for it: turnout compile --track {track}"
        raise TrackError([Fault(what, plan.name, hint=hint)])
    values = bind_parameters(plan.parameters, parameters, plan.name)
    values = with_data_interval(values, plan.airflow, datetime.datetime.now(datetime.UTC))
    options = _options(parallelism, cache, secrets, runtime, settings, tags)
    return chosen.run(plan, values, _store(root), run_id or new_run_id(), options, watch)


def resume(
    run_id: str,
    *,
    root: str | Path | None = None,
    runtime: str = "",
    settings: Mapping[str, str] = {},
    cache: bool = True,
    parallelism: int | None = None,
    secrets: str | Path | None = None,
    watch: Watch = lambda step, line: None,
) -> RunResult:
    """Continue a local run that was interrupted or failed. Steps that succeeded are not run again.

    Args:
        run_id: the id of the run, or `PIPELINE/RUN_ID`. The other arguments are those of `run`.

    Raises:
        StoreError: there is no such run, or more than one, it has succeeded already, or it is still running.
    """
    from turnout.tracks.local import runner

    return runner.resume(_store(root), run_id, _options(parallelism, cache, secrets, runtime, settings), watch)


def write_report(run_id: str, step: str = "", *, root: str | Path | None = None) -> tuple[str, list[StepResult], str]:
    """Write the page of a run as far as it has come, and those of its steps; of one that has ended they are there.

    Args:
        run_id: the id of the run, or `PIPELINE/RUN_ID`.
        step: the step whose page is wanted, such as `train` or `train[0]`, or as pages call it; the run's when empty.

    Returns:
        Where the page is, the steps that it tells of, and why it could not be written; the first is empty then, else
        the last.

    Raises:
        StoreError: there is no such run or step.
    """
    from turnout.tracks.local.pages import known_steps, page_of, write_pages

    store = _store(root)
    plan, record = read_run(store, run_id)
    run = Run(plan.name, record["run_id"], record["create_time"])
    steps = known_steps(store, run, plan, record)
    asked = _step_of(steps, step, run.run_id) if step else None
    told = [asked] if asked else steps
    place = page_of(store, run, asked)
    if State(record["state"]).finished and place.exists():
        return str(place), told, ""
    try:
        place = write_pages(store, run, plan, record, steps, asked)
    except OSError as error:
        return "", told, str(error)
    return str(place), told, ""


def markdown_report(run_id: str = "", *, root: str | Path | None = None) -> str:
    """A run as Markdown, such as for a comment on a pull request.

    Args:
        run_id: the id of the run, or `PIPELINE/RUN_ID`; the latest when empty.

    Raises:
        StoreError: there is no such run, or none.
    """
    from turnout.execution.run_summaries import run_summaries
    from turnout.tracks.local.pages import known_steps, markdown

    store = _store(root)
    if not run_id:
        found = [run for run in run_summaries(store) if run.track == registry.RUN_ON]
        if not found:
            raise StoreError("no run", where=str(store.root), hint="turnout run SOURCE makes one")
        run_id = max(found, key=lambda run: run.started).name
    plan, record = read_run(store, run_id)
    run = Run(plan.name, record["run_id"], record["create_time"])
    return markdown(store, run, plan, record, known_steps(store, run, plan, record))


def _step_of(steps: Sequence[StepResult], name: str, where: str) -> StepResult:
    for step in steps:
        if name in (step.key, step.label):
            return step
    known = [step.key for step in steps]
    hint = did_you_mean(name, known) or "turnout show RUN_ID lists them"
    raise StoreError(f"no step '{name}'", where=where, available=known[:20], hint=hint)


def plan_of_run(run_id: str, root: str | Path | None = None) -> Plan:
    """The plan of an earlier run. Raises StoreError when there is no such run."""
    return read_run(_store(root), run_id)[0]


def _store(root: str | Path | None) -> ArtifactStore:
    project = current()
    return ArtifactStore(str(root or os.environ.get("TURNOUT_ROOT") or project.path(project.root)))


def _options(
    parallelism: int | None,
    cache: bool,
    secrets: str | Path | None,
    runtime: str,
    settings: Mapping[str, str],
    tags: Mapping[str, str] = {},
) -> registry.Options:
    declared, project = Secrets.read(Path(secrets)) if secrets else Secrets(), current()
    project.set_variables()
    return registry.Options(parallelism, cache, declared, runtime or project.runtime, settings, tags)


def new_run_id() -> str:
    """An id for a run, made from the time in UTC."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{random.token_hex(2)}"


def compile(
    pipeline: Any,
    track: str = registry.COMPILED_TO,
    *,
    out: str | Path | None = None,
    runtime: str | None = None,
    pin: bool = False,
) -> dict[Path, str]:
    """Compile a pipeline for a track.

    Args:
        pipeline: as `linked` takes it.
        out: directory to write the files to; when None, nothing is written.
        runtime: the runtime that steps will have, if you know it. What it cannot do is refused.
        pin: as `linked` takes it.

    Returns:
        The text of each file, by its name.

    Raises:
        TurnoutError: this is not a pipeline, or it asks for something that the track cannot do.
    """
    plan = linked(pipeline, pin=pin)
    chosen = registry.track(track)
    if chosen.compile is None:
        raise TrackError([Fault(f"the track '{track}' compiles to no file", plan.name, hint="turnout run runs it")])
    if runtime and (found := chosen.faults(plan, runtime)):
        raise TrackError(found)
    files = chosen.compile(plan)
    if out is not None:
        write_files(files, Path(out))
    return files


def check(pipeline: Any, track: str | None = None, runtime: str | None = None) -> dict[str, Any]:
    """What each track does with each fact of a pipeline, in JSON's types.

    Args:
        pipeline: as `linked` takes it.
        track: only this one; when None, all that are installed.
        runtime: the runtime that steps will have, if you know it.

    Returns:
        `{pipeline, faults: [{track, what, where, available, hint}], tracks: {TRACK: {kept, lowered, refused}}}`; the
        `track` of a fault is null when it concerns all.

    Raises:
        TurnoutError: this is not a pipeline, or there is no such track.
    """
    document = _document(pipeline)
    chosen = [registry.track(name) for name in ([track] if track else registry.names())]
    faults: list[dict[str, Any]] = []
    plan = None
    try:
        plan = linked(document)
    except FaultsError as error:
        faults += [_fault(fault) for fault in error.faults]
    tracks: dict[str, Any] = {}
    for item in chosen:
        faults += [_fault(fault, item.name) for fault in (item.faults(plan, runtime) if plan else ())]
        tracks[item.name] = {
            verdict: [
                {"fact": fact.kind, "where": fact.where, **({"how": how.how} if how.how else {})}
                for fact, how in entries
            ]
            for verdict, entries in report(document, item.support(runtime)).items()
        }
    return {"pipeline": document.name, "faults": faults, "tracks": tracks}


def is_part(inner: Any, outer: Any) -> bool:
    """Whether a pipeline is a part of another. The arguments are as `linked` takes them."""
    # KFP's SDK numbers components of one name.
    label = re.compile(rf"comp-{re.escape(_document(inner).name)}(-\d+)*")
    components = _document(outer).pipeline.components
    return any(item.dag is not None and label.fullmatch(name) for name, item in components.items())


def _fault(fault: Fault, track: str | None = None) -> dict[str, Any]:
    return {"track": track, **dataclasses.asdict(fault)}
