"""Assets of a compiled pipeline: what is read and published, and what the events say of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import DAGS, HOME, PROJECT, run_dag


@pytest.fixture(scope="module")
def dag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS / "lineage.py"), bundle_name="dags-folder").dags["lineage"]


def events(run: Any) -> dict[str, dict[str, Any]]:
    """What the events of a run say, by asset."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run.run_id)).all()
        return {event.asset.name: event.extra for event in found}


def test_a_task_names_what_it_publishes_and_all_that_went_into_it(dag: Any) -> None:
    serve = dag.task_dict["good.serve"]
    assert [asset.name for asset in serve.inlets] == ["tables/a.csv"]
    assert [asset.name for asset in serve.outlets] == ["models/m@champion", "lineage.good.serve"]
    assert [asset.name for asset in dag.task_dict["read"].inlets] == ["tables/a.csv"]
    assert dag.task_dict["judge"].inlets == dag.task_dict["judge"].outlets == []


def test_events_say_what_an_asset_is_and_what_it_was_made_of(dag: Any) -> None:
    run = run_dag(dag)
    assert str(run.state) == "success"
    found = events(run)
    assert set(found) == {"models/m", "models/m@champion"}
    model, champion = found["models/m"], found["models/m@champion"]
    data = [{"source": "tables/a.csv", "revision": "c0ffee", "rows": 3}]
    assert model.pop("uri").endswith("/model")
    assert model.pop("digest").startswith("sha256:")
    assert model == {"run_id": run.run_id, "estimator": "mean", "data": data}
    assert champion == {"run_id": run.run_id, "value": "7", "data": data, "metrics": {"judge.accuracy": 0.75}}


def test_a_run_with_other_parameters_updates_another_asset(dag: Any) -> None:
    run = run_dag(dag, {"name": "other", "source": "s3://user:secret@bucket/b.csv"})
    assert str(run.state) == "success"
    found = events(run)
    assert set(found) == {"models/other", "models/other@champion"}
    assert found["models/other@champion"]["value"] == "7"


def test_an_output_that_is_empty_has_updated_nothing(dag: Any) -> None:
    run = run_dag(dag, {"name": "nobody"})
    assert str(run.state) == "success"
    assert set(events(run)) == {"models/nobody"}


def test_a_name_that_cannot_be_one_of_an_asset_fails_no_step(dag: Any) -> None:
    run = run_dag(dag, {"name": "mödel"})
    assert str(run.state) == "success"
    assert events(run) == {}


def test_openlineage_has_datasets_that_the_next_steps_read(dag: Any, tmp_path: Path) -> None:
    """The provider's own listener and its file transport, in a process of its own: it is set up when Airflow starts."""
    log = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(log), "append": True}
    program = (
        f"import conftest, json, sys\n"
        f"from airflow.dag_processing.dagbag import DagBag\n"
        f"run = conftest.run_dag(DagBag({str(DAGS / 'lineage.py')!r}, bundle_name='dags-folder').dags['lineage'])\n"
        f"sys.exit(str(run.state) != 'success')\n"
    )
    environment = {**os.environ, "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport)}
    environment["TURNOUT_TEST_HOME"] = str(HOME)
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, env=environment, check=True)
    told = [json.loads(line) for line in log.read_text().splitlines()]
    ended = {event["job"]["name"]: event for event in told if event["eventType"] == "COMPLETE"}
    read, fit = ended["lineage.read"], ended["lineage.fit"]
    assert [item["name"] for item in read["inputs"]] == [str(PROJECT / "tables/a.csv")]
    (data,) = read["outputs"]
    assert data["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert [field["name"] for field in data["facets"]["schema"]["fields"]] == ["long"]
    (given,) = fit["inputs"]
    assert (given["namespace"], given["name"]) == (data["namespace"], data["name"])
    assert given["namespace"] == "file"
