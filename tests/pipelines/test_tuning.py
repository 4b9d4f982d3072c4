"""The tuning pipelines end to end, by parameters alone, on a small table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RATE = {"learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "log": True}}


def words(table, tmp_path: Path, **more: object) -> list[str]:
    """Parameters for a small table, as the command line takes them."""
    table.to_parquet(tmp_path / "table.parquet", index=False)
    parameters = {
        "source": tmp_path / "table.parquet", "suite": "", "feature_service": "", "target": "target",
        "ignore": '["when"]', "timestamp": "when", "gap_hours": 6, "slices": "[]", "trials": 3, "folds": 2,
        "registered_model": "m",
    } | {name: json.dumps(value) for name, value in more.items()}  # fmt: skip
    return [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]


def test_what_the_search_found_is_trained_judged_and_deployed(turnout, table, tmp_path: Path) -> None:
    given = words(table, tmp_path, hyperparameters={"n_estimators": 10}, space=RATE)
    ran = turnout("run", "pipelines/tuning.py", "--json", *given)
    assert ran.status == 0, ran.err + ran.out[-3000:]
    best = ran.step("tune")["outputs"]["best"]
    assert best["n_estimators"] == 10
    assert 0.01 <= best["learning_rate"] <= 0.3
    assert ran.step("evaluate")["outputs"]["promote"] is True
    assert ran.step("promote.deploy")["outputs"]["version"] == "1"
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.get_run(client.get_model_version("m", "1").run_id)
    assert float(run.data.params["learning_rate"]) == best["learning_rate"]


def test_candidates_are_tuned_side_by_side_and_the_best_is_trained(turnout, table, tmp_path: Path) -> None:
    candidates = [
        {"estimator": "sklearn.dummy.DummyClassifier", "hyperparameters": {}, "space": {}},
        {"estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {},
         "space": {"C": {"type": "float", "low": 0.01, "high": 1, "log": True}}},
        {"estimator": "lightgbm.LGBMClassifier", "hyperparameters": {"n_estimators": 2}, "space": RATE},
    ]  # fmt: skip
    ran = turnout("run", "pipelines/candidates.py", "--json", *words(table, tmp_path, candidates=candidates))
    assert ran.status == 0, ran.err + ran.out[-3000:]
    tuned = [step for step in ran.json["steps"] if step["name"] == "each-candidate.tune"]
    scores = [step["outputs"]["score"] for step in tuned]
    chosen = ran.step("choose")["outputs"]
    assert chosen["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert chosen["score"] == max(scores)
    assert scores[0] == 0.5
    page = Path(chosen["report"]["uri"]).read_text()
    order = [page.index(f"{name}</td>") for name in ("LogisticRegression", "LGBMClassifier", "DummyClassifier")]
    assert order == sorted(order)
    assert ran.step("train")["outputs"]["model"]["metadata"]["estimator"] == chosen["estimator"]


@pytest.mark.parametrize("name", ["tuning", "candidates"])
def test_what_training_takes_these_take_too(name: str) -> None:
    import inspect

    from turnout.pipelines.candidates import candidates
    from turnout.pipelines.training import training
    from turnout.pipelines.tuning import tuning

    parts = {"tuning": (tuning, set()), "candidates": (candidates, {"estimator", "hyperparameters"})}
    pipeline, replaced = parts[name]
    given = inspect.signature(pipeline.pipeline_func).parameters
    for parameter in inspect.signature(training.pipeline_func).parameters.values():
        if parameter.name not in replaced:
            assert str(given[parameter.name]) == str(parameter)
