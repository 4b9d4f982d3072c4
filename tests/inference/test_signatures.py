"""Models get what their signature says, whoever made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from kfp.dsl import Dataset
from mlflow.models import infer_signature
from predictions import ROWS, Ran, make_table, register, register_own, rows_of
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.inference import table as tables

KINDS = {"number": "float64", "size": "int64", "small": "int32", "single": "float32", "yes": "bool", "kind": "object"}


class Telling(RegressorMixin, BaseEstimator):
    """Predicts the kinds of its inputs, as a text."""

    def fit(self, inputs: Any, labels: Any = None) -> Telling:
        return self

    def predict(self, inputs: Any) -> Any:
        kinds = inputs.dtypes if hasattr(inputs, "dtypes") else [inputs.dtype] * inputs.shape[1]
        return np.array([" ".join(map(str, kinds))] * len(inputs), dtype=object)


class TellingPython(mlflow.pyfunc.PythonModel):
    """The same as MLflow's own flavour."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return Telling().predict(model_input)


@pytest.fixture
def table(tracking: str) -> pd.DataFrame:
    """A column of each kind; those of whole numbers have nulls in rows 7 and 1500 of another table."""
    rng = np.random.default_rng(0)
    more = {"small": rng.integers(0, 9, ROWS), "single": rng.normal(size=ROWS), "yes": rng.integers(0, 2, ROWS)}
    return make_table().assign(**more).astype(KINDS)


def add(name: str, columns: pd.DataFrame, flavour: str) -> None:
    outputs = Telling().predict(columns)
    if flavour == "pyfunc":
        register_own(name, TellingPython(), columns, outputs)
    else:
        register(name, Telling().fit(columns), columns, serialization_format="cloudpickle")


@pytest.mark.parametrize("flavour", ["sklearn", "pyfunc"])
@pytest.mark.parametrize("columns", [["size"], ["number", "size"], ["small", "single"], ["size", "yes"], list(KINDS)])
def test_every_column_comes_in_the_kind_of_the_signature(
    table: pd.DataFrame, tmp_path: Path, flavour: str, columns: list[str]
) -> None:
    add("m", table[columns], flavour)
    given = table.assign(size=table["size"].astype(float), small=table["small"].astype("int8"))
    Ran(tmp_path, given, model="models:/m/1")
    assert set(rows_of(tmp_path / "out")["prediction"]) == {" ".join(KINDS[name] for name in columns)}
    sample = Dataset(name="sample", uri=str(tmp_path / "in.parquet"))
    assert deploy.python_func(sample=sample, registered_model="m", version="1").version == "1"


def test_large_identifiers_keep_their_digits(table: pd.DataFrame, tmp_path: Path) -> None:
    class Last(RegressorMixin, BaseEstimator):
        def predict(self, inputs: Any) -> Any:
            return np.asarray(inputs)[:, 0] % 10

    large = table.assign(size=2**60 + table["id"])
    register("m", Last(), large[["size", "id"]], serialization_format="cloudpickle")
    Ran(tmp_path, large, model="models:/m/1")
    assert rows_of(tmp_path / "out")["prediction"].tolist() == [int((2**60 + row) % 10) for row in range(ROWS)]


@pytest.fixture
def holes(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(size=table["size"].astype("Int64").where(~table["id"].isin([7, 1500])))


def test_a_null_among_whole_numbers_is_the_estimator_s_to_handle(
    table: pd.DataFrame, holes: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = table[["size", "number"]]
    model = HistGradientBoostingRegressor(max_iter=5).fit(inputs, table["number"])
    register("m", model, inputs, serialization_format="cloudpickle")
    Ran(tmp_path, holes, model="models:/m/1")
    expected = model.predict(holes[["size", "number"]].astype(float))
    np.testing.assert_allclose(rows_of(tmp_path / "out")["prediction"], expected)


def test_a_null_that_a_model_refuses_is_told_in_plain_words(holes: pd.DataFrame, tmp_path: Path) -> None:
    add("m", make_table()[["size"]], "pyfunc")
    with pytest.raises(ComponentError, match=r"the first is \{'id': 7, .*\}: null, and the model takes long @ size"):
        Ran(tmp_path, holes, model="models:/m/1")
    quarantine = tmp_path / "aside"
    ran = Ran(tmp_path, holes, model="models:/m/1", quarantine=str(quarantine))
    assert ran.result[:3] == (ROWS, ROWS - 2, 2)
    assert set(tables.read(str(quarantine))["reason"].to_pylist()) == {"null, and the model takes long @ size"}
    sample = Dataset(name="sample", uri=str(tmp_path / "in.parquet"))
    with pytest.raises(ComponentError, match="the model fails on sample rows: null, and the model takes long @ size"):
        deploy.python_func(sample=sample, registered_model="m", version="1")


def test_a_fraction_where_whole_numbers_are_taken_is_told(table: pd.DataFrame, tmp_path: Path) -> None:
    add("m", table[["size"]], "sklearn")
    with pytest.raises(ComponentError, match=r"the model takes long: Float value 8\.5.* was truncated.* @ size"):
        Ran(tmp_path, table.assign(size=table["size"] + 0.5), model="models:/m/1")


@pytest.mark.parametrize(("signature", "what"), [(False, "the model has no signature"), (True, "names no columns")])
def test_a_model_that_does_not_say_what_it_takes_is_told(
    table: pd.DataFrame, tmp_path: Path, signature: bool, what: str
) -> None:
    values = table[["number"]].to_numpy()
    said = infer_signature(values, values[:, 0]) if signature else None
    model = LinearRegression().fit(values, values[:, 0])
    mlflow.sklearn.log_model(
        model, name="model", signature=said, registered_model_name="m", pip_requirements=["scikit-learn"]
    )
    with pytest.raises(ComponentError, match=what):
        Ran(tmp_path, table, model="models:/m/1")
    sample = Dataset(name="sample", uri=str(tmp_path / "in.parquet"))
    with pytest.raises(ComponentError, match=what):
        deploy.python_func(sample=sample, registered_model="m", version="1")
