"""A step whose code is not that which its pipeline was compiled with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, HOME, run_dag

from turnout.execution.store import ArtifactStore
from turnout.plan.results import StepResult
from turnout.reports.run.document import run_page
from turnout.reports.run.shown import ShownRun
from turnout.spec.step_contract import Run

CODE = '''
from turnout import component, pipeline

@component
def answer() -> int:
    """Give an answer."""
    return {answer}

@pipeline
def changing() -> int:
    """Ask."""
    return answer().output
'''
WHAT = "changing:answer is not the code that the pipeline was compiled with"


@pytest.fixture
def dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A DAG whose code was changed after it was compiled."""
    from airflow.dag_processing.dagbag import DagBag

    source = tmp_path / "changing.py"
    source.write_text(CODE.format(answer=41))
    command = [COMPONENTS / "turnout", "compile", "changing.py:changing", "--out", tmp_path / "dags"]
    subprocess.run(command, cwd=tmp_path, check=True)
    source.write_text(CODE.format(answer=42))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
    return DagBag(str(tmp_path / "dags" / "changing.py"), bundle_name="dags-folder").dags["changing"]


def outcome_of(run: Any) -> Any:
    return ArtifactStore(str(HOME / "root")).outcome(Run("changing", run.run_id, ""), "answer")


def test_as_an_error_it_fails_before_its_work(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TURNOUT__OTHER_CODE", "error")
    run = run_dag(dag)
    assert str(run.state) == "failed"
    assert outcome_of(run).error.startswith(WHAT)


def test_as_a_warning_it_runs_says_so_and_is_not_cached(dag: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # the second finds nothing of the first
        run = run_dag(dag)
        assert str(run.state) == "success"
        outcome = outcome_of(run)
        assert (outcome.parameters, outcome.other_code, outcome.cached) == ({"Output": 42}, True, False)
    said = "".join(capsys.readouterr())
    assert WHAT in said
    assert "its results are not cached" in said
    record = {"pipeline": "changing", "run_id": "r"}
    page = run_page(ShownRun(record, [StepResult.of("answer", (), outcome)], lambda uri, limit: ""))
    assert "Ran code other than the pipeline was compiled with: answer" in page


@pytest.mark.parametrize(
    ("runtime", "given", "found"),
    [
        ("", "", "warning"),
        ("process", "", "warning"),
        ("docker", "", "error"),
        ("kubernetes", "", "error"),
        ("kubernetes", "warning", "warning"),
        ("process", "error", "error"),
    ],
)
def test_production_wants_the_compiled_code(
    runtime: str, given: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turnout.airflow.runtimes import other_code

    monkeypatch.setenv("AIRFLOW__TURNOUT__RUNTIME", runtime)
    monkeypatch.setenv("AIRFLOW__TURNOUT__OTHER_CODE", given)
    assert other_code() == {"TURNOUT_OTHER_CODE": found}


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from turnout.airflow.runtimes import other_code
    from turnout.errors import TurnoutError

    monkeypatch.setenv("AIRFLOW__TURNOUT__OTHER_CODE", "ignore")
    with pytest.raises(TurnoutError, match="'ignore' is not an answer"):
        other_code()
