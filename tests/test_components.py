"""The catalogue's components as functions, on small real data and a real MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Metrics, Model

from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.featurise import featurise
from turnout.components.ingest import ingest
from turnout.components.register import register
from turnout.components.split import split
from turnout.components.train import train
from turnout.components.validate import validate

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def artifact(tmp_path: Path):
    def make(kind: type, name: str, table: pd.DataFrame | None = None, **metadata: Any):
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        made = kind(name=name, uri=str(tmp_path / "artifacts" / name), metadata=metadata)
        if table is not None:
            table.to_parquet(made.path, index=False)
        return made

    return make


@pytest.fixture
def table() -> pd.DataFrame:
    """A target that depends on a number and a category, with nulls in both; 600 hours."""
    rng = np.random.default_rng(0)
    number, kind = rng.normal(size=600), rng.choice(["a", "b", "c"], 600)
    chance = 1 / (1 + np.exp(-2 * number - (kind == "a")))
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC"),
            "number": np.where(rng.random(600) < 0.1, np.nan, number),
            "kind": np.where(rng.random(600) < 0.1, None, kind),
            "target": (rng.random(600) < chance).astype(int),
        }
    )


# --- ingest


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
def test_ingest_detects_the_format_and_records_what_it_read(artifact, table, tmp_path: Path, form: str) -> None:
    path = tmp_path / "source"  # no ending: the content tells, except for compression
    if form == "csv.gz":
        path = tmp_path / "source.csv.gz"
    table.to_parquet(path) if form == "parquet" else table.to_csv(path, index=False)
    data = artifact(Dataset, "data")
    ingest.python_func(source=str(path), data=data, timestamps=["when"])
    read = pd.read_parquet(data.path)
    assert read["when"].dt.tz is not None
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert data.metadata["rows"] == 600
    assert data.metadata["source_format"] == form.partition(".")[0]
    assert data.metadata["schema"]["number"] == "float64"
    assert data.metadata["data_digest"].startswith("sha256:")


def test_ingest_reads_uris(artifact, table) -> None:
    import fsspec

    with fsspec.open("memory://tables/source.parquet", "wb") as file:
        table.to_parquet(file)
    data = artifact(Dataset, "data")
    ingest.python_func(source="memory://tables/source.parquet", data=data)
    assert data.metadata["rows"] == 600


def test_ingest_reads_http(artifact, table, tmp_path: Path) -> None:
    import functools
    import http.server
    import threading

    table.to_csv(tmp_path / "source.csv", index=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        data = artifact(Dataset, "data")
        ingest.python_func(source=f"http://127.0.0.1:{server.server_port}/source.csv", data=data)
        assert data.metadata["rows"] == 600
        with pytest.raises(ComponentError, match="no such data"):
            ingest.python_func(source=f"http://127.0.0.1:{server.server_port}/none.csv", data=data)
    finally:
        server.shutdown()


def test_ingest_refuses_what_is_not_a_table(artifact, tmp_path: Path) -> None:
    data = artifact(Dataset, "data")
    (tmp_path / "binary").write_bytes(b"\0\1\2" * 100)
    (tmp_path / "empty.csv").write_text("a,b\n")
    for source, message in {
        "binary": "neither Parquet nor CSV",
        "empty.csv": "no rows",
        "none": "no such data",
    }.items():
        with pytest.raises(ComponentError, match=message):
            ingest.python_func(source=str(tmp_path / source), data=data)


def test_a_data_revision_pins_the_data(artifact, table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    tool = str(Path(sys.executable).parent / "dvc")

    def do(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    do("git", "init", "-q")
    do("git", "config", "user.email", "a@b.c")
    do("git", "config", "user.name", "a")
    do(tool, "init", "-q")
    do(tool, "remote", "add", "-d", "local", str(tmp_path / "remote"))
    digests = []
    for revision, rows in (("v1", 100), ("v2", 200)):
        table.head(rows).to_parquet("table.parquet")
        do(tool, "add", "-q", "table.parquet")
        do(tool, "push", "-q")
        do("git", "add", "-A")
        do("git", "commit", "-qm", revision)
        do("git", "tag", revision)
    for revision, rows in (("v1", 100), ("v2", 200), ("v1", 100)):
        data = artifact(Dataset, f"data-{revision}")
        ingest.python_func(source="table.parquet", revision=revision, data=data)
        assert data.metadata["rows"] == rows
        assert len(data.metadata["revision"]) == 40
        digests.append(data.metadata["data_digest"])
    assert digests[0] == digests[2] != digests[1]
    with pytest.raises(ComponentError, match="revision v3"):
        ingest.python_func(source="table.parquet", revision="v3", data=artifact(Dataset, "data"))
    with pytest.raises(ComponentError, match="no such data at revision v1"):
        ingest.python_func(source="other.parquet", revision="v1", data=artifact(Dataset, "data"))


# --- validate


def suite(tmp_path: Path, *expectations: dict) -> str:
    path = tmp_path / "suite.json"
    path.write_text(json.dumps({"name": "suite", "expectations": expectations}))
    return str(path)


NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "number"}}
KINDS = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "kind", "value_set": ["a", "b"]}}
ROWS = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 600}}


def test_a_suite_that_holds(artifact, table, tmp_path: Path) -> None:
    report = artifact(HTML, "report")
    validate.python_func(data=artifact(Dataset, "data", table), suite=suite(tmp_path, ROWS), report=report)
    assert "All 1 expectations hold" in Path(report.path).read_text()


def test_a_suite_that_fails_says_which_expectation_how_many_rows_and_examples(artifact, table, tmp_path: Path) -> None:
    report = artifact(HTML, "report")
    count, nulls = (table["kind"] == "c").sum(), table["number"].isna().sum()
    with pytest.raises(ComponentError) as raised:
        validate.python_func(
            data=artifact(Dataset, "data", table), suite=suite(tmp_path, NOT_NULL, KINDS, ROWS), report=report
        )
    text = str(raised.value)
    assert "2 of 3 expectations failed" in text
    assert f"expect_column_values_to_be_in_set(kind, value_set=['a', 'b']): {count} of 600 rows, such as 'c'" in text
    assert f"expect_column_values_to_not_be_null(number): {nulls} of 600 rows" in text
    assert "2 of 3 expectations failed" in Path(report.path).read_text()


def test_a_missing_column_fails_by_name(artifact, table, tmp_path: Path) -> None:
    data = artifact(Dataset, "data", table.drop(columns="number"))
    with pytest.raises(ComponentError, match="number"):
        validate.python_func(data=data, suite=suite(tmp_path, NOT_NULL), report=artifact(HTML, "report"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such expectation suite"),
        ("{", "not JSON"),
        ('{"name": "a", "expectations": [{"type": "expect_magic"}]}', "suite"),
    ],
)
def test_a_suite_that_is_none(artifact, table, tmp_path: Path, content: str | None, message: str) -> None:  # fmt: skip
    path = tmp_path / "suite.json"
    if content:
        path.write_text(content)
    with pytest.raises(ComponentError, match=message):
        validate.python_func(data=artifact(Dataset, "data", table), suite=str(path), report=artifact(HTML, "report"))


# --- featurise


def test_features_are_as_they_were_at_each_rows_time(artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_FEATURE_SOURCES", "")
    hours = pd.date_range("2013-05-01", periods=48, freq="h", tz="UTC")
    sources = tmp_path / "sources"
    sources.mkdir()
    weather = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    tables = {
        "weather": {"origin": "JFK", **dict.fromkeys(weather, range(48))},
        "carrier_delays": {"carrier": "AA", "carrier_late_1d": range(48), "carrier_late_7d": 0.5},
        "route_delays": {"origin": "JFK", "dest": "LAX", "route_late_1d": 0.1, "route_late_28d": 0.2},
        "airport_delays": {"origin": "JFK", "left_late_2h": range(48), "left_late_6h": 0.3},
    }
    for name, columns in tables.items():
        frame = pd.DataFrame({**columns, "event_timestamp": hours})
        keys = ("origin", "dest", "carrier", "event_timestamp")
        numbers = {column: float for column in frame if column not in keys}
        frame.astype(numbers).to_parquet(sources / f"{name}.parquet")
    asked = pd.to_datetime(["2013-05-01T10:30Z", "2013-05-01T10:00Z", "2013-04-30T00:00Z", "2013-05-03T04:59Z"])
    entities = pd.DataFrame(
        {"event_timestamp": asked, "carrier": "AA", "origin": "JFK", "dest": "LAX", "id": [3, 1, 2, 0]}
    )
    features = artifact(Dataset, "features")
    data = artifact(Dataset, "data", entities, data_digest="sha256:data")
    featurise.python_func(entities=data, features=features, feature_service="flight_delay",
                          repository=str(PROJECT / "feature_repo"), sources=str(sources))  # fmt: skip
    joined = pd.read_parquet(features.path)
    assert joined["id"].tolist() == [3, 1, 2, 0]
    assert joined["temp"].tolist()[:2] == [10.0, 10.0]  # never the 11 o'clock row
    assert pd.isna(joined["temp"][2])  # nothing was known yet
    assert joined["temp"][3] == 47.0
    assert features.metadata["data_digest"] == "sha256:data"
    assert features.metadata["features_digest"].count("sha256:") == 2


def test_an_unknown_feature_service_is_told(artifact) -> None:
    entities = pd.DataFrame({"event_timestamp": pd.to_datetime(["2013-05-01T10:30Z"]), "carrier": "AA"})
    with pytest.raises(ComponentError, match="did you mean flight_delay"):
        featurise.python_func(entities=artifact(Dataset, "data", entities), features=artifact(Dataset, "features"),
                              feature_service="flight_dely", repository=str(PROJECT / "feature_repo"))  # fmt: skip


# --- split


def test_nothing_of_the_future_is_in_training(artifact, table) -> None:
    shuffled = table.sample(frac=1, random_state=1)
    parts = artifact(Dataset, "train"), artifact(Dataset, "test")
    split.python_func(
        data=artifact(Dataset, "data", shuffled), train=parts[0], test=parts[1], timestamp="when", gap_hours=5.0
    )
    before, after = (pd.read_parquet(part.path)["when"] for part in parts)
    assert after.min() - before.max() > pd.Timedelta(hours=5)
    assert len(after) == pytest.approx(120, abs=1)


def test_a_table_without_time_is_split_at_random_the_same_way_each_time(artifact, table) -> None:
    made = []
    for name in ("a", "b"):
        parts = artifact(Dataset, f"train-{name}"), artifact(Dataset, f"test-{name}")
        split.python_func(data=artifact(Dataset, "data", table), train=parts[0], test=parts[1], seed=3)
        made.append([pd.read_parquet(part.path) for part in parts])
    pd.testing.assert_frame_equal(made[0][1], made[1][1])
    assert len(made[0][0]) + len(made[0][1]) == 600
    assert set(made[0][0]["when"]).isdisjoint(made[0][1]["when"])


# --- train, evaluate, register, deploy


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
    model = trained(artifact, table.head(400))
    verdict, outputs = judged(artifact, model, table.tail(200), slices=["kind"])
    assert verdict.promote is True
    assert verdict.score > 0.8
    assert "there is no champion of 'm' yet" in verdict.reasons[0]
    assert outputs["metrics"].metadata["roc_auc"] == verdict.score
    assert {"confidenceMetrics", "confusionMatrix"} <= outputs["classification"].metadata.keys()
    json.dumps(outputs["classification"].metadata, allow_nan=False)
    page = Path(outputs["report"].path).read_text()
    assert page.count("<svg") == 3
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


def test_a_missing_champion_is_told_when_one_is_required(artifact, table, tracking) -> None:
    with pytest.raises(ComponentError, match="no champion of 'm'"):
        judged(artifact, trained(artifact, table), table, require_champion=True)


def test_a_champion_that_is_gone_is_told(artifact, table, tracking) -> None:
    import shutil

    import mlflow

    model = trained(artifact, table)
    version = register.python_func(model=model, registered_model="m").version
    deploy.python_func(sample=artifact(Dataset, "sample", table), registered_model="m", version=version)
    place = mlflow.artifacts.download_artifacts(model.metadata["mlflow_model_uri"])
    shutil.rmtree(place)
    with pytest.raises(ComponentError, match="the registered model cannot be loaded"):
        judged(artifact, model, table)


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
    client = mlflow.MlflowClient()
    assert str(client.get_model_version_by_alias("m", "champion").version) == "2"
    assert str(client.get_model_version_by_alias("m", "previous_champion").version) == "1"


def test_a_model_that_fails_on_sample_rows_is_not_deployed(artifact, table, tracking) -> None:
    from turnout.tracking import version_by_alias

    version = register.python_func(model=trained(artifact, table), registered_model="m").version
    with pytest.raises(ComponentError, match="no column 'number'"):
        deploy.python_func(
            sample=artifact(Dataset, "sample", table.drop(columns="number")), registered_model="m", version=version
        )
    with pytest.raises(ComponentError, match="cannot be loaded"):
        deploy.python_func(sample=artifact(Dataset, "sample", table), registered_model="m", version="9")
    assert version_by_alias("m", "champion") is None
