"""Runs of Airflow leave the record that local runs have: what was asked for, and how it ended."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import DAGS, HOME, run_dag

from turnout.airflow import run_record
from turnout.execution.run_summaries import run_summary
from turnout.execution.runs import read_run
from turnout.execution.store import ArtifactStore
from turnout.plan.run_summary import RunSummary
from turnout.spec.step_contract import State


@pytest.fixture(scope="module")
def store() -> ArtifactStore:
    return ArtifactStore(str(HOME / "root"))


@pytest.fixture(scope="module")
def ended(airflow: Any) -> Any:
    """A run of `branch` that has succeeded."""
    from airflow.dag_processing.dagbag import DagBag

    return run_dag(DagBag(str(DAGS / "branch.py"), bundle_name="dags-folder").dags["branch"], {"rows": 4})


def summary(store: ArtifactStore, run: Any) -> RunSummary:
    found = run_summary(store, "branch", run.run_id)
    assert found
    return found


def test_the_record_says_what_was_asked_for(ended: Any, store: ArtifactStore) -> None:
    found = summary(store, ended)
    assert (found.track, found.run_id) == ("airflow", ended.run_id)
    assert found.parameters["rows"] == 4
    assert "rows" in found.changed
    assert found.state is State.SUCCEEDED  # as Airflow has told it
    plan, record = read_run(store, f"branch/{ended.run_id}")
    assert plan.name == "branch"
    assert record["spec"].startswith("sha256:")


def test_the_end_is_written_when_airflow_tells_it(ended: Any, store: ArtifactStore) -> None:
    told = SimpleNamespace(dag_id="branch", run_id=ended.run_id, end_date=datetime.datetime.now(datetime.UTC))
    run_record.on_dag_run_failed(told, "")
    assert (summary(store, ended).state, summary(store, ended).ended) == (State.FAILED, told.end_date.isoformat())
    run_record.on_dag_run_success(told, "")
    assert summary(store, ended).state is State.SUCCEEDED


def test_the_end_of_a_run_of_others_leaves_nothing(ended: Any, store: ArtifactStore) -> None:
    told = SimpleNamespace(dag_id="others", run_id="r", end_date=None)
    run_record.on_dag_run_success(told, "")
    assert run_summary(store, "others", "r") is None


def test_airflow_knows_the_listener(airflow: Any) -> None:
    from airflow.listeners.listener import get_listener_manager

    listening = {impl.plugin for impl in get_listener_manager().hook.on_dag_run_success.get_hookimpls()}
    assert run_record in listening
