"""`turnout submit` on KFP: its real client, over HTTP, against a server made of KFP's own models."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp_server import KfpServer, running
from typer.testing import CliRunner

from turnout.cli.app import app
from turnout.errors import TrackError
from turnout.spec.airflow_facts import AirflowFacts
from turnout.tracks.kfp.schedule import recurring_run

FLOW = """
from kfp import dsl
from turnout import component, pipeline


@component
def make(rows: int = 3) -> bool:
    \"\"\"Make.

    Args:
        rows: how many.
    \"\"\"
    return True


@component
def use(text: str = "a"):
    \"\"\"Use.

    Args:
        text: a text.
    \"\"\"


@pipeline(schedule="{schedule}", timezone="{zone}", max_active_runs=2)
def submitted(rows: int = 3):
    \"\"\"A flow.

    Args:
        rows: how many.
    \"\"\"
    made = make(rows=rows)
    with dsl.If(made.outputs["Output"] == True, name="enough"):
        use()
"""


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    yield from running()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", "")
    for name in ("TURNOUT_HOST", "TURNOUT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return write(tmp_path, "0 3 * * *")


def write(directory: Path, schedule: str, zone: str = "") -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / f"flow_{len(list(directory.glob('flow_*.py')))}_{abs(hash(str(directory)))}.py"
    path.write_text(FLOW.format(schedule=schedule, zone=zone))
    return path


def submit(kfp: KfpServer, source: Path, *more: str) -> tuple[int, Any]:
    arguments = ["submit", str(source), "--host", kfp.url, "--poll", "0.1", "--json", *more]
    done = CliRunner().invoke(app, arguments)
    try:
        return done.exit_code, json.loads(done.stdout)
    except ValueError:
        return done.exit_code, done.output


def test_a_run_is_watched_to_its_end(kfp: KfpServer, source: Path) -> None:
    kfp.script = [
        {"make": "RUNNING"},
        {"make": "SUCCEEDED", "make-driver": "SUCCEEDED", "use": "RUNNING"},
        {"make": "SUCCEEDED", "condition-1": "SUCCEEDED", "use": "SUCCEEDED", "": "SUCCEEDED"},
    ]
    status, result = submit(kfp, source, "-p", "rows=7")
    assert (status, result["state"]) == (0, "SUCCEEDED")
    assert [(step["name"], step["state"]) for step in result["steps"]] == [
        ("make", "SUCCEEDED"), ("enough.use", "SUCCEEDED"),
    ]  # fmt: skip
    (run,) = kfp.runs.values()
    assert run["runtime_config"]["parameters"] == {"rows": 7}
    assert run["pipeline_version_reference"]["pipeline_version_id"] in kfp.versions
    assert kfp.specs[0]["pipelineInfo"]["name"] == "submitted"


NESTED = """

@pipeline
def inner():
    \"\"\"Inner.\"\"\"
    use()


@pipeline
def nested():
    \"\"\"Outer.\"\"\"
    inner()
    with dsl.ParallelFor([1, 2], name="each"):
        inner()
"""


def test_tasks_of_one_name_are_told_apart_by_what_is_around_them(kfp: KfpServer, source: Path) -> None:
    source.write_text(source.read_text() + NESTED)
    kfp.parents = {
        "use/1": "inner", "use/2": "inner-2/1", "use/3": "inner-2/2", "inner-2/1": "iteration/1",
        "inner-2/2": "iteration/2", "iteration/1": "for-loop-2", "iteration/2": "for-loop-2",
    }  # fmt: skip
    names = ["inner", "use/1", "for-loop-2", "iteration/1", "iteration/2", "inner-2/1", "inner-2/2", "use/2", "use/3"]
    kfp.script = [{**dict.fromkeys(names, "SUCCEEDED"), "": "SUCCEEDED"}]
    status, result = submit(kfp, Path(f"{source}:nested"))
    assert status == 0, result
    found = [(step["name"], step["iteration"]) for step in result["steps"]]
    assert found == [("inner.use", None), ("each.inner-2.use", [0]), ("each.inner-2.use", [1])]


def test_a_failure_is_told_and_is_the_exit_status(kfp: KfpServer, source: Path) -> None:
    kfp.errors = {"make": "no rows"}
    kfp.script = [{"make": "FAILED", "": "FAILED"}]
    status, result = submit(kfp, source)
    assert (status, result["state"], result["steps"][0]["error"]) == (1, "FAILED", "no rows")


def test_a_run_that_is_cancelled_on_the_server_is_told(kfp: KfpServer, source: Path) -> None:
    kfp.script = [
        {"make": "RUNNING"},
        {"make": "CANCELED", "": "CANCELING"},
        {"make": "CANCELED", "": "CANCELED"},
    ]
    status, result = submit(kfp, source)
    assert (status, result["state"], result["steps"][0]["state"]) == (1, "CANCELLED", "CANCELLED")
    assert kfp.looks == 3


def test_one_verb_with_one_outcome_on_this_machine_too(kfp: KfpServer, source: Path, tmp_path: Path) -> None:
    kfp.script = [{"make": "SUCCEEDED", "use": "SUCCEEDED", "": "SUCCEEDED"}]
    remote = submit(kfp, source)
    command = ["submit", str(source), "--track", "local", "--json"]
    environment = {"TURNOUT_ROOT": str(tmp_path / "runs")}
    done = CliRunner().invoke(app, command, env=environment)
    local = (done.exit_code, json.loads(done.stdout))
    assert local[1].keys() == remote[1].keys()
    assert [[status, *_states(found)] for status, found in (local, remote)] == [
        [0, ("make", "SUCCEEDED"), ("enough.use", "SUCCEEDED")]
    ] * 2
    for option in ("--no-wait", "--schedule"):
        refused = CliRunner().invoke(app, [*command, option], env=environment)
        assert (refused.exit_code, option in refused.stdout) == (1, True), refused.output


def _states(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["name"], step["state"]) for step in result["steps"]]


def test_the_same_submitted_again_is_one_pipeline_one_version_and_with_its_name_one_run(
    kfp: KfpServer, source: Path
) -> None:
    for _ in range(2):
        assert submit(kfp, source, "--run-id", "today")[0] == 0
    assert (len(kfp.pipelines), len(kfp.versions), len(kfp.runs)) == (1, 1, 1)
    assert submit(kfp, source, "--no-wait")[0] == 0
    assert (len(kfp.versions), len(kfp.runs)) == (1, 2)


@pytest.mark.parametrize("how", ["failing", "lost"])
def test_a_server_that_fails_twice_does_each_thing_once(kfp: KfpServer, source: Path, how: str) -> None:
    setattr(kfp, how, 2)
    status, result = submit(kfp, source)
    assert (status, result["state"]) == (0, "SUCCEEDED"), result
    assert (len(kfp.pipelines), len(kfp.versions), len(kfp.runs)) == (1, 1, 1)


def test_a_server_that_refuses_or_is_not_there(kfp: KfpServer, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kfp.token = "secret"
    status, said = submit(kfp, source)
    assert status == 1
    assert "the KFP server refuses: 401 who are you?" in str(said)
    assert "TURNOUT_TOKEN" in str(said)
    monkeypatch.setenv("TURNOUT_TOKEN", "secret")
    assert submit(kfp, source)[0] == 0
    kfp.failing = 99
    status, said = submit(kfp, source)
    assert (status, "500 down" in str(said)) == (1, True)
    status, said = submit(kfp, source, "-p", "rows=many")
    assert status == 1
    assert len(kfp.runs) == 1


def test_a_schedule_is_replaced_and_not_doubled(kfp: KfpServer, source: Path, tmp_path: Path) -> None:
    assert submit(kfp, source, "--schedule") == (
        0, {"pipeline": "submitted", "schedule": "submitted runs by its schedule"},
    )  # fmt: skip
    (first,) = kfp.recurring.values()
    assert first["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (first["max_concurrency"], first["no_catchup"]) == (2, True)
    assert "has this schedule already" in submit(kfp, source, "--schedule")[1]["schedule"]
    assert "changed" in submit(kfp, source, "--schedule", "-p", "rows=9")[1]["schedule"]
    (second,) = kfp.recurring.values()
    assert second["recurring_run_id"] != first["recurring_run_id"]
    assert second["runtime_config"]["parameters"] == {"rows": 9}
    other = write(tmp_path / "other", "0 3 * * *", "Asia/Tokyo")
    assert "changed" in submit(kfp, other, "--schedule")[1]["schedule"]
    (third,) = kfp.recurring.values()
    assert third["trigger"]["cron_schedule"]["cron"] == "0 0 18 * * *"
    assert not kfp.runs


@pytest.mark.parametrize(
    ("schedule", "zone", "cron"),
    [
        ("@daily", "", "0 0 0 * * *"),
        ("30 2,22 * * *", "Asia/Kolkata", "0 0 17,21 * * *"),
        ("15 9 * * 1-5", "Asia/Tokyo", "0 15 0 * * 1-5"),
        ("5 * * * *", "Asia/Tokyo", "0 5 * * * *"),
        ("0 3 * * 7", "", "0 0 3 * * 0"),
        ("0 3 * * *", "UTC", "0 0 3 * * *"),
    ],
)
def test_schedules_in_utc(schedule: str, zone: str, cron: str) -> None:
    assert recurring_run(AirflowFacts(schedule=schedule, timezone=zone), "p")["cron_expression"] == cron


def test_the_time_between_runs_start_and_end() -> None:
    facts = AirflowFacts(
        schedule=datetime.timedelta(hours=2), start_date=datetime.date(2026, 1, 1), timezone="Asia/Tokyo",
        catchup=True, max_active_runs=16,
    )  # fmt: skip
    assert recurring_run(facts, "p") == {
        "no_catchup": False,
        "max_concurrency": 10,
        "start_time": "2025-12-31T15:00:00Z",
        "interval_second": 7200,
    }


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}, "no fixed distance"),
        ({"schedule": "0 3 * * 1", "timezone": "Asia/Tokyo"}, "on other days"),
        ({"schedule": "*/7 3 * * *", "timezone": "Asia/Kolkata"}, "cannot be said in UTC"),
        ({"schedule": "@once"}, "no schedule such as '@once'"),
        ({}, "no schedule such as 'None'"),
        ({"schedule": "@daily", "data_interval": ("since", "until")}, "no data interval"),
    ],
)
def test_schedules_that_kfp_does_not_have_are_refused(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(TrackError, match=why):
        recurring_run(AirflowFacts(**facts), "p")
