"""What stands around a step's container in a pod: staging in before it, staging out beside it.

The container may be any image that has `sh`; Turnout and the libraries of the artifact store are in the
image of the two that stage. All three share a directory. As KFP's launcher:

    turnout stage in TASK DIR   an init container: fetches the input artifacts
    sh -c WRAPPER DIR COMMAND   the step's own container: keeps its log and its exit status, awaits the staging out
    turnout stage out TASK DIR  a side-car: stores the outputs and commits the outcome, then waits to be ended

A side-car is told (SIGTERM) when the step's container has ended, so a command that was killed with its
container, such as for its memory, still has an outcome.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upath import UPath

from turnout.errors import StepError, TurnoutError
from turnout.execution.launcher import EXECUTOR_INPUT, collect, contract_of, now, stage_in, why
from turnout.execution.store import ArtifactStore
from turnout.extras import hint_for
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.document import message_from_dict, to_dict
from turnout.spec.pipeline_spec import ComponentSpec
from turnout.spec.step_contract import Artifact, Outcome, Run, State, Task

SHARED = "/turnout"
"""The directory that the containers of a pod share."""

# A shell of PID 1 has no default handlers: it must pass on that the pod is being ended.
WRAPPER = """\
shared="$0/.launcher"
trap 'trap "" TERM; kill -TERM 0' TERM
{ "$@" 2>&1; echo $? > "$shared/status.part"; mv "$shared/status.part" "$shared/status"; } | tee "$0/log.txt" &
wait
until [ -e "$shared/ended" ]; do sleep 0.2 || sleep 1; done
exit "$(cat "$shared/ended")"
"""

_POLL_S = 0.2


def write_task(task: Task, store: ArtifactStore, place: UPath) -> str:
    """Leave a task in the store for the containers of its pod; its URI."""
    record = {
        "root": str(store.root),
        "run": vars(task.run),
        "path": task.path,
        "component": to_dict(task.component),
        "parameters": dict(task.parameters),
        "artifacts": {name: [item.to_dict() for item in items] for name, items in task.artifacts.items()},
        "iteration": list(task.iteration),
        "attempt": task.attempt,
        "items": list(task.items),
    }
    path = place / "task.json"
    store.write_record(path, record)
    return str(path)


def read_task(uri: str) -> tuple[Task, ArtifactStore]:
    """The task, and the store. Raises StepError when there is none at the URI."""
    try:
        record: Mapping[str, Any] = json.loads(UPath(uri).read_text())
    except (OSError, ValueError, ImportError) as error:
        raise StepError(f"the task cannot be read: {error}", where=uri, hint=hint_for(error)) from error
    task = Task(
        run=Run(**record["run"]),
        path=record["path"],
        component=message_from_dict(record["component"], ComponentSpec),
        executor=PipelineContainerSpec(),
        parameters=record["parameters"],
        artifacts={name: tuple(map(Artifact.from_dict, items)) for name, items in record["artifacts"].items()},
        iteration=tuple(record["iteration"]),
        attempt=record["attempt"],
        items=tuple(record["items"]),
    )
    return task, ArtifactStore(record["root"])


def main(arguments: Sequence[str]) -> int:
    """`turnout stage in|out TASK DIR`. Returns the exit status."""
    if len(arguments) != 3 or arguments[0] not in ("in", "out"):
        print("usage: turnout stage in|out TASK DIR", file=sys.stderr)
        return 2
    try:
        (_in if arguments[0] == "in" else _out)(arguments[1], Path(arguments[2]))
    except (TurnoutError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _in(uri: str, shared: Path) -> None:
    task, store = read_task(uri)
    place = store.attempt_path(task)
    try:
        contract = stage_in(task, store, str(place), shared)
    except TurnoutError as error:
        store.commit(task, Outcome(State.FAILED, task.attempt, started=now(), ended=now(), error=str(error)))
        raise
    (shared / EXECUTOR_INPUT).write_text(json.dumps({"started": now(), **contract}))
    open_to_all(shared)


def _out(uri: str, shared: Path) -> None:
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    task, store = read_task(uri)
    status, ended = shared / ".launcher" / "status", shared / ".launcher" / "ended"
    while not status.exists() and not terminated.is_set():
        terminated.wait(_POLL_S)
    if not ended.exists():  # or this one was started again
        place = store.attempt_path(task)
        contract = contract_of(task, store, str(place), shared)
        error = _error(status, shared)
        started = json.loads((shared / EXECUTOR_INPUT).read_text())["started"]
        try:
            outcome = collect(task, store, contract, place, error, started)
        except (TurnoutError, OSError) as failure:
            outcome = Outcome(State.FAILED, task.attempt, started=started, ended=now(), error=str(failure))
        store.commit(task, outcome)
        print(outcome.error or "outputs stored", file=sys.stderr)
        failed = outcome.state is not State.SUCCEEDED
        ended.with_suffix(".part").write_text(str(int(failed)))
        ended.with_suffix(".part").replace(ended)
    while not terminated.is_set():  # a side-car that ends of itself is started again
        terminated.wait(60)


def _error(status: Path, shared: Path) -> str:
    """Why the command failed; empty when it did not."""
    if not status.exists():
        return "the container was ended before its command was: out of memory, out of time, or evicted"
    code = int(status.read_text())
    # A shell tells of a signal by a status above 128.
    return (
        why(shared / ".launcher" / "error.txt", code if code <= 128 else 128 - code, shared / "log.txt") if code else ""
    )


def open_to_all(directory: Path) -> None:
    """Let the user of any image write its outputs, as in a volume of a pod."""
    for path in (directory, directory / ".launcher", directory / ".launcher" / "parameters"):
        path.chmod(0o777)
