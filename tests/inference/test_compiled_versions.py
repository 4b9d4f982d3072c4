"""A registered version is compiled once, and what predicts, deploys or serves it uses the form that was proved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Metrics, Model
from predictions import INPUTS, Ran, make_table, rows_of
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

import turnout.models
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.register import register
from turnout.models.compiled import open_scorer
from turnout.models.compiled.answering import REASON, TAG
from turnout.models.compiled.form import DIRECTORY, read_proof
from turnout.models.compiled.keeping import fetch
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.registry import look_up


def registered(artifact: Any, table: pd.DataFrame, encoder: Any, evaluated: bool) -> Model:
    """A forest of one's own in the registry; the forest's probabilities are often exactly a half."""
    model = artifact(Model, "model")
    forest = RandomForestClassifier(6, max_depth=4, random_state=0)
    fitted = make_pipeline(make_column_transformer((encoder, ["kind"]), remainder="passthrough"), forest)
    fitted.fit(table[INPUTS], table["label"])
    turnout.models.log(fitted, model, table, target="label", task="classification", ignore=["id", "when"])
    if evaluated:
        evaluate.python_func(
            model=model, data=artifact(Dataset, "test", make_table(300, seed=1)), registered_model="m",
            metrics=artifact(Metrics, "metrics"), report=artifact(HTML, "report"),
            classification=artifact(ClassificationMetrics, "classification"),
        )  # fmt: skip
    register.python_func(model=model, registered_model="m", alias="champion")
    return model


@pytest.mark.filterwarnings("ignore")
def test_predict_and_deploy_use_the_compiled_form_with_the_same_results(
    artifact: Any, tracking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, client = make_table(600), mlflow.MlflowClient()
    model = registered(artifact, table, OneHotEncoder(handle_unknown="ignore"), evaluated=True)
    tags = client.get_model_version("m", "1").tags
    assert tags[TAG] == "yes"
    assert "300 rows of the evaluation" in tags[REASON]
    run_id = model.metadata["mlflow_run_id"]
    kept = {item.path for item in client.list_artifacts(run_id, DIRECTORY)}
    assert kept == {"compiled/estimator.onnx", "compiled/form.json", "compiled/proof.json"}
    proof = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/compiled/proof.json"))
    assert proof["rows"] == 300
    assert {"onnxruntime", "treelite", "scikit-learn"} <= proof["libraries"].keys()
    # The same model again: the same version, and the same files.
    (files,) = tmp_path.rglob("artifacts/compiled")
    before = {path: path.stat().st_mtime_ns for path in files.iterdir()}
    assert register.python_func(model=model, registered_model="m", alias="champion").version == "1"
    assert register.python_func(model=model, registered_model="other").version == "1"
    assert {path: path.stat().st_mtime_ns for path in files.iterdir()} == before
    assert client.get_model_version("other", "1").tags[TAG] == "yes"

    capsys.readouterr()
    Ran(tmp_path, table)
    assert "models:/m/1: its compiled form answers: the same as the model" in capsys.readouterr().out
    ours = rows_of(tmp_path / "out")
    deploy.python_func(sample=Dataset(name="s", uri=str(tmp_path / "in.parquet")), registered_model="m", version="1")
    assert "its compiled form answers" in capsys.readouterr().out
    client.set_model_version_tag("m", "1", TAG, "no")  # by hand, by one who does not trust it
    Ran(tmp_path, table, table=str(tmp_path / "theirs"))
    assert "the model itself answers" in capsys.readouterr().out
    theirs = rows_of(tmp_path / "theirs")
    assert ours["prediction"].equals(theirs["prediction"])
    assert (ours["probability"] - theirs["probability"]).abs().max() <= 1e-6


@pytest.mark.filterwarnings("ignore")
def test_a_version_that_was_never_evaluated_is_proved_on_rows_of_its_training(
    artifact: Any, tracking: str, tmp_path: Path
) -> None:
    registered(artifact, make_table(600), OneHotEncoder(handle_unknown="ignore"), evaluated=False)
    place = fetch(look_up("models:/m/1"), str(tmp_path))
    assert read_proof(place / DIRECTORY).rows_of == "the training"
    scorer = open_scorer(place)
    assert isinstance(scorer, CompiledScorer)
    batch = pa.RecordBatch.from_pandas(make_table(20, seed=2)[INPUTS], preserve_index=False)
    assert len(scorer(batch)["probability"]) == 20


@pytest.mark.filterwarnings("ignore")
def test_a_version_without_a_compiled_form_is_registered_and_says_why(
    artifact: Any, tracking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(artifact, make_table(600), TargetEncoder(), evaluated=False)
    why = "the step TargetEncoder is not known here"
    assert f"not compiled, the model itself answers: {why}" in capsys.readouterr().out
    tags = mlflow.MlflowClient().get_model_version("m", "1").tags
    assert (tags[TAG], tags[REASON]) == ("no", why)
    Ran(tmp_path, make_table(600))
    assert f"the model itself answers: {why}" in capsys.readouterr().out
