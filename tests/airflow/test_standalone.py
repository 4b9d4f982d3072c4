"""A real Airflow, from its API: runs by hand, by schedule, by backfill, by asset; retried and side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
from pathlib import Path

import pytest
from conftest import COMPONENTS, run_program
from paths import PROJECT
from server import Server
from waiting import wait

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def unpaused(server: Server) -> None:
    server.unpause("nightly", "consumer", "killed", "late", "two", "flight-delay-training")


def test_a_schedule_fills_the_data_interval_and_an_asset_starts_the_consumer(server: Server) -> None:
    (run,) = wait(lambda: server.runs("nightly"), "the scheduled run", 90)
    assert server.ended("nightly", run["dag_run_id"]) == "success"
    assert run["run_type"] == "scheduled"
    # In Berlin the clocks went forward in that night: a day of 23 hours.
    text = server.xcom("nightly", run["dag_run_id"], "tell", "Output")
    assert text == "2024-03-30T02:00:00+00:00 2024-03-31T01:00:00+00:00"
    (consumed,) = wait(lambda: server.runs("consumer"), "the consumer", 60)
    assert consumed["run_type"] == "asset_triggered"
    assert server.ended("consumer", consumed["dag_run_id"]) == "success"
    (event,) = server.call("GET", "/assets/events?source_dag_id=nightly")["asset_events"]
    assert event["extra"]["value"] == text


def test_a_backfill_of_three_days_runs_each_day_once(server: Server) -> None:
    server.backfill("nightly", "2024-02-01T02:00:00Z", "2024-02-03T02:00:00Z", 120, max_active_runs=2)
    runs = [run for run in server.runs("nightly") if run["run_type"] == "backfill"]
    assert [run["state"] for run in runs] == ["success"] * 3
    texts = sorted(server.xcom("nightly", urllib.parse.quote(run["dag_run_id"]), "tell", "Output") for run in runs)
    assert texts == [f"2024-02-0{day}T02:00:00+00:00 2024-02-0{day + 1}T02:00:00+00:00" for day in (1, 2, 3)]


def test_a_step_that_is_killed_is_tried_again(server: Server, tmp_path: Path) -> None:
    run = server.trigger("killed", directory=str(tmp_path))
    note = tmp_path / "pid.txt"
    os.kill(int(wait(lambda: note.exists() and note.read_text(), "the step", 60)), signal.SIGKILL)
    assert server.ended("killed", run) == "success"
    assert server.tasks("killed", run)["slow"]["try_number"] == 2
    assert server.xcom("killed", run, "slow", "Output") == "second"


def test_a_run_that_is_given_up_ends_its_step(server: Server, tmp_path: Path) -> None:
    run = server.trigger("killed", directory=str(tmp_path))
    note = tmp_path / "pid.txt"
    pid = int(wait(lambda: note.exists() and note.read_text(), "the step", 60))
    server.call("PATCH", f"/dags/killed/dagRuns/{run}", {"state": "failed"})
    wait(lambda: not alive(pid), "the end of the step's process", 60)
    assert server.ended("killed", run) == "failed"


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status


def test_a_failure_is_told(server: Server, tmp_path: Path) -> None:
    run = server.trigger("killed", directory=str(tmp_path / "nowhere"))
    assert server.ended("killed", run) == "failed"
    note = server.home / "failed.txt"
    assert wait(lambda: note.exists() and note.read_text(), "the notifier", 60) == run


def test_a_run_that_misses_its_deadline_is_told_of_while_it_goes_on(server: Server, tmp_path: Path) -> None:
    run = server.trigger("late", directory=str(tmp_path))
    note = server.home / "late.txt"
    assert wait(lambda: note.exists() and note.read_text(), "the notifier", 60) == run
    assert server.ended("late", run) == "success"


def test_a_timetable_of_its_own_says_when(server: Server) -> None:
    wait(lambda: server.known("workdays"), "the DAG", 60)
    dag = server.call("GET", "/dags/workdays/details")
    assert dag["timetable_summary"] == "0 7 * * 1-5, 0 10 * * 6"
    assert dag["timezone"] == "UTC"


def test_two_runs_at_once_keep_apart(server: Server) -> None:
    runs = {name: server.trigger("two", name=name) for name in ("one", "other")}
    for name, run in runs.items():
        assert server.ended("two", run) == "success"
        assert server.xcom("two", run, "tell-2", "Output") == name


def test_a_run_is_submitted_and_watched(server: Server) -> None:
    def submit(source: str, *more: str) -> tuple[int, str]:
        server_options = ["--track", "airflow", "--host", server.url, "--poll", "0.5"]
        command = [COMPONENTS / "turnout", "submit", source, *server_options]
        done = subprocess.run([*command, "--json", *more], cwd=PROJECT, capture_output=True, text=True)
        return done.returncode, done.stdout

    wait(lambda: server.known("two"), "the DAG", 60)
    server.unpause("two")
    for _ in range(2):  # the second finds the run of the first
        status, said = submit("tests/examples/scheduled.py:two", "--run-id", "submitted", "-p", "name=me")
        result = json.loads(said)
        assert (status, result["state"]) == (0, "SUCCEEDED"), said
        assert {step["state"] for step in result["steps"]} == {"SUCCEEDED"}
    assert server.xcom("two", "submitted", "tell-2", "Output") == "me"
    assert len(server.call("GET", "/dags/two/dagRuns?run_id_pattern=submitted")["dag_runs"]) == 1
    status, said = submit("tests/examples/scheduled.py:killed", "-p", f"directory={server.home}/nowhere")
    (failed,) = (step for step in json.loads(said)["steps"] if step["state"] == "FAILED")
    assert (status, "No such file or directory" in failed["error"], failed["name"]) == (1, True, "slow"), said
    status, said = submit("tests/examples/shapes.py:branch")
    assert status == 1
    assert "Airflow has no DAG 'branch'" in said
    assert "deploy branch.py and branch.yaml" in said


def test_training_starts_from_the_form(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.trigger("flight-delay-training", metric="accuracy?")
    assert refused.value.code == 400
    assert "accuracy?" in refused.value.read().decode()
    january = server.home / "january.parquet"
    script = (
        "import pandas; table = pandas.read_parquet('data/flights/flights.parquet');"
        f"table[table.event_timestamp < '2013-01-15'].to_parquet({str(january)!r})"
    )
    run_program(script)
    conf = {
        "source": str(january),
        "revision": None,  # what the form sends for an empty field
        "timestamps": None,
        "suite": None,
        "feature_service": None,
        "gap_hours": 0,
        "hyperparameters": {"n_estimators": 20},
        "metric": "roc_auc",
        "registered_model": "of-the-form",
    }
    run = server.trigger("flight-delay-training", **conf)
    state = server.ended("flight-delay-training", run, 300)
    tasks = {task: item["state"] for task, item in server.tasks("flight-delay-training", run).items()}
    assert state == "success", tasks
    model = server.xcom("flight-delay-training", run, "train", "model")
    links = server.call("GET", f"/dags/flight-delay-training/dagRuns/{run}/taskInstances/train/links")
    assert links["extra_links"]["MLflow run"].endswith(f"/runs/{model['metadata']['mlflow_run_id']}")
    tab = f"dags/flight-delay-training/runs/{urllib.parse.quote(run, safe='')}/plugin/turnout-dag-run"
    assert links["extra_links"]["Results of the run"] == tab
    results = f"/turnout/run?{urllib.parse.urlencode({'dag_id': 'flight-delay-training', 'run_id': run})}"
    page = server.page(results)
    assert "roc_auc" in page
    assert "ROC curve" in page
    with pytest.raises(urllib.error.HTTPError) as stranger:
        server.page(results, token="nobody's")
    assert stranger.value.code in (401, 403)
