"""The launcher: what KFP's launcher does around a step's command, for the local and Airflow tracks.

Stage artifacts in, fill in the placeholders, run the command, read the executor output, stage artifacts
out, and commit the outcome as the last thing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from turnout.errors import StepError, TurnoutError
from turnout.execution.executor import MEMORY, OTHER_CODE_RAN
from turnout.execution.executor_output import ExecutorOutput, output_parameters, read_executor_output
from turnout.execution.importer import import_artifact
from turnout.execution.runtime import Runtime
from turnout.execution.store import ArtifactStore, segment
from turnout.spec.deployment_spec import ImporterSpec, PipelineContainerSpec
from turnout.spec.placeholders import resolve_command, resolve_text, task_values
from turnout.spec.step_contract import Artifact, Outcome, State, Task, executor_input, output_type

ERROR_FILE = "TURNOUT_ERROR_FILE"
"""Environment variable: where the executor writes what a person should know of a failure."""

EXECUTOR_INPUT = ".launcher/executor_input.json"
"""Where in the working directory an ExecutorInput is that is too long for an argument."""

EXECUTOR_OUTPUT = ".launcher/executor_output.json"
"""Where in the working directory the executor output is to be."""

_PARAMETERS = ".launcher/parameters"
_OWN = (".launcher", "log.txt", "task.json")
"""What the launchers themselves put into a working directory, or the attempt's place."""

ENDINGS = {"system.HTML": ".html", "system.Markdown": ".md"}
"""What the files of output artifacts end in, by the artifact's type."""

_LONGEST_END = 16_384
"""Bytes of the end of a text that a step has written, such as its log, to find a reason in."""

_LONGEST_ARGUMENT = 120_000
"""Bytes; Linux refuses to start a command with an argument of more than 128 KiB."""


def launch(
    task: Task, store: ArtifactStore, runtime: Runtime, on_line: Callable[[str], None] = lambda line: None
) -> Outcome:
    """Run one attempt of a step and commit its outcome.

    What the step does wrong is in the outcome, never raised.

    Returns:
        The outcome as committed: SUCCEEDED or FAILED.
    """
    started = now()
    try:
        if isinstance(task.executor, ImporterSpec):
            outcome = import_artifact(task, task.executor, store, task_values(task, str(store.root)))
            outcome = dataclasses.replace(outcome, started=started, ended=now())
        else:
            outcome = _run(task, task.executor, store, runtime, on_line, started)
    except (TurnoutError, OSError) as error:
        outcome = Outcome(State.FAILED, task.attempt, started=started, ended=now(), error=str(error))
    return store.commit(task, outcome)


def now() -> str:
    """The time in UTC, as ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _run(
    task: Task,
    container: PipelineContainerSpec,
    store: ArtifactStore,
    runtime: Runtime,
    on_line: Callable[[str], None],
    started: str,
) -> Outcome:
    """One attempt of a container, from its inputs to its outcome."""
    place = store.clear_attempt(task)
    with _workdir(store, str(place)) as workdir:
        contract = stage_in(task, store, str(place), workdir)
        values = task_values(task, str(store.root))
        log, error_file = workdir / "log.txt", workdir / ".launcher" / "error.txt"
        try:
            command = command_of(container, contract, values, workdir)
            if command[-1] == f"@{workdir / EXECUTOR_INPUT}":
                (workdir / EXECUTOR_INPUT).write_text(json.dumps(contract))
            environment = {item.name: resolve_text(item.value, task.parameters, values) for item in container.env}
            environment |= {**task.environment, ERROR_FILE: str(error_file)}
            status = runtime.run(command, environment, log, on_line, task.timeout)
            error = why(error_file, status, log) if status else ""
        except StepError as failure:
            error = str(failure)
        return collect(task, store, contract, place, error, started)


def collect(
    task: Task, store: ArtifactStore, contract: Mapping[str, Any], place: UPath, error: str, started: str
) -> Outcome:
    """The outcome of a command that has ended, with its artifacts and log in the store.

    Args:
        contract: the ExecutorInput that the command was given.
        place: the attempt's place in the store.
        error: why the command failed; empty when it did not.
    """
    parameters: dict[str, Any] = {}
    artifacts: dict[str, Artifact] = {}
    output = ExecutorOutput({}, {})
    try:
        output = read_executor_output(Path(contract["outputs"]["outputFile"]))
    except StepError as failure:  # its files are kept all the same
        error = error or str(failure)
    try:
        artifacts = dict(_output_artifacts(task, store, contract, output))
        declared = task.component.output_definitions
        files = {name: Path(item["outputFile"]) for name, item in contract["outputs"]["parameters"].items()}
        if declared and not error:
            parameters = output_parameters(output, declared.parameters, files)
    except StepError as failure:
        error = error or str(failure)
    if error:  # whatever it managed to write is kept for people to look at, such as a report that says why
        artifacts = {name: item for name, item in artifacts.items() if item.digest}
    log = Path(contract["outputs"]["outputFile"]).parent.parent / "log.txt"
    store.stage_out(log, str(place / "log.txt"))
    state = State.FAILED if error else State.SUCCEEDED
    beside = Path(contract["outputs"]["outputFile"]).with_name
    return Outcome(
        state,
        task.attempt,
        parameters,
        artifacts,
        started,
        now(),
        error,
        str(place / "log.txt"),
        memory=_memory(beside(MEMORY)),
        other_code=beside(OTHER_CODE_RAN).exists(),
    )


def _memory(file: Path) -> int:
    """The bytes that a step says it had in memory; 0 when it says nothing that is a number."""
    text = _end_of(file).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def stage_in(task: Task, store: ArtifactStore, place: str, workdir: Path) -> dict[str, Any]:
    """Fetch the input artifacts, and make the ExecutorInput."""
    for directory, artifact in _inputs(task, workdir):
        store.stage_in(artifact.uri, directory)
    (workdir / _PARAMETERS).mkdir(parents=True, exist_ok=True)
    return contract_of(task, store, place, workdir)


def contract_of(task: Task, store: ArtifactStore, place: str, workdir: Path) -> dict[str, Any]:
    """The ExecutorInput of a task whose artifacts are, or will be, staged in a working directory."""
    local_inputs = {item.uri: store.staged_path(item.uri, directory) for directory, item in _inputs(task, workdir)}
    declared = task.component.output_definitions
    names = {name: name + _ending(task, name) for name in (declared.artifacts if declared else ())}
    segments = {
        name: segment(file, *_OWN, *(other for other in names if other != name)) for name, file in names.items()
    }
    places = {name: (f"{place}/{part}", str(workdir / part)) for name, part in segments.items()}
    files = {name: str(workdir / _PARAMETERS / segment(name)) for name in (declared.parameters if declared else ())}
    return executor_input(task, local_inputs, places, files, str(workdir / EXECUTOR_OUTPUT))


def _ending(task: Task, name: str) -> str:
    """What the name of an output's file ends in, so that a browser, or MLflow, shows it as what it is."""
    ending = ENDINGS.get(output_type(task, name), "")
    return "" if name.endswith(ending) else ending


def _inputs(task: Task, workdir: Path) -> Iterator[tuple[Path, Artifact]]:
    """The input artifacts, each with the directory that it is fetched into."""
    for name, artifacts in task.artifacts.items():
        for index, artifact in enumerate(artifacts):
            yield workdir / ".launcher" / "inputs" / segment(name) / str(index), artifact


def command_of(
    container: PipelineContainerSpec, contract: Mapping[str, Any], values: Mapping[str, str], workdir: Path
) -> list[str]:
    """A container's command with its placeholders filled in.

    Raises:
        StepError: the component names no command.
    """
    command = resolve_command([*container.command, *container.args], contract, values)
    if not command:
        raise StepError("the image's own command cannot be run, and the component names none")
    if command[:2] == ["turnout", "exec"] and len(command[-1].encode()) > _LONGEST_ARGUMENT:
        return [*command[:-1], f"@{workdir / EXECUTOR_INPUT}"]
    return command


@contextlib.contextmanager
def _workdir(store: ArtifactStore, place: str) -> Iterator[Path]:
    """Where the command works: the attempt's own place when that is on this machine."""
    if store.is_local:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="turnout-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _output_artifacts(
    task: Task, store: ArtifactStore, contract: Mapping[str, Any], output: ExecutorOutput
) -> Iterator[tuple[str, Artifact]]:
    for name, entry in contract["outputs"]["artifacts"].items():
        (asked,) = entry["artifacts"]
        said = output.artifacts.get(name, {})
        # A component may say that its data is elsewhere; then there is nothing to store.
        uri, path = said.get("uri") or asked["uri"], Path(asked.get("customPath", asked["uri"]))
        mine = uri == asked["uri"]
        if mine:
            _check_ordinary(path, name)
            store.stage_out(path, uri)
        digest = store.digest(uri, path if mine else None)
        metadata = asked["metadata"] if said.get("metadata") is None else said["metadata"]
        yield name, Artifact(said.get("name") or name, output_type(task, name), uri, metadata, digest)


def _check_ordinary(path: Path, name: str) -> None:
    """Raises StepError when an artifact is, or holds, what cannot be read to an end, such as a pipe."""
    below = path.rglob("*") if path.is_dir() else [path]
    for file in below:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise StepError(f"the artifact '{name}' is, or holds, neither a file nor a directory", where=str(file))


def why(error_file: Path, status: int, log: Path) -> str:
    """Why a command failed, never empty: what it said to the person, or else the last it printed."""
    if said := _end_of(error_file).strip():
        return said
    ended = f"the command was ended by signal {-status}" if status < 0 else f"the command ended with status {status}"
    lines = [line for line in _end_of(log).splitlines() if line.strip()]
    return "\n  ".join([ended, *lines[-3:]])


def _end_of(file: Path) -> str:
    """The end of a text, of which nobody knows how long it is; nothing when it is no file."""
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _LONGEST_END))
        return opened.read(_LONGEST_END).decode(errors="replace")
