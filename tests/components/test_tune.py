"""The component `tune` on small data and a real MLflow: what it gives, records and goes on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, Dataset, Metrics, Model
from paths import PROJECT

from turnout import ComponentError
from turnout.components.train import train
from turnout.components.tune import tune
from turnout.models.candidates import read_candidates

SPACE = {
    "num_leaves": {"type": "int", "low": 2, "high": 64, "log": True},
    "learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "log": True},
}


def tuned(artifact, table, **parameters: Any) -> Any:
    outputs = {name: artifact(kind, name) for name, kind in
               {"table": Dataset, "metrics": Metrics, "report": HTML}.items()}  # fmt: skip
    arguments: dict[str, Any] = {
        "target": "target", "ignore": ["when"], "space": SPACE, "trials": 6, "hyperparameters": {"n_estimators": 10},
    } | parameters  # fmt: skip
    data = artifact(Dataset, "data", table, data_digest="sha256:data")
    return tune.python_func(data=data, **outputs, **arguments), outputs


def runs(where: str) -> list:
    import mlflow

    found = mlflow.MlflowClient().search_runs(["1"], where)
    return sorted(found, key=lambda run: run.info.run_name)


def test_the_best_is_what_train_takes_and_every_trial_is_a_nested_run(artifact, table, tracking) -> None:
    given = {"n_estimators": 10, "num_leaves": 31, "learning_rate": 0.1}
    found, outputs = tuned(artifact, table, timestamp="when", gap_hours=12.0, hyperparameters=given)
    assert found.best.keys() == given.keys()
    rows = pd.read_parquet(outputs["table"].path)
    assert len(rows) == 6
    assert found.score == rows["score"].max() == outputs["metrics"].metadata["roc_auc"]
    assert json.loads(rows.loc[0, "hyperparameters.num_leaves"]) == 31
    assert outputs["table"].metadata["data_digest"] == "sha256:data"
    parent = outputs["table"].metadata["mlflow_run_id"]
    trials = runs(f"tags.`mlflow.parentRunId` = '{parent}'")
    assert [run.info.status for run in trials] == ["FINISHED"] * 6
    assert max(run.data.metrics["roc_auc"] for run in trials) == found.score
    assert trials[0].data.params == {"num_leaves": "31", "learning_rate": "0.1"}
    page = Path(outputs["report"].path).read_text()
    assert "against the hyperparameters that were given (trial 0)" in page
    assert page.index("The chosen hyperparameters") < page.index("What mattered") < page.index("<h2>Trials")
    assert page.count("<svg") == 3
    train.python_func(data=artifact(Dataset, "data", table), model=artifact(Model, "model"), target="target",
                      metrics=artifact(Metrics, "m"), ignore=["when"], hyperparameters=found.best)  # fmt: skip


def test_a_regression_without_time_and_other_estimators_choices(artifact, table, tracking) -> None:
    rows = table[table["number"].notna()].assign(other=lambda data: data["number"] * 2 + data["target"])
    space = {"alpha": {"type": "float", "low": 1e-3, "high": 1e5, "log": True}, "fit_intercept": {"choices": [True]}}
    found, outputs = tuned(artifact, rows, target="other", task="regression", metric="r2", space=space, trials=8,
                           estimator="sklearn.linear_model.Ridge", hyperparameters={}, folds=3)  # fmt: skip
    assert found.score > 0.99
    assert found.best["fit_intercept"] is True
    scores = pd.read_parquet(outputs["table"].path)["score"]
    assert scores.max() - scores.min() > 0.1


def test_three_classes_of_text_and_times_to_derive_from(artifact, table, tracking) -> None:
    classes = pd.qcut(table["number"].fillna(0).rank(method="first"), 3, labels=["low", "middle", "high"])
    rows = table.assign(target=classes.astype(str), shop=np.arange(len(table)) // 3)
    found, outputs = tuned(artifact, rows, ignore=["shop"], derive=["hour"], folds=3, trials=2, metric="accuracy")
    assert found.score > 0.8
    assert len(outputs["table"].metadata["scores"]) == 3


def test_on_kfp_the_search_is_below_the_run_that_kfp_has_begun(artifact, table, tracking, monkeypatch) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    above = client.create_run(client.create_experiment("kfp")).info
    monkeypatch.setenv("MLFLOW_RUN_ID", above.run_id)
    _, outputs = tuned(artifact, table, trials=1)
    parent = client.get_run(outputs["table"].metadata["mlflow_run_id"])
    assert parent.data.tags["mlflow.parentRunId"] == above.run_id
    assert parent.info.experiment_id == above.experiment_id


def test_one_setting_without_a_space_is_judged_once(artifact, table, tracking) -> None:
    found, outputs = tuned(artifact, table, space={}, trials=9)
    assert found.best == {"n_estimators": 10}
    assert len(pd.read_parquet(outputs["table"].path)) == 1
    assert outputs["table"].metadata["scores"] == pytest.approx([found.score] * 4, abs=0.2)


BAD = [
    ({"space": {"num_leafs": SPACE["num_leaves"]}}, "no hyperparameter 'num_leafs'.*did you mean num_leaves"),
    ({"hyperparameters": {"n_estimator": 3}}, "did you mean n_estimators"),
    ({"hyperparameters": {"num_leaves": 300}}, "300 is outside of its space @ hyperparameters.num_leaves"),
    ({"metric": "r2"}, "'r2' does not judge a classification"),
    ({"estimator": "sklearn.linear_model.Ridge"}, "no hyperparameter"),
    ({"target": "targt"}, "did you mean target"),
    ({"timestamp": "wen"}, "did you mean when"),
    ({"timestamp": "when", "gap_hours": 1e4}, "no rows to learn from"),
    ({"space": {"num_leaves": {"type": "int", "low": 9, "high": 2}}}, "must hold"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD)
def test_what_cannot_be_tuned_is_told_before_anything_runs(artifact, table, tracking, parameters, message) -> None:
    import mlflow

    with pytest.raises(ComponentError, match=f"(?s){message}"):
        tuned(artifact, table, **parameters)
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_a_named_study_goes_on_with_more_trials_and_never_with_other_data(artifact, table, tracking) -> None:
    tuned(artifact, table, study="leaves", trials=3)
    found, outputs = tuned(artifact, table, study="leaves", trials=5)
    assert outputs["metrics"].metadata["earlier_trials"] == 3
    assert outputs["metrics"].metadata["trials"] == 5
    whole, _ = tuned(artifact, table, trials=5)
    assert found == whole
    with pytest.raises(ComponentError, match="the study 'leaves' is of another search: data differ"):
        tuned(artifact, table.head(500), study="leaves")
    with pytest.raises(ComponentError, match="metric, seed differ"):
        tuned(artifact, table, study="leaves", metric="f1", seed=1)


PROGRAM = """
import sys
from kfp.dsl import HTML, Dataset, Metrics
from turnout.components.tune import tune
from turnout.models.candidates import read_candidates

outputs = {name: kind(name=name, uri=f"{sys.argv[1]}/{name}", metadata={})
           for name, kind in {"table": Dataset, "metrics": Metrics, "report": HTML}.items()}
space = {"learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "log": True}}
tune.python_func(data=Dataset(name="data", uri=f"{sys.argv[1]}/data", metadata={}), target="target", ignore=["when"],
                 space=space, hyperparameters={"n_estimators": 10}, trials=5, **outputs)
"""


@pytest.mark.slow
def test_a_killed_step_that_is_tried_again_goes_on_and_counts_no_trial_twice(
    artifact, table, tracking, tmp_path: Path
) -> None:
    table.to_parquet(tmp_path / "data", index=False)

    def start() -> subprocess.Popen:
        environment = {**os.environ, "TURNOUT_RUN_ID": "a", "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start()
    for line in killed.stdout:
        if line.startswith("trial 2"):
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert start().communicate()[0].count("\ntrial ") < 3
    resumed = pd.read_parquet(tmp_path / "table")
    space = {"learning_rate": SPACE["learning_rate"]}
    _, outputs = tuned(artifact, table, space=space, hyperparameters={"n_estimators": 10}, trials=5)
    whole = pd.read_parquet(outputs["table"].path)
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole.drop(columns="seconds"))
    assert list(resumed["trial"]) == list(range(5))
    (parent,) = runs("tags.turnout.run_id = 'a'")
    statuses = [run.info.status for run in runs(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")]
    assert statuses.count("FINISHED") == 5
    assert set(statuses) <= {"FINISHED", "KILLED"}


def test_candidates_that_were_not_judged_alike_are_not_compared() -> None:
    facts = {"estimator": "e", "hyperparameters": {}, "score": 1.0, "scores": [1.0], "mlflow_run_id": "r",
             "metric": "r2", "tested_on": ["a"], "data_digest": "d"}  # fmt: skip
    metric, ranked = read_candidates([facts, {**facts, "estimator": "f", "score": 2.0}])
    assert (metric, [item.estimator for item in ranked]) == ("r2", ["f", "e"])
    for fact, message in (("metric", "metric differ"), ("tested_on", "tested_on differ"), ("data_digest", "differ")):
        with pytest.raises(ComponentError, match=message):
            read_candidates([facts, {**facts, fact: "other"}])
    with pytest.raises(ComponentError, match="not a table of trials @ tables"):
        read_candidates([{"rows": 3}])
    with pytest.raises(ComponentError, match="no candidates"):
        read_candidates([])
