"""The compiled form of a model says what the model says, or is not used and says why."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pytest
from lightgbm import LGBMClassifier
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from turnout import ComponentError
from turnout.models.compiled import open_scorer
from turnout.models.compiled.form import DIRECTORY, FORM, GRAPH, NotCompiled
from turnout.models.compiled.making import compile_model
from turnout.models.compiled.opening import open_form
from turnout.models.compiled.proof import compare
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.compiled.trees import read_trees, tree_graph
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


OWN_INPUTS = ["number", "exact", "flag", "kind"]


def own_pipelines() -> dict[str, tuple[Any, list[str], str]]:
    """Pipelines that no `make_model` made, their columns, and which target they learn."""
    numbers = make_pipeline(SimpleImputer(strategy="mean"), MinMaxScaler(clip=True), RobustScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=None), OneHotEncoder(drop="first"))
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    mixed = ColumnTransformer([("n", numbers, ["number"]), ("k", ordinal, ["kind"])], remainder="passthrough")
    return {
        "scalers, an ordinal encoder and columns passed through": (
            make_pipeline(mixed, StandardScaler(), RandomForestClassifier(5, random_state=0)), OWN_INPUTS, "binary"),
        "an encoder that refuses what it does not know": (
            make_pipeline(ColumnTransformer([("k", texts, ["kind"]), ("e", "passthrough", ["exact"])]), Ridge()),
            ["exact", "kind"], "regression"),
        "steps that only ONNX has": (
            make_pipeline(StandardScaler(), PCA(2), LogisticRegression()), ["exact", "flag"], "multiclass"),
        "an estimator alone": (HistGradientBoostingRegressor(max_iter=8), ["number", "exact", "flag"], "regression"),
    }  # fmt: skip


def finite_table() -> pd.DataFrame:
    table = make_table()
    return table.assign(number=table["number"].replace(np.inf, np.nan))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", own_pipelines())
def test_a_pipeline_of_ones_own_is_compiled_with_what_it_refuses(tmp_path: Path, name: str) -> None:
    fitted, columns, task = own_pipelines()[name]
    table = finite_table()
    inputs = table[columns]
    if name.startswith("an encoder"):  # where each category has been seen
        inputs = inputs.assign(kind=inputs["kind"].fillna("red"))
    model, form = compiled(fitted.fit(inputs, targets(table)[task]), inputs, tmp_path)
    odd = inputs.head(8).astype(object)
    odd.loc[0, columns[0]] = None
    odd.loc[1, columns[-1]] = None
    for row in odd.itertuples(index=False):
        values = [None if value is None or value != value else value for value in row]
        try:
            expected = model.row(values)["prediction"]
        except Exception:  # scikit-learn's
            with pytest.raises(ComponentError, match=r"refuses|does not know"):
                form.row(values)
        else:
            assert form.row(values)["prediction"] == (
                expected if task == "binary" else pytest.approx(expected, rel=1e-6)
            )


class Doubling(RegressorMixin, BaseEstimator):
    """An estimator that no converter knows."""

    def fit(self, inputs: Any, labels: Any) -> Doubling:
        return self

    def predict(self, inputs: Any) -> Any:
        return 2.0 * np.asarray(inputs, dtype=float)[:, 0]


def upper(texts: Any) -> Any:
    return texts.apply(lambda column: column.str.upper())


NOT_COMPILED = {
    # treelite reads such trees, and not that zero is missing to them
    "would be": (LGBMClassifier(n_estimators=5, zero_as_missing=True, verbose=-1), ["number", "flag"]),
    "Doubling": (Doubling(), ["exact"]),
    "the function upper of your own": (
        make_pipeline(FunctionTransformer(upper), OneHotEncoder(), LogisticRegression()), ["rare"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("why", NOT_COMPILED)
def test_a_model_that_has_no_form_that_says_the_same_says_why(tmp_path: Path, why: str) -> None:
    fitted, columns = NOT_COMPILED[why]
    table = finite_table()
    inputs = table[columns].fillna(0)
    place = save(fitted.fit(inputs, targets(table)["binary"]), inputs, tmp_path / "model")
    with pytest.raises(NotCompiled, match=why):
        compile_model(place, inputs, "the test", place / DIRECTORY)
    assert isinstance(open_scorer(place), Scorer)


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A model with a compiled form."""
    inputs = make_table()[["exact", "flag"]].astype(float)
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, targets(make_table())["binary"])
    directory = tmp_path_factory.mktemp("linear")
    compiled(fitted, inputs, directory)
    return directory / "model", inputs


def test_neither_the_pickle_nor_scikit_learn_is_needed_to_answer(
    tmp_path: Path, linear: tuple[Path, pd.DataFrame]
) -> None:
    place = Path(shutil.copytree(linear[0], tmp_path / "model"))
    (place / "model.pkl").unlink()
    program = f"""
import sys
from turnout.models.compiled import open_scorer
print(open_scorer({str(place)!r}).row([1e9 + 49, 1.0])["prediction"])
print(sorted({{"sklearn", "mlflow", "lightgbm", "treelite", "skl2onnx", "onnx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["yes", "[]"]


def test_files_that_are_not_those_proved_are_not_used(
    tmp_path: Path, linear: tuple[Path, pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    place = Path(shutil.copytree(linear[0], tmp_path / "model"))
    graph = place / DIRECTORY / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1])
    scorer, answering = open_form(place)
    assert isinstance(scorer, Scorer)
    why = "its compiled form cannot be used: its files are not those that were proved"
    assert (answering.form, answering.why) == ("model", why)
    assert "its files are not those that were proved" in capsys.readouterr().out


@pytest.mark.parametrize("why", ["a label", "a probability", "what is refused"])
def test_a_form_that_says_something_else_is_told_by_the_row(
    tmp_path: Path, linear: tuple[Path, pd.DataFrame], why: str
) -> None:
    place, inputs = Path(shutil.copytree(linear[0] / DIRECTORY, tmp_path / "form")), linear[1]
    said = json.loads((place / FORM).read_text())
    message = "only the compiled form refuses: exact="
    if why == "a label":
        said["output"]["classes"].reverse()
        message = "whose label would be '(yes' instead of 'no|no' instead of 'yes)': exact="
    elif why == "a probability":
        divide = said["preparation"]["blocks"][0]["steps"][1]
        divide["values"][0] *= 1.0001
        message = "whose probability would be .* instead of .*: exact="
    else:
        said["refused"]["infinite"] = [0]
        inputs = inputs.assign(exact=inputs["exact"].where(inputs.index != 7, np.inf))
    (place / FORM).write_text(json.dumps(said))
    model = Scorer(linear[0])
    rows = pa.RecordBatch.from_pandas(inputs, preserve_index=False)
    if why == "what is refused":  # a model that takes what scikit-learn's refuses
        finite = pa.RecordBatch.from_pandas(inputs.replace(np.inf, 1e9), preserve_index=False)
        answers = model(finite)
        predict = lambda batch: {name: array.slice(0, batch.num_rows) for name, array in answers.items()}  # noqa: E731
    with pytest.raises(NotCompiled, match=message):
        compare(predict if why == "what is refused" else model, CompiledScorer(place), rows, "the test")


TREES = {
    "LightGBM": (LGBMClassifier(n_estimators=20, verbose=-1), False),
    "a histogram's gradient boosting": (HistGradientBoostingRegressor(max_iter=20), False),
    "a forest, which compares floats": (RandomForestClassifier(10, random_state=0), True),
}


@pytest.mark.parametrize("gaps", [False, True], ids=["learned without gaps", "learned with gaps"])
@pytest.mark.parametrize("kind", TREES)
def test_numbers_on_and_beside_a_threshold_and_missing_ones_go_where_the_trees_send_them(kind: str, gaps: bool) -> None:
    # sklearn-onnx issue 1253, onnxmltools issue 728 and pull request 488, scikit-learn-intelex pull request 3351
    estimator, floats = TREES[kind]
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(800, 4)) * [1, 1e9, 1e-9, 1] + [0, 1e12, 0, 0]
    labels = (inputs[:, 0] + (inputs[:, 1] > 1e12) > 0.5).astype(int)
    if gaps:
        inputs[rng.random(inputs.shape) < 0.1] = np.nan
    trees = read_trees(estimator.fit(inputs, labels))
    rows = [inputs[:50]]
    for index in range(trees.num_tree):
        tree = trees.get_tree_accessor(index)
        for feature, threshold in zip(tree.get_field("split_index"), tree.get_field("threshold"), strict=True):
            for value in (threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf), np.nan):
                if abs(value) > np.finfo(np.float32).max:  # a forest's split by whether a number is missing
                    continue
                row = inputs[[int(rng.integers(len(inputs)))]].copy()
                row[0, max(0, int(feature))] = value
                rows.append(row)
    odd = np.concatenate(rows)
    session = onnxruntime.InferenceSession(tree_graph(trees, floats=floats))
    (found,) = session.run(None, {"inputs": odd})
    expected = estimator.predict_proba(odd)[:, 1] if hasattr(estimator, "predict_proba") else estimator.predict(odd)
    assert len(odd) > 500
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-12)
