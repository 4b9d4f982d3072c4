"""A train step of one's own: what it logs is judged, registered, deployed, used and watched like the catalogue's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model

import turnout.models
from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.monitor import monitor
from turnout.components.predict import predict
from turnout.components.register import register
from turnout.inference import table as tables


def make_table(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Whole numbers, truth values and numbers with gaps, as a step of one's own may take them."""
    rng = np.random.default_rng(seed)
    size, flag = rng.integers(0, 50, rows), rng.random(rows) < 0.5
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "when": pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC"),
            "size": size,
            "flag": flag,
            "number": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "price": 2.0 * size + 10 * flag + rng.normal(size=rows),
            "late": np.where(size + 20 * flag + rng.normal(size=rows) > 35, "yes", "no"),
        }
    )


def judged(artifact, model: Model, table: pd.DataFrame, **parameters: Any) -> Any:
    outputs = {name: artifact(kind, name) for name, kind in
               {"metrics": Metrics, "classification": ClassificationMetrics, "report": HTML}.items()}  # fmt: skip
    return evaluate.python_func(
        model=model, data=artifact(Dataset, "test", table), registered_model="m", **outputs, **parameters
    )


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_model_of_ones_own_goes_all_the_way(artifact, tracking, tmp_path: Path, task: str) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    target, other = ("late", "price") if task == "classification" else ("price", "late")
    kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    metric = "roc_auc" if task == "classification" else "r2"
    table, later = make_table()[:400], make_table()[400:]
    data, model = artifact(Dataset, "data", table, data_digest="sha256:data"), artifact(Model, "model")
    ignore = ["id", "when", other]
    fitted = kind(max_iter=30).fit(table.drop(columns=[target, *ignore]), table[target])
    turnout.models.log(
        fitted, model, table, target=target, task=task, ignore=ignore, timestamp="when", data=data,
        parameters={"max_iter": 30},
    )  # fmt: skip

    assert judged(artifact, model, later, metric=metric).score > 0.9
    version = register.python_func(model=model, registered_model="m").version
    sample = artifact(Dataset, "sample", later)
    deploy.python_func(sample=sample, registered_model="m", version=version)
    again = judged(artifact, model, later, metric=metric)
    assert again.promote is False
    assert "of the champion (version 1), on the same 200 rows" in again.reasons[0]
    predict.python_func(
        data=sample, model="models:/m@champion", table=str(tmp_path / "table"), since="2024-01-01", until="2024-02-01",
        timestamp="when", keys=["id"], predictions=artifact(Dataset, "out"), metrics=artifact(Metrics, "predicting"),
    )  # fmt: skip
    found = tables.read(str(tmp_path / "table")).to_pandas().sort_values("id")
    expected = fitted.predict(later.drop(columns=[target, *ignore]))
    exactly = task == "classification"  # the compiled form may add up in another order
    assert found["prediction"].tolist() == (expected.tolist() if exactly else pytest.approx(expected, rel=1e-12))
    watched = monitor.python_func(
        data=sample, model="models:/m@champion", metric=metric, target=target, report=artifact(HTML, "page"),
        findings=artifact(Artifact, "findings"), metrics=artifact(Metrics, "watching"),
    )  # fmt: skip
    assert watched.alert is False, watched.reasons


def test_a_run_of_ones_own_is_used(artifact, tracking) -> None:
    import mlflow
    from sklearn.linear_model import LinearRegression

    table, model = make_table()[["size", "price"]], artifact(Model, "model")
    with mlflow.start_run() as run:
        mlflow.log_params({"task": "mine"})
        fitted = LinearRegression().fit(table[["size"]], table["price"])
        found = turnout.models.log(fitted, model, table, target="price", task="regression")
    assert found == run.info.run_id == model.metadata["mlflow_run_id"]
    assert mlflow.get_run(found).data.params["target"] == "price"


# --- models that do not say what they are


def bare(artifact, **metadata: Any) -> Model:
    """A model's files as MLflow saves them, and nothing else."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    table, model = make_table(), artifact(Model, "model", **metadata)
    mlflow.sklearn.save_model(LogisticRegression().fit(table[["size"]], table["late"]), model.path,
                              serialization_format="cloudpickle", pip_requirements=["scikit-learn"])  # fmt: skip
    return model


def test_a_model_without_a_contract_is_told_what_is_missing_and_how_to_give_it(artifact, tracking) -> None:
    model = bare(artifact)
    told = r"does not say task, target, mlflow_run_id, mlflow_model_uri @ .*\n.*hint: log it with turnout.models.log\("
    with pytest.raises(ComponentError, match=told):
        judged(artifact, model, make_table())
    with pytest.raises(ComponentError, match=told):
        register.python_func(model=model, registered_model="m")
    model.metadata.update(task="regresion", target="late", mlflow_run_id="1", mlflow_model_uri="models:/m-1")
    with pytest.raises(ComponentError, match="says the task 'regresion'"):
        judged(artifact, model, make_table())


def test_a_registered_model_without_a_contract_is_told_what_is_missing(artifact, tracking, tmp_path: Path) -> None:
    import mlflow
    from sklearn.linear_model import LogisticRegression

    table = make_table()
    fitted = LogisticRegression().fit(table[["size"]], table["late"])
    mlflow.sklearn.log_model(fitted, name="model", registered_model_name="m", serialization_format="cloudpickle",
                             pip_requirements=["scikit-learn"])  # fmt: skip
    data = artifact(Dataset, "data", table)
    with pytest.raises(ComponentError, match="the model has no signature"):
        deploy.python_func(sample=data, registered_model="m", version="1")
    with pytest.raises(ComponentError, match="the model has no signature"):
        predict.python_func(
            data=data, model="models:/m/1", table=str(tmp_path / "table"), since="2024-01-01", until="2024-02-01",
            timestamp="when", predictions=artifact(Dataset, "out"), metrics=artifact(Metrics, "predicting"),
        )  # fmt: skip
    with pytest.raises(ComponentError, match=r"no reference to compare with(.|\n)*turnout.models.log"):
        monitor.python_func(data=data, model="models:/m/1", report=artifact(HTML, "page"),
                            findings=artifact(Artifact, "findings"), metrics=artifact(Metrics, "watching"))  # fmt: skip


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is none": ({"target": "lat"}, "did you mean late"),
    "another task": ({"target": "late", "task": "regression"}, "not a number"),
    "no probabilities": ({"target": "late", "task": "classification"}, "has no predict_proba, classes_ @ fitted"),
    "columns that it does not take": ({"ignore": ["when", "late"]}, "the model fails on the first rows"),
}


@pytest.mark.parametrize(("parameters", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_logged_is_told_before_anything_is(artifact, tracking, parameters: Any, message: str) -> None:
    import mlflow
    from sklearn.linear_model import LinearRegression

    table = make_table()
    fitted = LinearRegression().fit(table[["size", "flag"]], table["price"])
    given = {"target": "price", "task": "regression", "ignore": ["id", "when", "number"]} | parameters
    with pytest.raises(ComponentError, match=message):
        turnout.models.log(fitted, artifact(Model, "model"), table, **given)
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_the_package_of_models_loads_nothing_by_itself() -> None:
    program = (
        "import sys, turnout.models; print([name for name in ('pandas', 'mlflow', 'sklearn') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
