"""Records under a root: foreign files beside them disturb nothing, names stay inside, and a full disk is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnout.errors import StoreError
from turnout.execution.cache import Cache
from turnout.execution.launcher import launch
from turnout.execution.runs import find_runs, read_run
from turnout.execution.store import ArtifactStore
from turnout.runtimes.process import ProcessRuntime
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import ComponentOutputsSpec, ComponentSpec, OutputArtifactSpec, OutputParameterSpec
from turnout.spec.step_contract import Run, State, Task
from turnout.spec.values import ParameterType

PIPELINE = """
from kfp import dsl

@dsl.container_component
def say(file: str, told: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="any", command=["sh", "-ec", 'cat "$0" > "$1"'], args=[file, told])

@dsl.pipeline
def {name}(file: str) -> str:
    return say(file=file).outputs["told"]
"""

FOREIGN = [
    "[]",
    "3",
    "{}",
    "{",
    "null",
    "\udcff",
    '"run.json"',
    '{"pipeline": 1, "run_id": [], "state": {}}',
    "[" * 9999,
]
"""What a file with the name of a record may hold."""


def foreign(root: Path, run: Path) -> None:
    """Put files and directories of others where records are."""
    (run / "step@x").mkdir()
    shutil.copy(run / "say" / "outcome.json", run / "step@x" / "outcome.json")
    shutil.copytree(run, run.with_name("a copy"))
    for index, text in enumerate(FOREIGN):
        for place in (
            root / "notes" / str(index),
            root / ".cache" / "aa",
            run / f"other-{index}",
            run / f"other@{index}",
        ):
            place.mkdir(parents=True, exist_ok=True)
            for name in ("run.json", "outcome.json", f"{index}.json"):
                (place / name).write_text(text, errors="surrogateescape")
    (root / "notes.txt").touch()
    (root / "notes" / "empty").mkdir()
    (root / "notes" / "odd" / "run.json").mkdir(parents=True)
    os.mkfifo(root / "pipe")
    (root / "notes" / "loop").symlink_to(root)


def test_foreign_files_among_the_runs_disturb_nothing(turnout: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PIPELINE.format(name="p"))
    run = ["run", f"{tmp_path}/p.py", "-p", f"file={tmp_path}/file", "--json", "--run-id"]
    assert turnout(*run, "r").status == 1
    (tmp_path / "file").write_text("hello")
    assert turnout(*run, "s").status == 0
    before = turnout("runs", "--json").json, turnout("cache", "list", "--json").json
    foreign(tmp_path / "runs", tmp_path / "runs" / "p" / "s")
    assert (turnout("runs", "--json").json, turnout("cache", "list", "--json").json) == before
    shown = turnout("show", "s")
    assert (shown.status, "hello" in shown.out) == (0, True), shown.err
    store = ArtifactStore(str(tmp_path / "runs"))
    assert list(store.outcomes(Run("p", "s", ""))) == [("say", ())]
    assert all(outcome.state in State for _, _, outcome in store.all_outcomes())
    assert turnout("run", "--resume", "r", "--json").json["outputs"] == {"Output": "hello"}
    assert turnout("cache", "prune").out == f"forgot {len(before[1])} results\n"


@pytest.mark.parametrize("text", FOREIGN)
def test_a_result_in_the_cache_that_is_none_is_not_taken(tmp_path: Path, text: str) -> None:
    cache = Cache(ArtifactStore(str(tmp_path)))
    for key, content in (("aa", text), ("ab", f'{{"outcome": {text}}}')):
        place = tmp_path / ".cache" / key / f"{key}.json"
        place.parent.mkdir(parents=True)
        place.write_text(content, errors="surrogateescape")
        assert cache.find(key) is None


def test_a_run_without_its_pipeline_is_told(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    record = {"pipeline": "p", "run_id": "r", "create_time": "2026", "state": "FAILED"}
    store.claim(Run("p", "r", ""), record, "")
    (tmp_path / "p" / "r" / "pipeline.yaml").unlink()
    with pytest.raises(StoreError, match="the run has kept no pipeline"):
        read_run(store, "r")


def test_one_id_in_two_pipelines(turnout: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(PIPELINE.format(name=name))
        ran = turnout("run", f"{tmp_path}/{name}.py", "-p", f"file={tmp_path}/{name}.txt", "--run-id", "same")
        assert ran.status == 1
        (tmp_path / f"{name}.txt").write_text(name)
    for command in (["show", "same"], ["run", "--resume", "same"]):
        ran = turnout(*command)
        assert ran.status == 1
        assert "more than one run 'same'" in ran.err
        assert "available here: first/same, second/same" in ran.err
    assert turnout("run", "--resume", "second/same", "--json").json["outputs"] == {"Output": "second"}
    assert "second same: SUCCEEDED" in turnout("show", "second/same").out
    assert "first same: FAILED" in turnout("show", "first/same").out


NAMES = [
    "../x",
    "../../../../x",
    "/x",
    "a/../../x",
    "..",
    ".",
    "n\0l",
    "x" * 5000,
    ".launcher",
    "log.txt",
    "a b",
    "ü",
]


def test_outputs_stay_in_the_attempt_s_place_whatever_their_names(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "root"))
    script = 'for path in "$@"; do echo 7 > "$path"; done; echo said'
    outputs = ComponentOutputsSpec(
        artifacts={name: OutputArtifactSpec() for name in NAMES},
        parameters={f"{name}!"[-5000:]: OutputParameterSpec(parameter_type=ParameterType.STRING) for name in NAMES},
    )
    arguments = [f"{{{{$.outputs.artifacts['{name}'].path}}}}" for name in outputs.artifacts]
    arguments += [f"{{{{$.outputs.parameters['{name}'].output_file}}}}" for name in outputs.parameters]
    container = PipelineContainerSpec(image="any", command=["sh", "-ec", script, "sh"], args=arguments)
    task = Task(Run("p", "r", ""), "step", ComponentSpec(output_definitions=outputs), container, {}, {})
    outcome = launch(task, store, ProcessRuntime())
    assert outcome.state is State.SUCCEEDED, outcome.error
    place = tmp_path / "root" / "p" / "r" / "step" / "attempt-1"
    uris = [artifact.uri for artifact in outcome.artifacts.values()]
    assert len(set(uris)) == len(NAMES)
    assert {Path(uri).parent for uri in uris} == {place}
    assert all(Path(uri).read_text() == "7\n" for uri in uris)
    assert set(outcome.parameters.values()) == {"7\n"}
    assert (place / "log.txt").read_text() == "said\n"
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["p"]


@pytest.mark.parametrize("make", ["mkfifo {}", "mkdir {0}; mkfifo {0}/pipe", "ln -s /dev/zero {}"])
def test_an_artifact_that_has_no_end_is_a_clear_failure(tmp_path: Path, make: str) -> None:
    outputs = ComponentOutputsSpec(artifacts={"data": OutputArtifactSpec()})
    script = make.format('"$1"', '"$1"')
    container = PipelineContainerSpec(
        image="any", command=["sh", "-ec", script, "sh"], args=["{{$.outputs.artifacts['data'].path}}"]
    )
    for root in (str(tmp_path / "root"), f"memory://{tmp_path.name}"):
        task = Task(Run("p", "r", ""), "step", ComponentSpec(output_definitions=outputs), container, {}, {})
        outcome = launch(task, ArtifactStore(root), ProcessRuntime())
        assert outcome.state is State.FAILED
        assert outcome.error.startswith("the artifact 'data' is, or holds, neither a file nor a directory")


FILLS = '''
from kfp import dsl
from turnout import component, pipeline

@dsl.container_component
def fill(go_on: str, data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(
        image="any",
        command=["sh", "-ec", 'test -e "$0" || head -c 9999999 /dev/zero > "$1"'],
        args=[go_on, data.path],
    )

@component
def tell(path: str):
    """Be there at the end.

    Args:
        path: of a file.
    """
    open(path, "w").close()

@pipeline
def full(directory: str):
    """Fill the disk.

    Args:
        directory: for files.
    """
    with dsl.ExitHandler(tell(path=f"{directory}/told")):
        fill(go_on=f"{directory}/go")
'''


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The root of the test's runs on a disk of a megabyte."""
    place = tmp_path / "runs"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("needs leave to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_becomes_full(turnout: Callable[..., Any], small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "full.py").write_text(FILLS)
    ran = turnout(
        "run", f"{tmp_path}/full.py", "-p", f"directory={tmp_path}", "--run-id", "r", "--json", directory=tmp_path
    )
    assert ran.status == 1, ran.err
    assert "Traceback" not in ran.err
    assert ran.json["state"] == "FAILED"
    assert "No space left on device" in ran.step("exit-handler-1.fill")["error"]
    assert any(error.startswith("the run's end cannot be recorded: No space left") for error in ran.json["errors"])
    assert turnout("runs", "--json").json[0]["state"] == "FAILED"
    assert "make room, then go on" in turnout("show", "r").out
    assert not list(small_disk.rglob("*.tmp"))
    next(small_disk.glob("full/r/*fill/attempt-1/data")).unlink()
    (tmp_path / "go").touch()
    resumed = turnout("run", "--resume", "r", "--json", directory=tmp_path)
    assert resumed.json["state"] == "SUCCEEDED", resumed.err
    assert (tmp_path / "told").exists()


def test_a_disk_that_is_full_already(turnout: Callable[..., Any], small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "full.py").write_text(FILLS)
    subprocess.run(["dd", "if=/dev/zero", f"of={small_disk}/ballast", "bs=64k"], capture_output=True, check=False)
    ran = turnout("run", f"{tmp_path}/full.py", "-p", f"directory={tmp_path}")
    assert ran.status == 1
    assert "the artifact store cannot be written: [Errno 28] No space left on device" in ran.err
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_record_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    import resource

    store = ArtifactStore(str(tmp_path))
    record = {"pipeline": "p", "run_id": "r", "create_time": "2026", "state": State.RUNNING.value}
    store.claim(Run("p", "r", ""), record, "")
    path = store.run_path(Run("p", "r", "")) / "run.json"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*/run\.json'"):
            store.write_record(path, {**record, "more": "x" * 5000})
        assert find_runs(store) == [record]
        store.overwrite_record(path, {**record, "more": "x" * 5000})  # no room: nothing
        assert find_runs(store) == [record]
        store.overwrite_record(path, {**record, "state": "FAILED"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert find_runs(store) == [{**record, "state": "FAILED"}]
    assert not list(tmp_path.rglob("*.tmp"))
