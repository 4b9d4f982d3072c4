"""The data interval of a scheduled run: from Airflow, or from the run's configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, PROJECT, run_dag
from test_dags import pulled


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    dags = tmp_path_factory.mktemp("dags")
    source = Path(__file__).parents[1] / "examples" / "scheduled.py"
    command = [COMPONENTS / "turnout", "compile", f"{source}:six_hours_of_data", "--out", dags]
    subprocess.run(command, cwd=PROJECT, check=True)
    bag = DagBag(str(dags), bundle_name="dags-folder")
    assert not bag.import_errors
    (found,) = bag.dags.values()
    return found


def test_the_form_has_no_fields_for_it_and_the_run_has_the_last_one(dag: Any) -> None:
    assert list(dag.params) == ["note"]
    run = run_dag(dag)
    assert run.state == "success"
    since, until = pulled(run, "tell", "Output").split()
    assert since < until


def test_a_configuration_may_say_another_but_not_half_of_one(dag: Any, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"since": "2024-01-01T00:00:00Z", "until": "2024-01-02T00:00:00Z"}
    run = run_dag(dag, given)
    assert pulled(run, "tell", "Output") == "2024-01-01T00:00:00Z 2024-01-02T00:00:00Z"
    assert run_dag(dag, {"since": given["since"]}).state == "failed"
    assert "give both, or neither" in "".join(capsys.readouterr())
