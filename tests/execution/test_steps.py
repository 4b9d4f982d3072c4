"""The launcher and the store: outcomes are committed whole, last, and wherever the root is."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from turnout.errors import StepError, StoreError
from turnout.execution.launcher import launch
from turnout.execution.store import ArtifactStore
from turnout.runtimes.process import ProcessRuntime
from turnout.runtimes.warm import Workers
from turnout.spec.deployment_spec import EnvVar, PipelineContainerSpec
from turnout.spec.pipeline_spec import (
    ComponentInputsSpec,
    ComponentOutputsSpec,
    ComponentSpec,
    InputArtifactSpec,
    OutputArtifactSpec,
    OutputParameterSpec,
)
from turnout.spec.placeholders import resolve_command, resolve_text
from turnout.spec.step_contract import Artifact, Run, State, Task
from turnout.spec.values import ArtifactTypeSchema, ParameterType

DATASET = ArtifactTypeSchema(schema_title="system.Dataset")
RUN = Run("p", "run 1", "2024-01-01T00:00:00+00:00")


def shell_task(
    script: str, *, path="step", parameters=None, artifacts=None, outputs=(), numbers=(), arguments=()
) -> Task:
    component = ComponentSpec(
        input_definitions=ComponentInputsSpec(artifacts={name: InputArtifactSpec() for name in artifacts or {}}),
        output_definitions=ComponentOutputsSpec(
            artifacts={name: OutputArtifactSpec(artifact_type=DATASET) for name in outputs},
            parameters={name: OutputParameterSpec(parameter_type=ParameterType.NUMBER_INTEGER) for name in numbers},
        ),
    )
    container = PipelineContainerSpec(
        image="any",
        command=["sh", "-ec", script, "sh"],
        args=list(arguments),
        env=[EnvVar(name="GREETING", value="hi")],
    )
    return Task(RUN, path, component, container, parameters or {}, artifacts or {})


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "root") if request.param == "local" else f"memory://{tmp_path.name}")


def test_a_step_reads_and_writes_artifacts_wherever_the_root_is(store: ArtifactStore) -> None:
    script = 'echo "$GREETING" > "$1"; echo 7 > "$2"'
    paths = ["{{$.outputs.artifacts['data'].path}}", "{{$.outputs.parameters['n'].output_file}}"]
    first = launch(shell_task(script, outputs=["data"], numbers=["n"], arguments=paths), store, ProcessRuntime())
    assert first.state is State.SUCCEEDED, first.error
    assert first.parameters == {"n": 7}
    data = first.artifacts["data"]
    assert data.type == "system.Dataset"
    reader = shell_task(
        'cat "$1"', path="reader", artifacts={"data": (data,)}, arguments=["{{$.inputs.artifacts['data'].path}}"]
    )
    lines: list[str] = []
    assert launch(reader, store, ProcessRuntime(), lines.append).state is State.SUCCEEDED
    assert lines == ["hi"]


def test_a_page_ends_as_browsers_expect_wherever_the_root_is(store: ArtifactStore) -> None:
    names = ["report", "report.html", "words", "data"]
    paths = [f"{{{{$.outputs.artifacts['{name}'].path}}}}" for name in names]
    task = shell_task('for file; do echo "$file" > "$file"; done', outputs=names, arguments=paths)
    declared = task.component.output_definitions
    assert declared is not None
    types = {"report": "system.HTML", "report.html": "system.HTML", "words": "system.Markdown"}
    for name, kind in types.items():
        declared.artifacts[name] = OutputArtifactSpec(artifact_type=ArtifactTypeSchema(schema_title=kind))
    outcome = launch(task, store, ProcessRuntime())
    assert outcome.state is State.SUCCEEDED, outcome.error
    ends = {name: artifact.uri.rpartition("/")[2] for name, artifact in outcome.artifacts.items()}
    assert (ends["report.html"], ends["words"], ends["data"]) == ("report.html", "words.md", "data")
    assert ends["report"] not in ("report", "report.html")  # the other output has that name
    assert len({artifact.digest for artifact in outcome.artifacts.values()}) == len(names)


def test_the_outcome_is_on_record(store: ArtifactStore) -> None:
    outcome = launch(shell_task("true", outputs=["data"]), store, ProcessRuntime())
    assert store.outcome(RUN, "step") == outcome
    assert store.outcome(RUN, "other") is None


def test_a_failed_step_says_why_and_keeps_what_it_wrote_for_people(store: ArtifactStore) -> None:
    script = 'echo partial > "$1"; echo "disk on fire" >&2; exit 3'
    task = shell_task(script, outputs=["report", "model"], arguments=["{{$.outputs.artifacts['report'].path}}"])
    outcome = launch(task, store, ProcessRuntime())
    assert outcome.state is State.FAILED
    assert "status 3" in outcome.error
    assert "disk on fire" in outcome.error
    assert list(outcome.artifacts) == ["report"]


def test_a_step_without_its_output_parameter_has_failed(store: ArtifactStore) -> None:
    outcome = launch(shell_task("true", numbers=["n"]), store, ProcessRuntime())
    assert outcome.state is State.FAILED
    assert "output parameter 'n'" in outcome.error


def test_an_output_parameter_of_another_type_is_a_failure(store: ArtifactStore) -> None:
    task = shell_task('echo 1.5 > "$1"', numbers=["n"], arguments=["{{$.outputs.parameters['n'].output_file}}"])
    assert "1.5, which is not NUMBER_INTEGER" in launch(task, store, ProcessRuntime()).error


def test_a_command_that_does_not_exist_is_a_clear_failure(store: ArtifactStore) -> None:
    task = shell_task("")
    task = Task(RUN, "step", task.component, PipelineContainerSpec(command=["no-such-command"]), {}, {})
    assert "cannot be run" in launch(task, store, ProcessRuntime()).error


def test_an_artifact_that_is_gone_is_a_clear_failure(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}")
    gone = Artifact("data", "system.Dataset", "nosuchprotocol://x")
    task = shell_task("true", artifacts={"data": (gone,)})
    outcome = launch(task, store, ProcessRuntime())
    assert outcome.state is State.FAILED
    assert "nosuchprotocol" in outcome.error


def test_cancelling_ends_the_whole_process_group(tmp_path: Path) -> None:
    runtime = ProcessRuntime()
    marker = tmp_path / "child-finished"
    task = shell_task(f"(sleep 3; touch {marker}) & sleep 30")
    threading.Timer(0.5, runtime.cancel).start()
    started = time.monotonic()
    outcome = launch(task, ArtifactStore(str(tmp_path / "root")), runtime)
    assert time.monotonic() - started < 20
    assert outcome.error == "the step was cancelled"
    time.sleep(3)
    assert not marker.exists()


def test_another_environments_commands_come_first(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    (tmp_path / "greet").write_text("#!/bin/sh\necho from there\n")
    (tmp_path / "greet").chmod(0o755)
    lines: list[str] = []
    launch(
        shell_task("greet"),
        ArtifactStore(str(tmp_path / "root")),
        ProcessRuntime(str(tmp_path / "python3")),
        lines.append,
    )
    assert lines == ["from there"]


def test_openmps_threads_are_patient_unless_somebody_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    for own in ("", "5"):
        if own:
            monkeypatch.setenv("GOMP_SPINCOUNT", own)
        lines: list[str] = []
        task = shell_task("echo $GOMP_SPINCOUNT")
        launch(task, ArtifactStore(str(tmp_path / f"root{own}")), ProcessRuntime(), lines.append)
        assert lines == [own or "1000"]


ABORTING = '''
from turnout import component

@component
def abort_at_exit(mark: str):
    """Leave a mark, and abort.

    Args:
        mark: path.
    """
    import atexit, ctypes, pathlib

    libc = ctypes.CDLL(None)  # as a destructor of C++ that goes wrong
    libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
    atexit.register(pathlib.Path(mark).touch)
    libc.printf(b"printed ")
    print("done")
'''


@pytest.mark.parametrize("warm", [False, True])
def test_a_step_that_has_done_its_work_cannot_fail_in_the_destructors_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (tmp_path / "aborting.py").write_text(ABORTING)
    contract = {
        "inputs": {"parameterValues": {"mark": str(tmp_path / "mark")}},
        "outputs": {"outputFile": str(tmp_path / "output.json")},
    }
    command = ["turnout", "exec", "aborting:abort_at_exit", "--executor-input", json.dumps(contract)]
    log = tmp_path / "log.txt"
    with Workers(str(tmp_path)) as workers:
        runtime = workers.runtime() if warm else ProcessRuntime(directory=str(tmp_path))
        assert runtime.run(command, {}, log, lambda line: None) == 0
    assert sorted(log.read_text().split()) == ["done", "printed"]
    assert (tmp_path / "mark").exists()


def test_an_interpreter_that_does_not_exist_is_told() -> None:
    with pytest.raises(StepError, match="does not exist"):
        ProcessRuntime("/no/python")


def test_a_run_id_is_taken_once(store: ArtifactStore) -> None:
    store.claim(RUN, {}, "")
    with pytest.raises(StoreError, match="there is a run 'run 1' already"):
        store.claim(RUN, {}, "")


def test_names_become_different_safe_segments(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    names = ["a", "a/b", "a:b", "..", "manual__2024-01-01T00:00:00+00:00", "ü"]
    paths = {str(store.run_path(Run("p", name, ""))) for name in names}
    assert len(paths) == len(names)
    assert all(Path(path).parent == tmp_path / "p" for path in paths)
    assert not any(character in path for path in paths for character in "%:+")


def test_an_unwritable_root_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        ArtifactStore(str(tmp_path / "file" / "root")).check_writable()
    with pytest.raises(StoreError, match="cannot be opened"):
        ArtifactStore("nosuchprotocol://x")


CONTRACT = {
    "inputs": {
        "parameterValues": {"x": "{{$.pipeline_root}}", "n": [1, {"a": 2}], "none": None},
        "artifacts": {"data": {"artifacts": [{"uri": "s3://b/k", "customPath": "/tmp/k", "metadata": {"rows": 1}}]}},
    },
    "outputs": {"parameters": {"o": {"outputFile": "/o"}}, "artifacts": {}, "outputFile": "/out.json"},
}
COMMANDS = {
    "a value that looks like a placeholder stays": ("{{$.inputs.parameters['x']}}", ["{{$.pipeline_root}}"]),
    "other than text is JSON": ("n={{$.inputs.parameters['n']}}", ['n=[1, {"a": 2}]']),
    "path of a staged artifact": ("{{$.inputs.artifacts['data'].path}}", ["/tmp/k"]),
    "its URI": ("{{$.inputs.artifacts['data'].uri}}", ["s3://b/k"]),
    "its metadata": ("{{$.inputs.artifacts['data'].metadata}}", ['{"rows": 1}']),
    "output file": ("{{$.outputs.parameters['o'].output_file}}", ["/o"]),
    "root": ("{{$.pipeline_root}}", ["/root"]),
    "if present": ('{"IfPresent": {"InputName": "x", "Then": ["--x", "{{$.inputs.parameters[\'x\']}}"]}}',
                   ["--x", "{{$.pipeline_root}}"]),
    "if absent": ('{"IfPresent": {"InputName": "none", "Then": ["--x"]}}', []),
    "else": ('{"IfPresent": {"InputName": "no", "Then": ["--x"], "Else": ["--y"]}}', ["--y"]),
    "concat": ('{"Concat": ["a-", {"IfPresent": {"InputName": "x", "Then": "b"}}]}', ["a-b"]),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_placeholders(case: str) -> None:
    text, expected = COMMANDS[case]
    assert resolve_command([text], CONTRACT, {".pipeline_root": "/root"}) == expected


def test_the_whole_executor_input() -> None:
    (text,) = resolve_command(["{{$}}"], CONTRACT, {})
    assert json.loads(text) == CONTRACT


def test_what_only_looks_like_a_placeholder_stays() -> None:
    assert resolve_text("{{$.no_such_thing}}", {}, {}) == "{{$.no_such_thing}}"
