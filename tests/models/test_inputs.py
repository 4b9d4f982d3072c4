"""Columns of all kinds on their way into a model: each is learned from, left out and told, or refused by name."""

from __future__ import annotations

import datetime
import decimal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model

from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.ingest import ingest
from turnout.components.monitor import monitor
from turnout.components.predict import predict
from turnout.components.register import register
from turnout.components.train import train
from turnout.inference import table as tables
from turnout.models.estimators import make_model, split_columns
from turnout.models.inputs import leave_out_empty, plain_types

DAY = datetime.date(2024, 1, 31)


def trained(artifact, data: Any, **parameters: Any) -> Model:
    model = artifact(Model, "model")
    given = {"target": "target", "estimator": "lightgbm.LGBMClassifier", "hyperparameters": {"n_estimators": 10}}
    train.python_func(data=data, model=model, metrics=artifact(Metrics, "metrics"), **given | parameters)
    return model


def in_service(artifact, model: Model, data: Any) -> Any:
    """What `evaluate` says of a model, which is then put into service."""
    outputs = {name: artifact(kind, name) for name, kind in
               {"metrics": Metrics, "classification": ClassificationMetrics, "report": HTML}.items()}  # fmt: skip
    verdict = evaluate.python_func(model=model, data=data, registered_model="m", **outputs)
    version = register.python_func(model=model, registered_model="m").version
    deploy.python_func(sample=data, registered_model="m", version=version)
    return verdict


def predicted(artifact, data: Any, directory: Path) -> pd.DataFrame:
    """The rows of January 2024, with predictions."""
    outputs = {"predictions": artifact(Dataset, "predictions"), "metrics": artifact(Metrics, "predict-metrics")}
    predict.python_func(data=data, model="models:/m@champion", table=str(directory / "table"), since="2024-01-01",
                        until="2024-02-01", timestamp="when", keys=["n"], **outputs)  # fmt: skip
    return tables.read(str(directory / "table")).to_pandas().sort_values("n", ignore_index=True)


def hard_table(seed: int, rows: int = 600) -> pd.DataFrame:
    """Columns that break models which take them as they are, beside one that tells the target."""
    rng = np.random.default_rng(seed)
    number = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "n": np.arange(rows),
            "when": pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC"),
            'a[0]: {"x"}, b': np.where(rng.random(rows) < 0.1, np.inf, number),
            "kind": rng.choice(['{"x": [1, 2]}', "b", None], rows),
            "kind_b": rng.normal(size=rows),  # as the category's own column would be called
            "constant": 1,
            "empty": None,
            "decimal": [decimal.Decimal("1.5"), None] * (rows // 2),
            "flag": rng.choice([True, False, None], rows),
            "key": 2**60 + np.arange(rows),
            "zip": [f"{index % 7:05}" for index in range(rows)],
            "list": [[index, 1] for index in range(rows)],
            "struct": [{"x": index} for index in range(rows)],
            "target": (number + rng.normal(size=rows) > 0).astype(int),
        }
    )


def test_a_model_is_trained_on_hard_columns_and_used(artifact, tracking, tmp_path: Path, capsys) -> None:
    import mlflow

    data, test = artifact(Dataset, "data"), artifact(Dataset, "test")
    for seed, ingested in enumerate((data, test)):
        hard_table(seed).to_parquet(tmp_path / "source")
        ingest.python_func(source=str(tmp_path / "source"), data=ingested)
    model = trained(artifact, data, ignore=["n", "when", "list", "struct"])
    told = capsys.readouterr().out
    assert "columns without any value are left out: empty" in told
    signature = mlflow.models.Model.load(model.path).signature.inputs
    assert {item.name: item.type.name for item in signature} == {
        'a[0]: {"x"}, b': "double", "kind": "string", "kind_b": "double", "constant": "double", "decimal": "double",
        "flag": "double", "key": "string", "zip": "string",
    }  # fmt: skip
    assert in_service(artifact, model, test).score > 0.75
    table = mlflow.sklearn.load_model(model.path)[:-1].get_feature_names_out()
    assert {"numbers__kind_b", "categories__kind_b"} <= set(table)


def test_a_model_is_loaded_where_turnout_is_not(artifact, tracking, table) -> None:
    table.assign(number=table["number"].fillna(np.inf)).to_parquet(artifact(Dataset, "data").path)
    model = trained(artifact, artifact(Dataset, "data"), derive=["hour"])
    program = (
        "import sys; sys.modules['turnout'] = None\n"
        "import mlflow, pandas as pd\n"
        "rows = pd.DataFrame({'when': [pd.Timestamp('2024-01-01')], 'number': [float('-inf')], 'kind': ['a']})\n"
        "print(mlflow.sklearn.load_model(sys.argv[1]).predict(rows))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, model.path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("[0]", "[1]")


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "lists and structs": (
        {"list": [[1], [2]], "struct": [{"x": 1}, None], "bytes": [b"x", b"y"]},
        {},
        r"neither numbers, texts nor times: list \(lists\), struct \(structs\), bytes \(bytes\) @ data",
    ),
    "durations and times of the day": (
        {"lasted": pd.to_timedelta([1, 2], "s"), "at": [datetime.time(1), None]},
        {},
        r"lasted \(timedelta64\[ns\]\), at \(times of the day\)",
    ),
    "dates": ({"day": [DAY, None]}, {}, "a time cannot be learned from: day"),
    "names of derived features": (
        {"day": [DAY, DAY], "day_month": [1, 2]},
        {"derive": ["month"]},
        "derived features have the names of columns: day_month",
    ),
    "a zone that is none": ({"day": [DAY, DAY]}, {"derive": ["month"], "timezone": "Europe/Berln"}, "Europe/Berlin"),
    "times too far": (
        {"day": np.array(["2024-01-31", "9999-12-31"], "M8[us]")},
        {"derive": ["month"]},
        "1678 or after 2261",
    ),
    "nothing but the target": ({}, {}, "no column is left to learn from"),
    "nothing in the columns": ({"a": [None, None]}, {}, "no column has any value"),
}


@pytest.mark.parametrize(("columns", "parameters", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_learned_from_is_told_by_name(
    artifact, tracking, columns: Any, parameters: Any, message: str
) -> None:
    import mlflow

    table = pd.DataFrame({**columns, "target": [0, 1]})
    with pytest.raises(ComponentError, match=message):
        trained(artifact, artifact(Dataset, "data", table), **parameters)
    assert mlflow.search_runs(search_all_experiments=True).empty


def test_lists_are_no_matter_where_they_are_ignored() -> None:
    table = pd.DataFrame({"list": [[1], [2]], "number": [1.0, 2.0], "target": [0, 1]})
    assert list(split_columns(table, "target", ["list"])[0]) == ["number"]


def test_a_table_without_rows_is_told() -> None:
    with pytest.raises(ComponentError, match="the table has no rows"):
        split_columns(pd.DataFrame({"a": [], "target": []}), "target", [])


def test_a_hundred_thousand_levels_are_one_and_told(capsys) -> None:
    from sklearn.linear_model import LogisticRegression

    from turnout.models.inputs import tell_identifiers

    rows = 100_000
    inputs = plain_types(
        pd.DataFrame({"key": [f"k{index}" for index in range(rows)], "kind": ["a", "b"] * (rows // 2)})
    )
    tell_identifiers(inputs, 0.002)
    assert "key: 100,000 values, each in less than 0.2% of the rows, are one" in capsys.readouterr().out
    model = make_model(inputs, LogisticRegression()).fit(inputs, inputs["kind"] == "a")
    assert list(model[:-1].get_feature_names_out()) == [
        "categories__key_infrequent_sklearn", "categories__kind_a", "categories__kind_b",
    ]  # fmt: skip


def test_columns_without_values_are_left_out() -> None:
    assert list(leave_out_empty(plain_types(pd.DataFrame({"a": [None, 1.0], "b": [np.nan, np.nan]})))) == ["a"]


# --- times


@pytest.mark.parametrize("estimator", ["lightgbm.LGBMClassifier", "sklearn.linear_model.LogisticRegression"])
def test_calendar_features_are_made_wherever_the_model_is_used(
    artifact, tracking, tmp_path: Path, estimator: str
) -> None:
    """Whether it is before noon in New York."""
    when = pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC").as_unit("us")
    local = when.tz_convert("America/New_York")
    noise = np.random.default_rng(0).normal(size=600)
    table = pd.DataFrame({"n": range(600), "when": when, "noise": noise, "target": (local.hour < 12).astype(int)})
    data, test = artifact(Dataset, "data", table[:400]), artifact(Dataset, "test", table[400:])
    parameters = {"derive": ["weekday", "hour"], "timezone": "America/New_York", "ignore": ["n"]}
    model = trained(artifact, data, estimator=estimator, hyperparameters={}, **parameters)
    assert in_service(artifact, model, test).score > 0.95
    found = predicted(artifact, test, tmp_path)
    assert (found["prediction"].to_numpy() == table["target"][400:]).mean() > 0.9
    outputs = {"report": artifact(HTML, "page"), "findings": artifact(Artifact, "findings")}
    watched = monitor.python_func(data=test, model="models:/m@champion", metric="roc_auc", target="target",
                                  metrics=artifact(Metrics, "monitored"), **outputs)  # fmt: skip
    assert watched.alert is False


def test_calendar_features_are_whole_numbers_in_the_zone_and_missing_where_times_are() -> None:
    from turnout.models.preparation import calendar

    times = pd.DataFrame({"when": pd.to_datetime(["2024-03-03T23:30Z", None, "2024-12-31T12:00Z"])})
    derive = ["year", "quarter", "month", "day", "day_of_year", "weekday", "hour", "minute"]
    made = calendar(times, derive, "Asia/Kathmandu")
    assert list(made) == [f"when_{feature}" for feature in derive]
    assert made.iloc[0].tolist() == [2024, 1, 3, 4, 64, 0, 5, 15]
    assert made.iloc[1].isna().all()
    assert made.iloc[2].tolist() == [2024, 4, 12, 31, 366, 1, 17, 45]
