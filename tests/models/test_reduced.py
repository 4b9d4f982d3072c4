"""Forms of networks in lower precision: used when the metric's loss is within its limit, else the exact form is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import copy_mlflow
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Metrics, Model
from sklearn.datasets import load_digits

from turnout import ComponentError
from turnout.components.evaluate import evaluate
from turnout.components.predict import predict
from turnout.components.register import register
from turnout.components.train import train
from turnout.inference import table as tables
from turnout.models.compiled import open_scorer
from turnout.models.compiled.answering import Answering
from turnout.models.compiled.form import DIRECTORY, GRAPH, Cost, Reduced, read_proof
from turnout.models.compiled.judged import keep_rows
from turnout.models.compiled.keeping import fetch, keep_compiled
from turnout.models.compiled.opening import open_form
from turnout.models.compiled.reduced import within
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.registry import ModelVersion
from turnout.models.scoring import Predictions, difference
from turnout.serving.model import ServedModel

DIGITS: dict[str, Any] = {"estimator": "sklearn.neural_network.MLPClassifier",
                          "hyperparameters": {"hidden_layer_sizes": [64], "max_iter": 25}}  # fmt: skip


def digits() -> pd.DataFrame:
    return load_digits(as_frame=True).frame


def numbers() -> pd.DataFrame:
    """A number to predict from numbers, a category and times, some of them missing."""
    rng = np.random.default_rng(0)
    rows = 600
    number, kind = rng.normal(size=rows), rng.choice(["red", "green"], rows)
    when = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")
    target = 100 + 20 * number + 5 * (kind == "red") + when.hour
    gaps = np.where(rng.random(rows) < 0.05, np.nan, number)
    return pd.DataFrame({"number": gaps, "kind": kind, "when": when, "target": target.astype(float)})


Make = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Make]:
    """Makes artifacts of kfp's types; what MLflow keeps is shared by the tests of this file."""
    place = tmp_path_factory.mktemp("reduced")
    copy_mlflow(empty_mlflow, place / "mlflow.db", place)

    def make(kind: type, name: str, table: pd.DataFrame | None = None) -> Any:
        made = kind(name=name, uri=str(place / name), metadata={})
        if table is not None:
            table.to_parquet(made.path, index=False)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
        patch.chdir(place)
        mlflow.set_tracking_uri(f"sqlite:///{place}/mlflow.db")
        mlflow.set_experiment("Default")
        yield make


def trained(store: Make, name: str, table: pd.DataFrame, **settings: Any) -> tuple[Any, Any]:
    """A model, and the rows that it has not seen."""
    held_out = np.arange(len(table)) % 3 == 0
    data, test = store(Dataset, f"{name}-train", table[~held_out]), store(Dataset, f"{name}-test", table[held_out])
    model = store(Model, name)
    metrics = store(Metrics, f"{name}-fit")
    train.python_func(data=data, model=model, metrics=metrics, target="target", seed=1, **settings)
    return model, test


@pytest.fixture(scope="module")
def network(store: Make) -> tuple[Any, Any]:
    """A network that was evaluated, and the rows that judged it."""
    model, test = trained(store, "digits", digits(), task="classification", **DIGITS)
    kinds = {"metrics": Metrics, "classification": ClassificationMetrics, "report": HTML}
    outputs = {name: store(kind, name) for name, kind in kinds.items()}
    evaluate.python_func(model=model, data=test, registered_model="m", metric="accuracy", **outputs)
    return model, test


def registered(model: Any, tmp_path: Path, **settings: Any) -> tuple[str, Path, dict[str, str]]:
    """What `register` says, the files that a server gets, and the version's tags."""
    done = register.python_func(model=model, registered_model="m", **settings)
    place = fetch(ModelVersion("m", done.version, ""), str(tmp_path))
    return done.form, place, mlflow.MlflowClient().get_model_version("m", done.version).tags


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_lower_precision_is_proved_kept_and_used(
    network: tuple[Any, Any], store: Make, tmp_path: Path
) -> None:
    model, test = network
    said, place, tags = registered(model, tmp_path)
    assert tags["turnout.precision"] == "exact"
    exact = CompiledScorer(place / DIRECTORY)
    table = pd.read_parquet(test.path)
    batch = pa.RecordBatch.from_pandas(table.drop(columns="target"), preserve_index=False)
    sizes = {"exact": (place / DIRECTORY / GRAPH).stat().st_size}
    for precision, apart in (("float16", 0.01), ("int8", 0.5)):
        said, place, tags = registered(model, tmp_path, precision=precision, maximum_loss=0.05)
        assert tags["turnout.precision"] == precision
        assert tags["turnout.compiled_reason"] in said
        proof = read_proof(place / DIRECTORY)
        assert proof.reduced is not None
        assert proof.rows == len(table)
        scorer, answering = open_form(place)
        assert isinstance(scorer, CompiledScorer)
        assert answering == Answering(f"compiled {precision}", tags["turnout.compiled_reason"])
        ours, theirs = scorer(batch)["probabilities"].items, exact(batch)["probabilities"].items
        largest = np.abs(ours.to_numpy() - theirs.to_numpy()).max()
        assert 0 < largest < apart
        assert proof.largest_difference == pytest.approx(largest, rel=0.01)  # of the same rows in another order

        # The loss and its interval are those of the statistic that judges models, made here from what the forms say.
        found, expected = (Predictions(side.to_numpy().reshape(-1, 10), exact.classes) for side in (ours, theirs))
        again = difference("accuracy", table["target"].loc[:], expected, found)
        assert proof.reduced.loss == pytest.approx(again.value)
        assert proof.reduced.low <= proof.reduced.loss <= proof.reduced.high <= 0.05
        sizes[precision] = (place / DIRECTORY / GRAPH).stat().st_size
        assert proof.reduced.cost.bytes == sizes[precision]
        assert proof.reduced.exact_cost.bytes == sizes["exact"]
        assert f"{sizes[precision]:,} bytes instead of {sizes['exact']:,}; one row " in said
        assert ServedModel("1", str(place)).row(table.iloc[0, :-1].tolist()).keys() == {"prediction", "probabilities"}
    assert sizes["int8"] < sizes["float16"] / 1.7 < sizes["exact"] / 3
    assert not [place for place in sys.path if "onnxruntime" in place]  # where other people's modules would be found

    table["row"] = range(len(table))
    predict.python_func(
        data=store(Dataset, "rows", table), model="models:/m@challenger", table=str(tmp_path / "out"),
        timestamp="", keys=["row"], predictions=store(Dataset, "out"), metrics=store(Metrics, "predicting"),
    )  # fmt: skip
    kept = tables.read(str(tmp_path / "out")).to_pandas().sort_values("row")
    chances = np.array([[dict(row)[str(digit)] for digit in range(10)] for row in kept["probabilities"]])
    np.testing.assert_allclose(chances.ravel(), ours.to_numpy(), atol=1e-6)

    said, place, tags = registered(model, tmp_path)  # the way back
    assert tags["turnout.precision"] == "exact"
    assert (place / DIRECTORY / GRAPH).stat().st_size == sizes["exact"]


@pytest.mark.filterwarnings("ignore")
def test_what_loses_too_much_is_not_used_and_the_version_says_why(network: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = network
    done = register.python_func(model=model, registered_model="m")
    version = ModelVersion("m", done.version, mlflow.MlflowClient().get_model_version("m", done.version).run_id)
    said = keep_compiled(version, model.path, "int8", -1.0)  # it would have to be better by all there is
    place, tags = fetch(version, str(tmp_path)), mlflow.MlflowClient().get_model_version("m", done.version).tags
    assert (tags["turnout.compiled"], tags["turnout.precision"]) == ("yes", "exact")
    assert read_proof(place / DIRECTORY).reduced is None
    assert "int8 is not used: accuracy has a loss of" in said
    assert "the interval has to end at -1 or below" in said


@pytest.mark.parametrize("high", [0.02, float("nan"), float("inf")])
def test_an_interval_that_ends_beyond_the_limit_refuses_however_small_the_loss(high: float) -> None:
    cost = Cost(10, 1.0, 1.0)
    reduced = Reduced("int8", "accuracy", 0.9, 0.9, 0.0, -0.01, high, 0, "", 10, cost, cost)
    assert "a loss of +0.0000 (95 % interval -0.0100 to" in within(reduced, 0.01)
    assert bool(within(reduced, 0.03)) == (high != 0.02)


@pytest.mark.filterwarnings("ignore")
def test_numbers_times_and_gaps_go_through_the_same_preparation(store: Make, tmp_path: Path) -> None:
    model, test = trained(
        store, "numbers", numbers(), task="regression",
        estimator="sklearn.neural_network.MLPRegressor",
        hyperparameters={"hidden_layer_sizes": [16], "max_iter": 300, "learning_rate_init": 0.02},
        derive=["hour"],
    )  # fmt: skip
    rows = pd.read_parquet(test.path)
    keep_rows(model.metadata["mlflow_run_id"], rows.drop(columns="target"), rows["target"], "neg_mean_absolute_error")
    said, place, tags = registered(model, tmp_path, precision="int8", maximum_loss=20.0)
    assert tags["turnout.precision"] == "int8", said
    proof = read_proof(place / DIRECTORY)
    assert proof.reduced is not None
    assert proof.reduced.metric == "neg_mean_absolute_error"
    assert proof.reduced.calibrated_on == "the evaluation"  # no times are kept of the training's rows
    assert proof.rows == 100
    assert proof.odd_rows > 100
    scorer = open_scorer(place)
    batch = pa.RecordBatch.from_pandas(rows.drop(columns="target"), preserve_index=False)
    together = scorer(batch)["prediction"]
    values = zip(*(column.cast(batch[column.name]).to_pylist() for column in scorer.columns), strict=True)
    alone = [scorer.row(row)["prediction"] for row in values]
    np.testing.assert_allclose(alone, together, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_an_int8_prediction_does_not_depend_on_the_rows_beside_it(network: tuple[Any, Any], tmp_path: Path) -> None:
    """With ranges of each batch, as `quantize_dynamic` has them, an extreme row spoils those beside it."""
    _, place, _ = registered(network[0], tmp_path, precision="int8", maximum_loss=0.5)
    scorer = open_scorer(place)
    table = pd.read_parquet(network[1].path).drop(columns="target").astype(float).head(20)
    extreme = pd.concat([table, table.head(1) * 0 + 1e6])
    ours, beside = (
        scorer(pa.RecordBatch.from_pandas(rows, preserve_index=False))["probabilities"].items.to_numpy()
        for rows in (table, extreme)
    )
    np.testing.assert_array_equal(ours, beside[: len(ours)])


def test_what_is_no_network_is_refused_before_anything_is_registered(store: Make) -> None:
    linear = {"estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {}}
    model, _ = trained(store, "linear", digits().head(300), task="classification", **linear)
    with pytest.raises(ComponentError, match="int8 is for networks, and the model is a LogisticRegression") as caught:
        register.python_func(model=model, registered_model="never", precision="int8")
    assert "leave precision at exact" in str(caught.value)
    assert "never" not in [found.name for found in mlflow.search_registered_models()]


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_was_not_evaluated_keeps_its_exact_form(store: Make, tmp_path: Path) -> None:
    model, _ = trained(store, "unjudged", digits().head(300), task="classification", **DIGITS)
    said, place, tags = registered(model, tmp_path, precision="float16")
    assert (tags["turnout.compiled"], tags["turnout.precision"]) == ("yes", "exact")
    assert "float16 is not used: no labels were kept to judge it by" in said
    assert isinstance(open_scorer(place), CompiledScorer)


@pytest.mark.filterwarnings("ignore")
def test_to_serve_it_neither_scikit_learn_nor_a_quantizer_is_loaded(network: tuple[Any, Any], tmp_path: Path) -> None:
    _, place, _ = registered(network[0], tmp_path, precision="int8", maximum_loss=0.5)
    program = (
        "import sys, json; from turnout.models.compiled import open_scorer;"
        f"scorer = open_scorer({str(place)!r}); scorer.row([0.0] * 64);"
        "print(json.dumps([name for name in ('sklearn', 'onnx', 'mlflow', 'onnxruntime.quantization')"
        " if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1]) == [], done.stderr
