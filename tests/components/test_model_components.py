"""The catalogue's components for models as functions, on small real data and a real MLflow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Metrics, Model

from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.register import register
from turnout.components.split import split
from turnout.components.train import train


def trained(artifact, table, **parameters: Any) -> Model:
    model = artifact(Model, f"model-{len(parameters)}-{parameters.get('seed', 0)}")
    arguments = {
        "target": "target",
        "ignore": ["when"],
        "estimator": "sklearn.linear_model.LogisticRegression",
    } | parameters
    train.python_func(data=artifact(Dataset, "train", table, data_digest="sha256:data"), model=model,
                      metrics=artifact(Metrics, "metrics"), **arguments)  # fmt: skip
    return model


def judged(artifact, model: Model, table, **parameters: Any) -> Any:
    outputs = {name: artifact(kind, name) for name, kind in
               {"metrics": Metrics, "classification": ClassificationMetrics, "report": HTML}.items()}  # fmt: skip
    verdict = evaluate.python_func(
        model=model, data=artifact(Dataset, "test", table), registered_model="m", **outputs, **parameters
    )
    return verdict, outputs


ESTIMATORS = [
    ("lightgbm.LGBMClassifier", {"n_estimators": 20}, "classification"),
    ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 20}, "classification"),
    ("sklearn.linear_model.LogisticRegression", {"C": 0.5}, "classification"),
    ("sklearn.linear_model.Ridge", {}, "regression"),
    ("lightgbm.LGBMRegressor", {"n_estimators": 20}, "regression"),
]


@pytest.mark.parametrize(("estimator", "hyperparameters", "task"), ESTIMATORS)
def test_any_estimator_is_fitted_with_its_preprocessing_and_logged(
    artifact, table, tracking, estimator: str, hyperparameters: dict, task: str
) -> None:
    import mlflow

    target = "number" if task == "regression" else "target"
    table = table[table[target].notna()]
    model = trained(artifact, table, target=target, task=task, estimator=estimator, hyperparameters=hyperparameters)
    loaded = mlflow.pyfunc.load_model(model.metadata["mlflow_model_uri"])
    names = loaded.metadata.get_input_schema().input_names()
    assert names == [name for name in ("number", "kind", "target") if name != target]
    odd = pd.DataFrame({"number": [np.nan, 1.0], "target": [0.0, 1.0], "kind": ["never seen", None]})[names]
    assert np.isfinite(loaded.predict(odd)).all()
    run = mlflow.get_run(model.metadata["mlflow_run_id"])
    assert run.data.tags["turnout.data"] == "sha256:data"
    assert run.data.tags["turnout.code"]
    assert {key: run.data.params[key] for key in hyperparameters} == {
        key: str(value) for key, value in hyperparameters.items()
    }
    assert loaded.metadata.get_input_schema() is not None
    assert loaded.metadata.saved_input_example_info
    assert (Path(model.path) / "MLmodel").is_file()


BAD_TRAINING = [
    ({"estimator": "sklearn.linear_model.Logistic"}, "no estimator"),
    ({"estimator": "json.dumps"}, "not an estimator"),
    ({"hyperparameters": {"penalti": 1}}, "did you mean penalty"),
    ({"estimator": "sklearn.linear_model.Ridge"}, "not an estimator for classification"),
    ({"target": "targt"}, "did you mean target"),
    ({"ignore": []}, "a time cannot be learned from: when"),
    ({"target": "kind"}, "null in"),
    ({"target": "number", "task": "classification", "ignore": ["when"]}, "null in"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD_TRAINING)
def test_what_cannot_be_trained_is_told_and_nothing_is_logged(
    artifact, table, tracking, parameters, message: str
) -> None:
    import mlflow

    with pytest.raises(ComponentError, match=message):
        trained(artifact, table, **parameters)
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_the_first_champion_must_beat_the_mean(artifact, table, tracking) -> None:
    import mlflow

    model = trained(artifact, table.head(400))
    verdict, outputs = judged(artifact, model, table.tail(200), slices=["kind"])
    assert verdict.promote is True
    assert verdict.score > 0.8
    assert "there is no champion of 'm' yet" in verdict.reasons[0]
    assert outputs["metrics"].metadata["roc_auc"] == verdict.score
    assert {"confidenceMetrics", "confusionMatrix"} <= outputs["classification"].metadata.keys()
    json.dumps(outputs["classification"].metadata, allow_nan=False)
    page = Path(outputs["report"].path).read_text()
    assert page.count("<svg") == 4
    run_id = model.metadata["mlflow_run_id"]
    kept = mlflow.MlflowClient().list_artifacts(run_id, "evaluation")
    names = ["labels.parquet", "metric.json", "report.html", "rows.parquet"]
    assert [item.path for item in kept] == [f"evaluation/{name}" for name in names]
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/evaluation/report.html") == page
    assert "kind" in page
    shuffled = table.assign(target=table["target"].sample(frac=1, random_state=0).to_numpy())
    noise, _ = judged(artifact, model, shuffled.tail(200), metric="neg_log_loss")
    assert noise.promote is False


def test_a_challenger_is_compared_on_the_same_rows(artifact, table, tracking) -> None:
    test = table.tail(200)
    weak = trained(artifact, table.head(400), ignore=["when", "number"])
    version = register.python_func(model=weak, registered_model="m").version
    deploy.python_func(sample=artifact(Dataset, "sample", test), registered_model="m", version=version)
    same, _ = judged(artifact, weak, test)
    assert same.promote is False
    assert "+0.0000" in same.reasons[1]
    strong = trained(artifact, table.head(400), seed=1)
    better, outputs = judged(artifact, strong, test)
    assert better.promote is True
    assert "on the same 200 rows" in better.reasons[0]
    assert outputs["metrics"].metadata["champion_roc_auc"] == pytest.approx(same.score)
    hard, _ = judged(artifact, strong, test, minimum_improvement=0.9)
    assert hard.promote is False


def put_into_service(artifact, model: Model, table) -> None:
    version = register.python_func(model=model, registered_model="m").version
    deploy.python_func(sample=artifact(Dataset, "sample", table), registered_model="m", version=version)


def test_a_better_estimator_on_the_same_table_or_a_longer_one_is_promoted(artifact, table, tracking) -> None:
    """By position, the champion would know most of the test rows, and be the better by heart."""
    rng = np.random.default_rng(1)
    table = table.drop(columns="when").assign(id=[f"row {index}" for index in rng.permutation(600)])
    by_heart = {"estimator": "sklearn.tree.DecisionTreeClassifier"}

    def run(rows: pd.DataFrame, **parameters: Any) -> tuple[Any, Model]:
        parts = [artifact(Dataset, name) for name in ("train", "test")]
        split.python_func(data=artifact(Dataset, "data", rows), train=parts[0], test=parts[1], keys=["id"])
        model = artifact(Model, f"model-{len(rows)}-{len(parameters)}")
        train.python_func(data=parts[0], model=model, metrics=artifact(Metrics, "metrics"), target="target",
                          ignore=["id"], **parameters)  # fmt: skip
        return judged(artifact, model, pd.read_parquet(parts[1].path))[0], model

    first, champion = run(table, **by_heart)
    put_into_service(artifact, champion, table)
    for rows in (table, table.iloc[37:].sample(frac=1, random_state=0)):
        verdict, _ = run(rows, estimator="sklearn.linear_model.LogisticRegression")
        assert verdict.promote is True, verdict.reasons
        assert "the champion (version 1) has learned none of" in verdict.reasons[2]
    again, _ = run(table, **by_heart)
    assert again.promote is False
    assert again.score == first.score


def test_a_champion_is_not_judged_by_rows_that_it_has_learned(artifact, table, tracking) -> None:
    put_into_service(artifact, trained(artifact, table.head(500), ignore=["when", "number"]), table)
    challenger = trained(artifact, table.head(300))
    verdict, outputs = judged(artifact, challenger, table.tail(300))
    assert verdict.promote is True
    assert "on the same 100 rows" in verdict.reasons[0]
    assert "the champion (version 1) has learned 200 of the 300 rows" in verdict.reasons[2]
    page = Path(outputs["report"].path).read_text()
    assert "the champion (version 1) has learned 200 of the 300 rows" in page
    assert verdict.score == judged(artifact, challenger, table.tail(100))[0].score

    known = table[300:500]
    verdict, outputs = judged(artifact, challenger, known)
    assert verdict.promote is False
    assert "not compared with the champion (version 1): of 200 rows it has learned 200" in verdict.reasons[0]
    assert 0.5 < verdict.score < 1
    assert "champion_roc_auc" not in outputs["metrics"].metadata
    with pytest.raises(ComponentError, match="of 200 rows it has learned 200"):
        judged(artifact, challenger, known, require_champion=True)
    few, _ = judged(artifact, challenger, table.tail(300), minimum_rows=101)
    assert few.promote is False
    assert "100 rows are left, and minimum_rows asks for 101" in few.reasons[0]
    with pytest.raises(ComponentError, match="this model has learned all 300 rows"):
        judged(artifact, challenger, table.head(300))


def test_a_champion_without_a_record_of_its_rows_is_compared_and_told(artifact, table, tracking) -> None:
    import mlflow

    model = trained(artifact, table.head(400))
    put_into_service(artifact, model, table)
    artifacts = mlflow.get_run(model.metadata["mlflow_run_id"]).info.artifact_uri
    shutil.rmtree(Path(artifacts.removeprefix("file://")) / "rows")
    verdict, _ = judged(artifact, trained(artifact, table.head(400), seed=1), table.tail(200))
    assert "on the same 200 rows" in verdict.reasons[0]
    assert "could not be checked: it was trained without a record of its rows" in verdict.reasons[2]


def test_a_missing_champion_is_told_when_one_is_required(artifact, table, tracking) -> None:
    with pytest.raises(ComponentError, match="no champion of 'm'"):
        judged(artifact, trained(artifact, table), table, require_champion=True)


def test_a_champion_that_is_gone_is_told(artifact, table, tracking) -> None:
    import mlflow

    model = trained(artifact, table.head(400))
    version = register.python_func(model=model, registered_model="m").version
    deploy.python_func(sample=artifact(Dataset, "sample", table), registered_model="m", version=version)
    place = mlflow.artifacts.download_artifacts(model.metadata["mlflow_model_uri"])
    shutil.rmtree(place)
    with pytest.raises(ComponentError, match="the registered model cannot be loaded"):
        judged(artifact, model, table.tail(200))


def test_a_metric_of_another_task_is_told(artifact, table, tracking) -> None:
    with pytest.raises(ComponentError, match="'r2' does not judge a classification"):
        judged(artifact, trained(artifact, table), table, metric="r2")


def test_the_same_run_registered_twice_is_one_version(artifact, table, tracking) -> None:
    import mlflow

    model = trained(artifact, table)
    first, second = (register.python_func(model=model, registered_model="m").version for _ in range(2))
    assert first == second == "1"
    client = mlflow.MlflowClient()
    assert len(client.search_model_versions("name='m'")) == 1
    assert str(client.get_model_version_by_alias("m", "challenger").version) == "1"


def test_deploying_remembers_the_previous_champion(artifact, table, tracking) -> None:
    import mlflow

    sample = artifact(Dataset, "sample", table)
    versions = [
        register.python_func(model=trained(artifact, table, seed=seed), registered_model="m").version for seed in (1, 2)
    ]
    told = [
        deploy.python_func(sample=sample, registered_model="m", version=version) for version in (*versions, versions[1])
    ]
    assert [(item.version, item.previous) for item in told] == [("1", ""), ("2", "1"), ("2", "1")]
    assert [item.champion for item in told] == ["1", "2", "2"]
    client = mlflow.MlflowClient()
    assert str(client.get_model_version_by_alias("m", "champion").version) == "2"
    assert str(client.get_model_version_by_alias("m", "previous_champion").version) == "1"


def test_a_model_that_fails_on_sample_rows_is_not_deployed(artifact, table, tracking) -> None:
    from turnout.models.promotion import champion

    version = register.python_func(model=trained(artifact, table), registered_model="m").version
    with pytest.raises(ComponentError, match="no column 'number'"):
        deploy.python_func(
            sample=artifact(Dataset, "sample", table.drop(columns="number")), registered_model="m", version=version
        )
    with pytest.raises(ComponentError, match="cannot be loaded"):
        deploy.python_func(sample=artifact(Dataset, "sample", table), registered_model="m", version="9")
    assert champion("m") is None
