"""The launcher: what KFP's launcher does around a step's command, for the local and Airflow tracks.

Stage artifacts in, fill in the placeholders, run the command, read the executor output, stage artifacts
out, and commit the outcome as the last thing.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from turnout.errors import StepError, TurnoutError
from turnout.runtime.contract import Artifact, Outcome, State, Task, executor_input, output_type
from turnout.runtime.placeholders import resolve_command, task_values
from turnout.runtime.process import ProcessRuntime
from turnout.runtime.store import ArtifactStore
from turnout.spec.values import ParameterType

ERROR_FILE = "TURNOUT_ERROR_FILE"
"""Environment variable: where the executor writes what a person should know of a failure."""


def launch(
    task: Task, store: ArtifactStore, runtime: ProcessRuntime, on_line: Callable[[str], None] = lambda line: None
) -> Outcome:
    """Run one attempt of a step and commit its outcome.

    What the step does wrong is in the outcome, never raised.

    Returns:
        The outcome as committed: SUCCEEDED or FAILED.
    """
    started = now()
    outcome = Outcome(State.FAILED, task.attempt, started=started)
    try:
        place = store.clear_attempt(task)
        with _workdir(store, str(place)) as workdir:
            log = workdir / "log.txt"
            parameters, artifacts, error = _attempt(task, store, runtime, str(place), workdir, log, on_line)
            if not store.is_local:
                store.stage_out(log, str(place / "log.txt"))
        state = State.FAILED if error else State.SUCCEEDED
        outcome = Outcome(state, task.attempt, parameters, artifacts, started, now(), error, str(place / "log.txt"))
    except (TurnoutError, OSError) as error:
        outcome = Outcome(State.FAILED, task.attempt, started=started, ended=now(), error=str(error))
    store.commit(task, outcome)
    return outcome


def now() -> str:
    """The time in UTC, as ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _attempt(
    task: Task,
    store: ArtifactStore,
    runtime: ProcessRuntime,
    place: str,
    workdir: Path,
    log: Path,
    on_line: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, Artifact], str]:
    """The step's output parameters and artifacts, and why it failed, or nothing."""
    local_inputs = {
        artifact.uri: store.stage_in(artifact.uri, workdir / ".launcher" / "inputs" / name / str(index))
        for name, artifacts in task.artifacts.items()
        for index, artifact in enumerate(artifacts)
    }
    declared = task.component.output_definitions
    names = declared.artifacts if declared else {}
    places = {name: (f"{place}/{name}", str(workdir / name)) for name in names}
    contract = executor_input(task, local_inputs, places, str(workdir))
    (workdir / ".launcher" / "parameters").mkdir(parents=True, exist_ok=True)
    command = [*task.container.command, *task.container.args]
    if not command:
        raise StepError(f"the image's own command cannot be run here; the component of '{task.path}' names none")
    resolved = resolve_command(command, contract, task_values(task, str(store.root)))
    error_file = workdir / ".launcher" / "error.txt"
    environment = {item.name: item.value for item in task.container.env} | {ERROR_FILE: str(error_file)}
    status = runtime.run(resolved, environment, log, on_line)

    output = _read_json(Path(contract["outputs"]["outputFile"]))
    artifacts = dict(_output_artifacts(task, store, places, output))
    if status != 0:
        # Whatever it managed to write is kept for people to look at, such as a report that says why.
        written = {name: item for name, item in artifacts.items() if Path(places[name][1]).exists()}
        return {}, written, _why(error_file, status, log)
    try:
        return _output_parameters(task, contract, output), artifacts, ""
    except StepError as error:
        return {}, artifacts, str(error)


@contextlib.contextmanager
def _workdir(store: ArtifactStore, place: str) -> Iterator[Path]:
    """Where the command works: the attempt's own place when that is on this machine."""
    if store.is_local:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="turnout-") as directory:
        yield Path(directory)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise StepError(f"the executor output is not JSON: {error}") from error
    return content


def _output_artifacts(
    task: Task, store: ArtifactStore, places: Mapping[str, tuple[str, str]], output: Mapping[str, Any]
) -> Iterator[tuple[str, Artifact]]:
    for name, (uri, path) in places.items():
        told = (output.get("artifacts", {}).get(name, {}).get("artifacts") or [{}])[0]
        # A component may say that its data is elsewhere; then there is nothing to store.
        final = told.get("uri") or uri
        if final == uri:
            store.stage_out(Path(path), uri)
        yield name, Artifact(told.get("name") or name, output_type(task, name), final, told.get("metadata", {}))


def _output_parameters(task: Task, contract: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    """Values from the executor output, or from the file of a component that writes files."""
    declared = task.component.output_definitions
    told = output.get("parameterValues", {})
    values: dict[str, Any] = {}
    for name, spec in declared.parameters.items() if declared else ():
        file = Path(contract["outputs"]["parameters"][name]["outputFile"])
        if name in told:
            values[name] = _typed(told[name], spec.parameter_type, name)
        elif file.exists():
            values[name] = _parsed(file.read_text(), spec.parameter_type, name)
        else:
            raise StepError(f"the step ended without its output parameter '{name}'")
    return values


_PYTHON_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.NUMBER_DOUBLE: (float, int),
    ParameterType.NUMBER_INTEGER: (int,),
    ParameterType.STRING: (str,),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.LIST: (list,),
    ParameterType.STRUCT: (dict,),
}


def _typed(value: Any, kind: ParameterType, name: str) -> Any:
    accepted = _PYTHON_TYPES.get(kind)
    if kind is ParameterType.NUMBER_INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if accepted and (not isinstance(value, accepted) or isinstance(value, bool) is not (bool in accepted)):
        raise StepError(f"output parameter '{name}' is {value!r}, which is not {kind.value}")
    return value


def _parsed(text: str, kind: ParameterType, name: str) -> Any:
    if kind is ParameterType.STRING:
        return text
    try:
        value = json.loads(text.strip().lower() if kind is ParameterType.BOOLEAN else text)
    except json.JSONDecodeError as error:
        raise StepError(f"output parameter '{name}' is {text[:80]!r}, which is not {kind.value}") from error
    return _typed(value, kind, name)


def _why(error_file: Path, status: int, log: Path) -> str:
    """Why a command failed: what it said to the person, or else the last it printed."""
    if error_file.exists():
        return error_file.read_text().strip()
    ended = f"the command was ended by signal {-status}" if status < 0 else f"the command ended with status {status}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return "\n  ".join([ended, *lines[-3:]])
