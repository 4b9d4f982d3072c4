"""The tuning pipelines end to end, by parameters alone, on a small table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import in_process
import pytest

import turnout

pytestmark = pytest.mark.slow

RATE = {"learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "log": True}}


@pytest.fixture
def run(table: Any, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Runs a pipeline on a small table to its end; its steps."""
    table.to_parquet(tmp_path / "table.parquet", index=False)
    given: dict[str, Any] = {
        "source": str(tmp_path / "table.parquet"), "suite": "", "feature_service": "", "target": "target",
        "ignore": ["when"], "timestamp": "when", "gap_hours": 6, "slices": [], "trials": 3, "folds": 2,
        "registered_model": "m",
    }  # fmt: skip
    runtime = in_process.install(monkeypatch)

    def run(pipeline: str, **more: Any) -> list[Any]:
        lines: list[str] = []
        ended = turnout.run(
            f"turnout.pipelines.{pipeline}:{pipeline}", given | more, runtime=runtime, root=tmp_path / "runs",
            cache=False, watch=lambda step, line: lines.append(line or ""),
        )  # fmt: skip
        assert ended.state == "SUCCEEDED", "\n".join(lines)
        return [step.to_dict() for step in ended.steps]

    return run


def outputs_of(steps: list[Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(step["outputs"] for step in steps if step["name"] == name)
    return found


def test_what_the_search_found_is_trained_judged_and_deployed(run) -> None:
    steps = run("tuning", hyperparameters={"n_estimators": 10}, space=RATE)
    best = outputs_of(steps, "tune")["best"]
    assert best["n_estimators"] == 10
    assert 0.01 <= best["learning_rate"] <= 0.3
    assert outputs_of(steps, "evaluate")["promote"] is True
    assert outputs_of(steps, "promote.deploy")["version"] == "1"
    import mlflow

    client = mlflow.MlflowClient()
    trained = client.get_run(client.get_model_version("m", "1").run_id)
    assert float(trained.data.params["learning_rate"]) == best["learning_rate"]


def test_candidates_are_tuned_side_by_side_and_the_best_is_trained(run) -> None:
    candidates = [
        {"estimator": "sklearn.dummy.DummyClassifier", "hyperparameters": {}, "space": {}},
        {"estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {},
         "space": {"C": {"type": "float", "low": 0.01, "high": 1, "log": True}}},
        {"estimator": "lightgbm.LGBMClassifier", "hyperparameters": {"n_estimators": 2}, "space": RATE},
    ]  # fmt: skip
    steps = run("candidates", candidates=candidates)
    tuned = [step for step in steps if step["name"] == "each-candidate.tune"]
    scores = [step["outputs"]["score"] for step in tuned]
    chosen = outputs_of(steps, "choose")
    assert chosen["estimator"] == "sklearn.linear_model.LogisticRegression"
    assert chosen["score"] == max(scores)
    assert scores[0] == 0.5
    page = Path(chosen["report"]["uri"]).read_text()
    order = [page.index(f"{name}</td>") for name in ("LogisticRegression", "LGBMClassifier", "DummyClassifier")]
    assert order == sorted(order)
    assert outputs_of(steps, "train")["model"]["metadata"]["estimator"] == chosen["estimator"]


@pytest.mark.parametrize("name", ["tuning", "candidates"])
def test_what_training_takes_these_take_too(name: str) -> None:
    import inspect

    from turnout.pipelines.candidates import candidates
    from turnout.pipelines.training import training
    from turnout.pipelines.tuning import tuning

    parts = {"tuning": (tuning, set()), "candidates": (candidates, {"estimator", "hyperparameters", "precision"})}
    pipeline, replaced = parts[name]
    given = inspect.signature(pipeline.pipeline_func).parameters
    for parameter in inspect.signature(training.pipeline_func).parameters.values():
        if parameter.name not in replaced:
            assert str(given[parameter.name]) == str(parameter)
    assert "precision" in given
