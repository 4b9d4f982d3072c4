"""Whatever a step leaves as its executor output, its outcome is committed, and says what is wrong."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from turnout.errors import StepError
from turnout.execution.executor_output import LARGEST, read_executor_output
from turnout.execution.launcher import launch
from turnout.execution.store import ArtifactStore
from turnout.runtimes.process import ProcessRuntime
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import ComponentOutputsSpec, ComponentSpec, OutputParameterSpec
from turnout.spec.step_contract import Outcome, Run, State, Task
from turnout.spec.values import ParameterType

RUN = Run("pipeline", "run", "2026-01-01T00:00:00Z")


def ended(tmp_path: Path, program: str, kind: ParameterType = ParameterType.STRUCT) -> Outcome:
    """The outcome of a Python program that finds the executor output's path, and that of its parameter `o`, in argv."""
    outputs = ComponentOutputsSpec(parameters={"o": OutputParameterSpec(parameter_type=kind)})
    executor = PipelineContainerSpec(
        image="any",
        command=[sys.executable, "-c", f"import os, sys\nout, o = sys.argv[1:]\n{program}"],
        args=["{{$.outputs.output_file}}", "{{$.outputs.parameters['o'].output_file}}"],
    )
    task = Task(RUN, "step", ComponentSpec(output_definitions=outputs), executor, {}, {})
    store = ArtifactStore(str(tmp_path / "root"))
    outcome = launch(task, store, ProcessRuntime())
    (record,) = (tmp_path / "root").glob("*/*/step/outcome.json")
    json.loads(record.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in a record"))
    return outcome


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "the executor output is a list, not an object"),
        ("{", "the executor output is not JSON"),
        ('{"parameterValues": [1]}', "parameterValues in the executor output is a list, not an object"),
        ('{"parameterValues": {"o": NaN}}', "the output parameter 'o' holds NaN"),
        (
            '{"parameterValues": {"o": {"a": [1, {"b": -Infinity}]}}}',
            "the output parameter 'o' holds -Infinity at a[1].b",
        ),
        ('{"parameterValues": {"o": {"a": 1e999}}}', "the output parameter 'o' holds Infinity at a"),
        (
            '{"parameterValues": {"o": {"a": "\\ud800"}}}',
            "the output parameter 'o' holds a text that is not Unicode at a",
        ),
        ('{"parameterValues": {"o": {"\\ud800": 1}}}', "the output parameter 'o' holds a text that is not Unicode"),
        ('{"artifacts": {"d": {"artifacts": [{"metadata": {"m": NaN}}]}}}', "the artifact 'd' holds NaN at metadata.m"),
        ('{"artifacts": {"d": 1}}', "artifacts.d of the executor output is 1, not an object"),
        ('{"artifacts": {"d": {"artifacts": ["x"]}}}', "artifacts.d of the executor output is a text, not an object"),
        (
            '{"artifacts": {"d": {"artifacts": [{"uri": 7}]}}}',
            "uri in artifacts.d of the executor output is 7, not a t",
        ),
        (f'{{"parameterValues": {{"o": {{"a": {"9" * 5_000}}}}}}}', "the executor output cannot be read: Exceeds"),
        ("{}", "the step ended without its output parameter 'o'"),
    ],
    ids=lambda text: text[:60],
)
def test_an_odd_executor_output_is_a_clear_failure(tmp_path: Path, text: str, message: str) -> None:
    outcome = ended(tmp_path, f"open(out, 'w').write({text!r})")
    assert outcome.state is State.FAILED
    assert outcome.error.startswith(message)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("open(out, 'wb').write(b'\\xff{}')", "the executor output is not UTF-8: invalid start byte at byte 0"),
        ("open(out, 'w').write('[' * 100_000 + ']' * 100_000)", "the executor output is nested too deeply"),
        ("os.mkfifo(out)", "the executor output is not a file"),
        ("os.mkdir(out)", "the executor output is not a file"),
        ("os.symlink('/dev/zero', out)", "the executor output is not a file"),
        ("os.mkfifo(o)", "the output parameter 'o' is not a file"),
        ("open(o, 'w').write('NaN')", "the output parameter 'o' holds NaN"),
        ("open(o, 'w').write('1e400')", "the output parameter 'o' holds Infinity"),
        ("open(o, 'wb').write(b'\\xff')", "the output parameter 'o' is not UTF-8"),
        ("open(os.environ['TURNOUT_ERROR_FILE'], 'w').close(); sys.exit(3)", "the command ended with status 3"),
        ("open(os.environ['TURNOUT_ERROR_FILE'], 'wb').write(b'\\xff'); sys.exit(3)", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_odd_files_are_a_clear_failure_and_are_not_waited_for(tmp_path: Path, program: str, message: str) -> None:
    outcome = ended(tmp_path, program, ParameterType.NUMBER_DOUBLE)
    assert outcome.state is State.FAILED
    assert outcome.error.startswith(message)


def test_lines_without_an_end_are_passed_on_in_pieces(tmp_path: Path) -> None:
    lines: list[str] = []
    assert ProcessRuntime().run(["head", "-c", "300000", "/dev/zero"], {}, tmp_path / "log.txt", lines.append) == 0
    assert len(lines) > 2
    assert sum(map(len, lines)) == 300_000


def test_a_step_that_prints_faster_than_it_is_read_is_ended_in_time(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(StepError, match=r"longer than its time-out of 0\.5 s"):
        ProcessRuntime().run(
            ["sh", "-c", f"while :; do echo {'y' * 2000}; done"],
            {},
            tmp_path / "log.txt",
            lambda line: time.sleep(0.001),
            timeout=0.5,
        )
    assert time.monotonic() - started < 20


def test_a_step_that_says_a_gigabyte_of_its_error_is_not_read_whole(tmp_path: Path) -> None:
    program = "os.truncate(os.open(os.environ['TURNOUT_ERROR_FILE'], os.O_RDWR | os.O_CREAT), 2**33); sys.exit(3)"
    assert len(ended(tmp_path, program).error) < 100_000


def test_a_value_that_json_has_is_handed_on(tmp_path: Path) -> None:
    value = {"text": "é \N{GRINNING FACE}", "numbers": [0, -1.5, 1e300], "nothing": None, "deep": [[[{}]]]}
    outcome = ended(tmp_path, f"open(out, 'w').write({json.dumps({'parameterValues': {'o': value}})!r})")
    assert outcome.state is State.SUCCEEDED, outcome.error
    assert outcome.parameters == {"o": value}


def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "output.json").open("wb") as file:
        os.truncate(file.fileno(), 2**40)
    with pytest.raises(StepError, match=f"the executor output has more than {LARGEST // 2**20} MiB"):
        read_executor_output(tmp_path / "output.json")


STEPS = '''
import json
from kfp.dsl import Metrics, Output
from turnout import component, pipeline


@component
def undefined() -> float:
    return float("nan")


@component
def infinite(metrics: Output[Metrics]):
    """Log.

    Args:
        metrics: a metric.
    """
    metrics.log_metric("loss", float("inf"))


@component
def unencodable():
    raise ValueError("\\ud800")


@component
def silent():
    raise ValueError


@component
def library():
    json.loads("{")


@pipeline
def p():
    undefined()
    infinite()
    unencodable()
    silent()
    library()
'''


def test_a_function_s_failure_is_told_in_its_own_words_and_place(turnout: Callable, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(STEPS)
    ran = turnout("run", str(tmp_path / "p.py"), "--json", directory=tmp_path)
    assert ran.status == 1
    errors = {step["name"]: step["error"].splitlines()[0] for step in ran.json["steps"]}
    line = STEPS.splitlines().index('    json.loads("{")') + 1
    assert errors["undefined"] == "the output parameter 'Output' holds NaN"
    assert errors["infinite"] == "the artifact 'metrics' holds Infinity at metadata.loss"
    assert errors["unencodable"].startswith("ValueError: \\ud800 @ p.py:")
    assert errors["silent"].startswith("ValueError:  @ p.py:")
    assert errors["library"].endswith(f"@ p.py:{line}")
    assert {step["state"] for step in ran.json["steps"]} == {"FAILED"}
