"""Runs of Airflow, as its database and their records tell them."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import DAGS, HOME, run_dag

from turnout.airflow.known_run import KnownRun, known_run
from turnout.execution.own_files import OwnFiles
from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Run, State


@pytest.fixture(scope="module")
def bag(airflow: Any) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS / "contract"), bundle_name="dags-folder")


def known(dag_id: str, run_id: str) -> KnownRun:
    return known_run(OwnFiles(ArtifactStore(str(HOME / "root")), Run(dag_id, run_id, "")))


def test_an_iteration_is_found_by_airflows_number(bag: Any) -> None:
    """Loops in loops are one list in Airflow."""
    dag = bag.dags["nested-loops"]
    run = known("nested-loops", run_dag(dag).run_id)
    inner = {step.iteration: run.map_index(step) for step in run.steps if len(step.iteration) == 2}
    assert inner == {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3}
    name = next(step.name for step in run.steps if len(step.iteration) == 2)
    found = run.step(name, 2)
    assert found is not None
    assert found.iteration == (1, 0)
    assert found.outcome is not None
    assert run.step(name, 7) is None
    assert (run.record["state"], run.going_on) == ("SUCCEEDED", False)


def test_a_failed_run_tells_what_did_not_start(bag: Any) -> None:
    run = known("failing-iteration", run_dag(bag.dags["failing-iteration"]).run_id)
    states = {step.label: step.state for step in run.steps}
    assert State.FAILED in states.values()
    assert run.record["state"] == "FAILED"
    assert all(step.error for step in run.steps if step.state is State.FAILED)


def test_a_run_that_airflow_has_forgotten_is_told_from_its_records(bag: Any) -> None:
    run_id = run_dag(bag.dags["static-loop"]).run_id
    before = known("static-loop", run_id)
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        session.delete(session.query(DagRun).filter(DagRun.run_id == run_id).one())
    after = known("static-loop", run_id)
    assert not after.tasks
    assert {step.label for step in after.steps} == {step.label for step in before.steps}


def test_a_run_that_never_was_is_nothing(airflow: Any) -> None:
    run = known("nested-loops", "never")
    assert (run.steps, run.tasks, run.plan) == ([], [], None)
