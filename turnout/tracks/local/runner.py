"""The local track: runs a plan on this machine, each step in a process of its own, independent ones in parallel."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.errors import StoreError, TrackError
from turnout.execution.launcher import now
from turnout.execution.run_summaries import write_tags
from turnout.execution.runs import new_record, read_run
from turnout.execution.store import ArtifactStore, with_workspace
from turnout.plan.model import Plan, Region
from turnout.plan.results import RunResult, Watch
from turnout.runtimes.leftovers import end_leftovers
from turnout.runtimes.registry import make_step_runner
from turnout.runtimes.steps import StepRunner
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.document import digest, write
from turnout.spec.step_contract import Run, State
from turnout.tracks.local import DEFAULT_RUNTIME, TRACK
from turnout.tracks.local.loop import RunLoop
from turnout.tracks.local.pages import write_pages
from turnout.tracks.registry import DEFAULTS, Options

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(
    plan: Plan,
    parameters: Mapping[str, Any],
    store: ArtifactStore,
    run_id: str,
    options: Options = DEFAULTS,
    watch: Watch = lambda step, line: None,
) -> RunResult:
    """Run a plan to its end.

    Args:
        parameters: all of the run's, as `bind_parameters` gives them.
        run_id: an id that no run under the store's root has.

    Raises:
        TrackError: the pipeline asks for what this track cannot do, or the runtime cannot run here.
        StoreError: the store cannot be written, or has a run of that id.
        KeyboardInterrupt: after all steps that were running have been cancelled.
    """
    steps = _step_runner(plan, store, options)
    store.check_writable()
    info = with_workspace(Run(plan.name, run_id, now()), plan.config, store)
    spec = write(plan.document)
    record = new_record(plan, info, parameters, digest(spec), TRACK.name)
    store.check_free(info)
    with store.lock(info) as keep:
        with _written("the run cannot be recorded"):
            store.claim(info, record, spec)
            if options.tags:
                write_tags(store, info, options.tags)
        return _run(RunLoop(plan, parameters, store, info, steps, options, watch), record, keep)


def resume(
    store: ArtifactStore,
    run: str,
    options: Options = DEFAULTS,
    watch: Watch = lambda step, line: None,
) -> RunResult:
    """Go on with a run that was interrupted or failed: what has succeeded is taken, the rest runs.

    Args:
        run: the run's id, or `PIPELINE/RUN_ID`.

    Raises:
        StoreError: there is no such run, it succeeded already, or it is still under way.
        TrackError: the runtime cannot run the pipeline, or cannot run here.
    """
    plan, record = read_run(store, run)
    run_id = record["run_id"]
    if record["state"] == State.SUCCEEDED:
        raise StoreError(f"the run '{run_id}' has succeeded; there is nothing to resume", where=str(store.root))
    if record.get("track", TRACK.name) != TRACK.name:
        hint = "start it again there: what has succeeded is in its records and the cache"
        raise StoreError(f"'{run_id}' is a run of the track {record['track']}", where=str(store.root), hint=hint)
    steps = _step_runner(plan, store, options)
    info = with_workspace(Run(plan.name, run_id, record["create_time"]), plan.config, store)
    known = {"pipeline", "run_id", "track", "parameters", "changed", "create_time", "spec"}
    record = {key: value for key, value in record.items() if key in known} | {"state": State.RUNNING.value}
    with store.lock(info) as keep:
        end_leftovers(keep)
        with _written("the run cannot be recorded"):
            store.write_record(store.run_path(info) / "run.json", record)
        return _run(RunLoop(plan, record["parameters"], store, info, steps, options, watch), record, keep)


def _step_runner(plan: Plan, store: ArtifactStore, options: Options) -> StepRunner:
    """What runs the steps: checked, so that no run begins whose steps cannot run.

    Raises:
        TurnoutError: they cannot.
    """
    if faults := TRACK.faults(plan, options.runtime or None):
        raise TrackError(faults)
    steps = make_step_runner(options.runtime or DEFAULT_RUNTIME, options.settings, store)
    steps.check()
    return steps


def _run(loop: RunLoop, record: Mapping[str, Any], keep: int | None) -> RunResult:
    store = loop.store

    def close(result: RunResult) -> None:
        path = store.run_path(loop.info)
        ended = {**record, **result.to_dict(), "end_time": now()}
        try:
            with _written("the run's end cannot be recorded"):
                store.write_record(path / "run.json", ended)
                _write_pages(store, loop, ended, result)
        except StoreError as error:
            result.errors.append(str(error))
            result.state = State.FAILED if result.state is State.SUCCEEDED else result.state
            facts = {"state": result.state.value, "end_time": now(), "errors": [str(error)]}
            store.overwrite_record(path / "run.json", {**record, **facts})

    try:
        with loop.steps.started(keep, _commands(loop.plan.root)):
            result = loop.run()
    except BaseException:
        close(loop.result(State.CANCELLED))
        raise
    close(result)
    return result


def _write_pages(store: ArtifactStore, loop: RunLoop, ended: Mapping[str, Any], result: RunResult) -> None:
    """Write the pages of a run that has ended. A fault in them is told, and is not the run's.

    Raises:
        OSError: there is no room for them.
    """
    try:
        write_pages(store, loop.info, loop.plan, ended, result.steps)
    except OSError:
        raise
    except Exception as error:
        result.errors.append(f"the run's page cannot be made: {type(error).__name__}: {error}")


@contextlib.contextmanager
def _written(what: str) -> Iterator[None]:
    """Raises StoreError, which says what, in the place of OSError."""
    try:
        yield
    except OSError as error:
        hint = "make room, then go on: turnout run --resume RUN_ID" if error.errno in _FULL else ""
        raise StoreError(f"{what}: {error.strerror}", where=str(error.filename or ""), hint=hint) from error


def _commands(region: Region, times: int = 1) -> Iterator[list[str]]:
    """The command of each step in a region, twice for those in loops."""
    for node in region.nodes:
        if isinstance(node, Region):
            yield from _commands(node, times + bool(node.loop))
        elif isinstance(node.executor, PipelineContainerSpec):
            yield from [[*node.executor.command, *node.executor.args]] * times
