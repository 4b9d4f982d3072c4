"""The compiled form of a model says what the model says, or is not used and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature

from turnout.models.compiled import open_scorer
from turnout.models.compiled.form import DIRECTORY
from turnout.models.compiled.making import compile_model
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.estimators import make_estimator, make_model
from turnout.models.files import preparation_inside
from turnout.models.inputs import plain_types
from turnout.models.scorer import Scorer

ROWS = 400


def make_table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps and infinities, whole numbers, truth values, texts with nulls and rare ones, times."""
    rng = np.random.default_rng(seed)
    number = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows) * 1e3)
    number[::97] = np.inf
    kinds = np.array(["red", "green", "blue", "", "a'b", None], dtype=object)
    return pd.DataFrame(
        {
            "number": number,
            "exact": rng.integers(10**9, 10**9 + 50, rows),  # a float cannot tell these apart
            "flag": rng.random(rows) < 0.5,
            "kind": kinds[rng.choice(6, rows, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05])],
            "rare": [f"r{value}" for value in rng.zipf(1.3, rows) % 900],
            "when": pd.date_range("2024-03-30", periods=rows, freq="37min", tz="UTC").where(rng.random(rows) > 0.05),
        }
    )


def targets(table: pd.DataFrame) -> dict[str, np.ndarray]:
    size = table["exact"].to_numpy() % 50 + 10 * table["flag"] + np.nan_to_num(table["number"], posinf=0) / 1e3
    return {
        "binary": np.where(size > 30, "yes", "no"),
        "multiclass": (size.to_numpy() // 20).astype(int),
        "regression": size.to_numpy() * 1e4,
    }


def save(fitted: Any, inputs: pd.DataFrame, directory: Path) -> Path:
    with preparation_inside():
        mlflow.sklearn.save_model(
            fitted, directory, signature=infer_signature(inputs, fitted.predict(inputs.head(5))),
            serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        )  # fmt: skip
    return directory


def compiled(fitted: Any, inputs: pd.DataFrame, directory: Path) -> tuple[Scorer, CompiledScorer]:
    """The model and its compiled form, which has been proved."""
    place = save(fitted, inputs, directory / "model")
    compile_model(place, inputs, "the test", place / DIRECTORY)
    opened = open_scorer(place)
    assert isinstance(opened, CompiledScorer)
    return Scorer(place), opened


MATRIX = [
    ("binary", "lightgbm.LGBMClassifier", {"n_estimators": 15}),
    ("multiclass", "lightgbm.LGBMClassifier", {"n_estimators": 8}),
    ("regression", "lightgbm.LGBMRegressor", {"n_estimators": 15}),
    ("binary", "sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 15}),
    ("multiclass", "sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 8}),
    ("regression", "sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 15}),
    ("binary", "sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 8}),
    ("binary", "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 8}),  # often exactly a half
    ("multiclass", "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 4}),
    ("regression", "sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 6}),
    ("multiclass", "sklearn.tree.DecisionTreeClassifier", {}),
    ("regression", "sklearn.tree.DecisionTreeRegressor", {}),
    ("binary", "sklearn.neural_network.MLPClassifier", {"max_iter": 5, "hidden_layer_sizes": [4]}),
    ("binary", "sklearn.linear_model.LogisticRegression", {"C": 0.5}),
    ("multiclass", "sklearn.linear_model.LogisticRegression", {}),
    ("regression", "sklearn.linear_model.Ridge", {}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("task", "path", "hyperparameters"), MATRIX)
def test_what_train_makes_has_a_compiled_form_that_says_the_same(
    tmp_path: Path, task: str, path: str, hyperparameters: dict[str, Any]
) -> None:
    table = make_table()
    inputs = plain_types(table)
    derive = ["year", "quarter", "month", "day", "day_of_year", "weekday", "hour", "minute"]
    kind = "regression" if task == "regression" else "classification"
    estimator = make_estimator(path, hyperparameters, 0, kind)
    fitted = make_model(inputs, estimator, derive, "Europe/Berlin").fit(inputs, targets(table)[task])
    model, form = compiled(fitted, inputs, tmp_path)
    other = pa.RecordBatch.from_pandas(plain_types(make_table(300, seed=1)), preserve_index=False)
    ours, theirs = form(other), model(other)
    assert [(name, array.type) for name, array in ours.items()] == [(n, a.type) for n, a in theirs.items()]
    if task == "regression":
        np.testing.assert_allclose(ours["prediction"], theirs["prediction"], rtol=1e-6)
    else:
        assert ours["prediction"].equals(theirs["prediction"])
        assert form.classes == model.classes
        first, second = (np.asarray(side[name].items if name == "probabilities" else side[name])
                         for side in (ours, theirs) for name in list(side)[1:])  # fmt: skip
        np.testing.assert_allclose(first, second, atol=1e-6)
    rows = list(zip(*(column.cast(other[column.name]).to_pylist() for column in form.columns), strict=True))[:20]
    for index, row in enumerate(rows):
        one, batch = form.row(row), {name: array[index].as_py() for name, array in ours.items()}
        flat = [{name: dict(value) if isinstance(value, list) else value for name, value in batch.items()}]
        flat += [model.row(row)] if index < 3 else []
        for expected in flat:
            assert one.keys() == expected.keys()
            for name, value in expected.items():
                assert type(one[name]) is type(value)
                assert one[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6, abs=1e-6))
