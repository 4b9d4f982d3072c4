"""Batch inference by a real Airflow: days at once, a newer model for one, a driver that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import COMPONENTS, PROJECT, run_program
from server import Server
from waiting import wait

DAYS = int(os.environ.get("TURNOUT_BACKFILL_DAYS", "3"))
"""How many days of January 2013 to run; 30 take five minutes."""

DAG = "flight-delay-batch-inference"
pytestmark = pytest.mark.slow
SPARK = {"spark.executor.memory": "512m", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}

ROWS = """
import json, sys
from deltalake import DeltaTable
table = DeltaTable(sys.argv[1])
rows = table.to_pyarrow_table().to_pandas()
days = rows.groupby("date").agg(
    rows=("model", "size"), distinct=(sys.argv[2], "nunique"), version=("model_version", "max")
)
print(json.dumps({str(day): list(map(str, values)) for day, values in zip(days.index, days.values)}))
"""

COUNT = """
import json, pandas
times = pandas.read_parquet("data/flights/flights.parquet", columns=["event_timestamp"])["event_timestamp"]
print(json.dumps(times.dt.strftime("%Y-%m-%d").value_counts().to_dict()))
"""

MAKE = """
import sys, numpy as np, pandas as pd
rows = 6_000
when = pd.date_range("2024-01-01", periods=rows, freq=pd.Timedelta(days=3) / rows, tz="UTC")
table = pd.DataFrame({"id": np.arange(rows), "when": when, "number": np.arange(rows) / 7})
table.to_parquet(sys.argv[1], index=False, row_group_size=500)
"""


def models(server: Server, *arguments: str) -> None:
    command = [COMPONENTS / "python", "tests/examples/batch_models.py", *arguments]
    subprocess.run(command, cwd=PROJECT, check=True, env=server.environment)


def backfill(server: Server, first: int, last: int, **more: Any) -> None:
    """Run days of January 2013, and wait."""
    conf = {
        "source": "data/flights/flights.parquet",
        "suite": None,
        "feature_service": None,
        "table": str(server.home / "predictions"),
    }
    since, until = (f"2013-01-{day:02}T00:00:00Z" for day in (first, last))
    server.backfill(DAG, since, until, max_active_runs=4, dag_run_conf=conf, **more)


def days(server: Server) -> dict[str, list[str]]:
    """By day: rows, distinct flights, and the model's version."""
    found: dict[str, list[str]] = json.loads(run_program(ROWS, server.home / "predictions", "flight_id"))
    return found


def test_days_at_once_and_out_of_order_and_a_newer_model_for_one(server: Server) -> None:
    models(server, "flights", "0")
    wait(lambda: server.known(DAG), "the DAG", 60)
    backfill(server, 2, DAYS, run_backwards=True)
    backfill(server, 1, 1)
    expected = json.loads(run_program(COUNT))
    found = days(server)
    assert sorted(found) == [f"2013-01-{day:02}" for day in range(1, DAYS + 1)]
    assert found == {day: [str(expected[day]), str(expected[day]), "1"] for day in found}
    models(server, "flights", "1")
    backfill(server, 3, 3, reprocess_behavior="completed")
    assert days(server) == found | {"2013-01-03": [*found["2013-01-03"][:2], "2"]}
    told = events(server)[str(server.home / "predictions")]
    assert len(told) == DAYS + 1
    assert {tuple(event["dates"]): event["rows"] for event in told} == {(day,): expected[day] for day in found}


def test_unpaused_it_predicts_yesterday(server: Server) -> None:
    (run,) = [run for run in server.runs(DAG) if run["run_type"] == "scheduled"]
    assert server.ended(DAG, run["dag_run_id"], 300) == "success", server.why(DAG, run["dag_run_id"])
    day = run["data_interval_start"][:10]
    found = json.loads(run_program(ROWS, server.home / "yesterday", "flight_id"))
    assert list(found) == [day]
    assert int(found[day][0]) > 300
    (told,) = events(server)[str(server.home / "yesterday")]
    assert told["model"].startswith("models:/flight-delay/")
    assert told["data"][0]["source"] == "data/replay/flights.parquet"


def test_lineage_runs_from_the_table_to_the_model_to_the_predictions(server: Server) -> None:
    asset = "models:/flight-delay@champion"
    (model,) = (item for item in server.call("GET", "/assets?limit=100")["assets"] if item["name"] == asset)
    made = {(task["dag_id"], task["task_id"]) for task in model["producing_tasks"]}
    assert ("flight-delay-training", "promote.deploy") in made
    used = {(task["dag_id"], task["task_id"]) for task in model["consuming_tasks"]}
    assert {(DAG, "pin-model"), (DAG, "predict"), ("flight-delay-drift-check", "monitor")} <= used


def events(server: Server) -> dict[str, list[dict[str, Any]]]:
    """What the DAG's events say, by the name of the asset."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in server.call("GET", f"/assets/events?source_dag_id={DAG}&limit=100")["asset_events"]:
        found.setdefault(event["name"], []).append(event["extra"])
    return found


# In `make test`: `test_a_step_that_is_killed_is_tried_again` on Airflow, a job that is killed and run again
# (`tests/inference/test_batch.py`), a worker that is lost (`tests/inference/test_spark.py`), and the variables of a
# connection (`tests/airflow/test_runtimes.py`).
@pytest.mark.nightly
def test_a_driver_that_is_killed_is_tried_again_and_no_row_is_lost_or_doubled(
    server: Server, spark: None, tmp_path: Path
) -> None:
    run_program(MAKE, tmp_path / "in.parquet")
    models(server, "slow")
    conf = {
        "source": str(tmp_path / "in.parquet"),
        "table": str(tmp_path / "out"),
        "model": "models:/slow/1",
        "since": "2024-01-01",
        "until": "2024-01-04",
        "spark_conf": SPARK,
    }
    server.unpause("small-batch")
    started = server.trigger("small-batch", **conf)
    wait(lambda: len(list(tmp_path.glob("out/date=*/*.parquet"))) >= 3, "some pieces", 180)
    os.kill(driver(server.home), signal.SIGKILL)
    assert server.ended("small-batch", started, 240) == "success"
    assert server.tasks("small-batch", started)["predict"]["try_number"] == 2
    assert len(list((server.home / "spark" / "worker-0").glob("app-*"))) == 2  # the cluster of the connection
    found = json.loads(run_program(ROWS, tmp_path / "out", "id"))
    assert found == {f"2024-01-0{day}": ["2000", "2000", "1"] for day in (1, 2, 3)}


def driver(home: Path) -> int:
    """The process of the step `predict` that an Airflow runs; it is forked, and named as its component is."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = (entry / "comm").read_text().strip() == "predict"
            if named and (entry / "fd" / "1").readlink().is_relative_to(home):
                return int(entry.name)
    raise LookupError("no driver")
