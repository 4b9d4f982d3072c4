"""The contract on the Airflow track, as far as it goes; what it refuses is held in `tests/test_compile.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import DAGS
from contract.cases import AIRFLOW_NOTIMPL, CASES, Case
from test_dags import pulled

STATES = {"success": "SUCCEEDED", "failed": "FAILED", "skipped": "SKIPPED", "upstream_failed": "NOT_TRIGGERED"}
RUNNABLE = [case for case in CASES if case.shape not in AIRFLOW_NOTIMPL]


@pytest.fixture(scope="module")
def bag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS / "contract"), bundle_name="dags-folder")


@pytest.mark.parametrize("case", RUNNABLE, ids=[case.id for case in RUNNABLE])
def test_the_contract(case: Case, bag: Any, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("here")
    parameters = {
        name: value.replace("{directory}", str(tmp_path)) if isinstance(value, str) else value
        for name, value in case.parameters.items()
    }
    assert not bag.import_errors
    run = bag.dags[case.shape.replace("_", "-")].test(run_conf=parameters)
    tasks = {item.task_id: item for item in run.get_task_instances()}
    states = {path: STATES[str(tasks[path].state)] for path in case.steps}
    assert states == case.steps
    assert STATES[str(run.state)] == case.state
    for path, value in case.values.items():
        assert pulled(run, path, "Output") == value
