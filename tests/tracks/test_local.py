"""Running pipelines with `turnout run`, as a user does."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHAPES = "tests/examples/shapes.py"


def states(ran) -> dict[str, str]:
    return {step["name"]: step["state"] for step in ran.json["steps"]}


def test_a_run_succeeds_and_prints_its_outcome(turnout) -> None:
    ran = turnout(
        "run", f"{SHAPES}:branch", "-p", "rows=3", "-p", "note={{$.pipeline_root}} {{ jinja }} $(shell)", "--json"
    )
    assert ran.status == 0, ran.err
    assert ran.json["state"] == "SUCCEEDED"
    assert ran.json["outputs"] == {"Output": 3}
    assert set(states(ran).values()) == {"SUCCEEDED"}
    make = ran.step("make")
    assert make["attempts"] == 1
    assert make["iteration"] is None
    assert make["outputs"]["rows"] == 3
    assert make["outputs"]["data"]["metadata"] == {"rows": 3}
    log = Path(make["outputs"]["data"]["uri"]).parents[2] / "count" / "attempt-1" / "log.txt"
    assert log.read_text() == "note={{$.pipeline_root}} {{ jinja }} $(shell) on 2024-01-02 in a\n"


def test_a_false_condition_skips(turnout) -> None:
    ran = turnout("run", f"{SHAPES}:branch", "-p", "rows=1", "--json")
    assert ran.status == 0
    assert states(ran) == {"make": "SUCCEEDED", "count": "SUCCEEDED", "condition-1.count-2": "SKIPPED"}


def test_a_failure_is_told_stops_what_depends_on_it_and_nothing_else(turnout) -> None:
    ran = turnout("run", f"{SHAPES}:failing", "-p", "reason=out of luck", "--json")
    assert ran.status == 1
    assert ran.json["state"] == "FAILED"
    assert states(ran) == {"fail": "FAILED", "count": "NOT_TRIGGERED", "make": "SUCCEEDED", "count-2": "SUCCEEDED"}
    assert ran.step("fail")["error"] == "out of luck @ here\n  hint: do better"
    assert Path(ran.step("fail")["outputs"]["report"]["uri"]).read_text() == "why"
    shown = turnout("run", f"{SHAPES}:failing")
    assert "no good @ here" in shown.out
    assert "hint: do better" in shown.out


def test_retries_come_after_a_wait(turnout, tmp_path: Path) -> None:
    ran = turnout("run", f"{SHAPES}:flaky", "-p", f"marker={tmp_path}/marker", "--json")
    assert ran.status == 0, ran.err
    assert ran.step("fail-once")["attempts"] == 2
    assert ran.step("fail-once")["duration_s"] > 1
    assert ran.json["outputs"] == {"Output": "second time"}


def test_nested_pipelines_and_whole_numbers(turnout) -> None:
    ran = turnout("run", f"{SHAPES}:nested", "--json")
    assert ran.status == 0, ran.err
    assert states(ran)["condition-1.inner-2.count"] == "SUCCEEDED"
    assert states(ran)["condition-2.inner-3.make"] == "SKIPPED"
    assert json.loads(ran.step("echo")["outputs"]["Output"]) == {"a": [1, 2.5], "b": {"c": "d"}}


def test_a_compiled_file_runs_like_its_source(turnout, tmp_path: Path) -> None:
    assert turnout("compile", f"{SHAPES}:branch", "--track", "kfp", "--out", str(tmp_path)).status == 0
    environment = {"PYTHONPATH": "tests/examples"}
    os.environ.update(environment)
    try:
        ran = turnout("run", str(tmp_path / "branch.yaml"), "--json")
    finally:
        del os.environ["PYTHONPATH"]
    assert ran.json["outputs"] == {"Output": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "rows=11"], "11 is greater than the maximum of 10 @ branch.rows"),
        (["-p", "row=1"], "did you mean rows?"),
        (["-p", "mode=c"], "available here: a, b"),
        (["-p", "day=soon"], "'soon' is not a 'date' @ branch.day\n  hint: write a date as 2024-01-31"),
        (["--root", "/dev/null/root"], "the artifact store cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(turnout, tmp_path: Path, arguments: list[str], message: str) -> None:
    ran = turnout("run", f"{SHAPES}:branch", *arguments)
    assert ran.status == 1
    assert message in ran.err
    assert ran.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_module:p", "no module 'no_such_module'"),
        ("no/such/file.py", "no such file"),
        (f"{SHAPES}:brnch", "did you mean branch?"),
        (SHAPES, "more than one pipeline here"),
        ("README.md:x", "no module"),
        ("no.yaml", "cannot read the pipeline"),
    ],
)
def test_a_source_that_is_not_there(turnout, source: str, message: str) -> None:
    ran = turnout("run", source)
    assert ran.status == 1
    assert message in ran.err


def test_a_run_id_is_used_once(turnout) -> None:
    assert turnout("run", f"{SHAPES}:branch", "--run-id", "mine").status == 0
    again = turnout("run", f"{SHAPES}:branch", "--run-id", "mine")
    assert again.status == 1
    assert "there is a run 'mine' already" in again.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_cancels_the_steps(tmp_path: Path, number: signal.Signals) -> None:
    source = tmp_path / "slow.py"
    source.write_text(
        "from kfp import dsl\n"
        "@dsl.container_component\n"
        "def wait():\n"
        f"    return dsl.ContainerSpec(image='a', command=['sh', '-c', 'sleep 60; touch {tmp_path}/done'])\n"
        "@dsl.pipeline\ndef slow():\n    wait()\n"
    )
    command = [
        str(Path(sys.executable).parent / "turnout"),
        "run",
        str(source),
        "--root",
        str(tmp_path / "runs"),
        "--run-id",
        "r",
    ]
    # A shell starts its background jobs, these tests perhaps among them, with interrupts ignored.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 30
    while not (tmp_path / "runs/slow/r/wait/attempt-1/log.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "cancelled" in err
    assert json.loads((tmp_path / "runs/slow/r/run.json").read_text())["state"] == "CANCELLED"


def test_components_built_into_an_image_run_from_their_directory(turnout, tmp_path: Path) -> None:
    (tmp_path / "built.py").write_text(
        "from kfp import dsl\n"
        "@dsl.component(base_image='python:3.11', target_image='registry/image')\n"
        "def hello(text: str) -> str:\n    return 'hello ' + text\n"
        "@dsl.pipeline\ndef contained(text: str = 'x') -> str:\n    return hello(text=text).output\n"
    )
    (tmp_path / "kfp_config.ini").write_text("[Components]\nhello = built.py\n")  # as `kfp component build` makes it
    ran = turnout("run", "built.py", "--json", directory=tmp_path)
    assert ran.status == 0, ran.err
    assert ran.json["outputs"] == {"Output": "hello x"}


def test_a_root_in_an_object_store(bucket: str) -> None:
    from turnout.authoring.source import load
    from turnout.execution.own_files import OwnFiles
    from turnout.execution.runs import find_runs
    from turnout.execution.store import ArtifactStore
    from turnout.plan.link import link
    from turnout.spec.step_contract import Run
    from turnout.tracks.local import runner as local

    root = f"s3://{bucket}/root"
    plan = link(load("tests/contract/shapes.py:loop_of_artifacts"))
    first = local.run(plan, {}, ArtifactStore(root), "one")
    assert first.state == "SUCCEEDED", [step.error for step in first.steps]
    assert first.outputs == {"Output": "one two"}
    second = local.run(plan, {}, ArtifactStore(root), "two")
    assert all(step.cached for step in second.steps)
    assert [record["run_id"] for record in find_runs(ArtifactStore(root))] == ["one", "two"]
    store, told = ArtifactStore(root), Run(plan.name, "one", "")
    assert len(store.outcomes(told)) == len(first.steps)
    store.write_record(store.step_path(told, "later") / "outcome.json", store.outcomes(told).popitem()[1].to_dict())
    ArtifactStore(root).forget_listings()  # what another process has listed it keeps
    assert len(store.outcomes(told)) == len(first.steps) + 1
    files = OwnFiles(store, told)
    made = next(iter(first.artifacts.values()))
    assert isinstance(files.read(made.uri, 1000), bytes)
    assert files.read(made.uri.replace(root, "s3://other/root"), 1000) == "it lies outside of the artifact store"
