"""What Airflow's table of support says is kept or lowered, on a real Airflow."""

from __future__ import annotations

import datetime
import json
import subprocess
from typing import Any

import pytest
from conftest import COMPONENTS, DAGS, PROJECT, run_dag
from contract.facts import OUTPUT, every_fact
from test_dags import pulled


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Pipelines that state facts, compiled and loaded."""
    from airflow.dag_processing.dagbag import DagBag

    source = tmp_path_factory.mktemp("facts") / "facts.yaml"
    source.write_text("\n---\n".join(json.dumps(document) for document in every_fact()))
    sources = [str(source), "tests/examples/scheduled.py:sectioned"]
    out = DAGS / "support"
    subprocess.run([COMPONENTS / "turnout", "compile", *sources, "--out", out], cwd=PROJECT, check=True)
    bag = DagBag(str(out), bundle_name="dags-folder")
    assert not bag.import_errors
    return dict(bag.dags)


def test_what_is_stated_seldom_runs_as_on_the_local_track(dags: dict[str, Any]) -> None:
    dag = dags["facts"]
    assert (dag.dag_display_name, dag.tags) == ("All facts", {"facts"})
    assert dag.dagrun_timeout == datetime.timedelta(hours=1)
    run = run_dag(dag)
    assert str(run.state) == "success"
    assert pulled(run, "read", "Output", -1) == OUTPUT


def test_facts_for_airflow_are_arguments_of_its_dags_and_tasks(dags: dict[str, Any]) -> None:
    dag = dags["sectioned"]
    assert dag.dagrun_timeout == datetime.timedelta(hours=1)
    assert len(dag.on_success_callback) == 1
    assert "section" not in dag.params.get_param("text").schema  # the first one, which Airflow then shows open
    task = dag.get_task("tell")
    assert (task.executor, task.queue, len(task.on_failure_callback)) == ("LocalExecutor", "default", 1)
