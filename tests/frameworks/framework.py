"""What holds of the networks of every framework. Keras has one backend a process: each framework has a file of tests.

`make test-frameworks` runs them in an environment of their own, one process each.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import digits
import mlflow
import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model
from paths import PROJECT

from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.monitor import monitor
from turnout.components.predict import predict
from turnout.components.register import register
from turnout.components.train import train
from turnout.inference import table as tables
from turnout.models.estimators import make_estimator, make_model

QUICK = {"epochs": 15, "learning_rate": 0.005, "batch_size": 32}

WITHOUT_TURNOUT = """
import sys
sys.modules["turnout"] = None  # cannot be imported
sys.path.insert(0, {here!r})
import json, mlflow, pandas as pd
model = mlflow.pyfunc.load_model({model!r})
print(json.dumps(model.predict(pd.read_parquet({rows!r})).tolist()))
"""

ON_ANOTHER_BACKEND = """
import json, pickle, sys
from pathlib import Path
model, rows = pickle.loads(Path(sys.argv[1]).read_bytes())
import keras
print(json.dumps([keras.backend.backend(), model.predict_proba(rows).tolist()]))
"""


def skip_unless_alone(module: str) -> None:
    """Skip a file where its framework is not installed, or Keras runs on another backend already."""
    extra = "tensorflow-cpu" if module == "tensorflow" else module
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"no {module}: pip install 'turnout[{extra}]'", allow_module_level=True)
    if module != "torch" and "keras" in sys.modules and sys.modules["keras"].backend.backend() != module:
        pytest.skip("Keras runs on another backend: make test-frameworks", allow_module_level=True)


class Framework:
    """Attributes: `name` of the classes, `flavour` of MLflow and of the networks, `call`: a network's outputs."""

    name: str
    flavour: str

    def call(self, network: Any, rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    @property
    def network(self) -> str:
        return f"digits.{self.flavour}_network"

    def made(self, kind: str = "Classifier", **hyperparameters: Any) -> Any:
        task: Any = "regression" if kind == "Regressor" else "classification"
        given = {"network": self.network, **QUICK, **hyperparameters}
        return make_estimator(f"turnout.models.frameworks.{self.name}{kind}", given, 3, task)

    @pytest.mark.slow
    def test_digits_from_training_to_monitoring(self, artifact, tracking: str, tmp_path: Path, monkeypatch) -> None:
        """The same score within noise as a linear model's; the same predictions on both engines as in this process."""
        monkeypatch.setenv("PYTHONPATH", str(Path(digits.__file__).parent))  # for Spark's workers
        table = digits.digits()
        test = table["row"] % 4 == 0
        data, held_out = artifact(Dataset, "train", table[~test]), artifact(Dataset, "test", table[test])
        scores = {}
        for estimator, hyperparameters in {
            "sklearn.linear_model.LogisticRegression": {},
            f"turnout.models.frameworks.{self.name}Classifier": {"network": self.network, "units": 48, **QUICK},
        }.items():
            model = artifact(Model, estimator)
            train.python_func(data=data, model=model, metrics=artifact(Metrics, "fit"), target="target", seed=3,
                              ignore=["row"], estimator=estimator, hyperparameters=hyperparameters)  # fmt: skip
            kinds = {"metrics": Metrics, "classification": ClassificationMetrics, "report": HTML}
            outputs = {name: artifact(kind, name) for name, kind in kinds.items()}
            scores[estimator] = evaluate.python_func(
                model=model, data=held_out, registered_model="m", metric="accuracy", **outputs
            ).score
        linear, network = scores.values()
        assert linear > 0.93
        assert network > linear - 0.02

        uri, run = model.metadata["mlflow_model_uri"], model.metadata["mlflow_run_id"]
        losses = mlflow.MlflowClient().get_metric_history(run, "held_out_loss")
        assert [item.step for item in losses] == list(range(1, len(losses) + 1))
        assert losses[-1].value < losses[0].value / 2
        assert mlflow.get_run(run).data.params["units"] == "48"
        fitted = mlflow.sklearn.load_model(uri)
        inputs = table[test].drop(columns=["row", "target"]).astype(float)
        chances = fitted.predict_proba(inputs)
        (own,) = (item for item in mlflow.search_logged_models(output_format="list") if item.name == "network")
        alone = getattr(mlflow, {"keras": "keras", "torch": "pytorch"}[self.flavour]).load_model(own.model_uri)
        np.testing.assert_allclose(self.call(alone, fitted[:-1].transform(inputs)), self.call(
            fitted[-1].network_, fitted[:-1].transform(inputs)), rtol=1e-5)  # fmt: skip

        version = register.python_func(model=model, registered_model="m").version
        deploy.python_func(sample=held_out, registered_model="m", version=version)
        for engine in ("arrow", "spark"):
            predict.python_func(
                data=held_out, model="models:/m@champion", table=str(tmp_path / engine), timestamp="", keys=["row"],
                engine=engine, master="local[1]" if engine == "spark" else "",
                predictions=artifact(Dataset, f"out-{engine}"), metrics=artifact(Metrics, "predicting"),
            )  # fmt: skip
            found = tables.read(str(tmp_path / engine)).to_pandas().sort_values("row")
            assert found["prediction"].tolist() == fitted.predict(inputs).tolist()
            given = pd.DataFrame([dict(row) for row in found["probabilities"]])
            assert list(given) == [str(digit) for digit in range(10)]
            np.testing.assert_allclose(given, chances, atol=1e-6)
        watched = monitor.python_func(
            data=held_out, model="models:/m@champion", metric="accuracy", target="target",
            report=artifact(HTML, "page"), findings=artifact(Artifact, "findings"), metrics=artifact(Metrics, "seen"),
        )  # fmt: skip
        assert watched.alert is False, watched.reasons

        inputs.to_parquet(tmp_path / "inputs.parquet")
        here = str(Path(digits.__file__).parent)
        program = WITHOUT_TURNOUT.format(here=here, model=uri, rows=str(tmp_path / "inputs.parquet"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "MLFLOW_TRACKING_URI": tracking})  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == fitted.predict(inputs).tolist()

    def test_two_classes_and_numbers_are_learned_behind_the_preprocessing(self, table: pd.DataFrame) -> None:
        inputs, labels = table[["number", "kind"]], np.where(table["target"] == 1, "yes", "no")
        model = make_model(inputs, self.made()).fit(inputs, labels)
        assert list(model.classes_) == ["no", "yes"]
        assert list(model.feature_names_in_) == ["number", "kind"]
        chances = model.predict_proba(inputs)
        np.testing.assert_allclose(chances.sum(axis=1), 1)
        assert (model.classes_[(chances[:, 1] > 0.5).astype(int)] == model.predict(inputs)).all()
        assert np.mean(model.predict(inputs) == labels) > 0.72

        numbers = digits.diabetes()
        inputs, target = numbers.drop(columns="target"), numbers["target"]
        linear = make_model(inputs, make_estimator("sklearn.linear_model.Ridge", {}, 0, "regression"))
        network = make_model(inputs, self.made("Regressor"))
        scores = [one.fit(inputs[:350], target[:350]).score(inputs[350:], target[350:]) for one in (linear, network)]
        assert scores[0] > 0.4
        assert scores[1] > scores[0] - 0.12

    def test_the_same_seed_gives_the_same_network(self, table: pd.DataFrame) -> None:
        inputs, labels = table[["number", "kind"]], table["target"]
        one, again, other = (
            make_model(inputs, self.made(random_state=seed, epochs=3)).fit(inputs, labels).predict_proba(inputs)
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(one, again)
        assert np.abs(one - other).max() > 0.001

    def test_training_ends_when_the_held_out_rows_say_so_and_keeps_the_best(self) -> None:
        rng = np.random.default_rng(0)
        rows, noise = rng.normal(size=(300, 5)), rng.integers(0, 2, 300)
        made = self.made(epochs=60, patience=4, held_out=0.3).fit(rows, noise)
        losses = [item["held_out_loss"] for item in made.history_]
        assert len(losses) < 60
        assert np.argmin(losses) == len(losses) - 5
        _, judged = made._parts(noise)
        chances = made.predict_proba(rows[judged])[np.arange(len(judged)), noise[judged]]
        assert -np.log(chances).mean() == pytest.approx(min(losses), rel=1e-4)
        every = self.made(epochs=2, patience=0).fit(rows, noise)
        assert [list(item) for item in every.history_] == [["loss"]] * 2

    def test_pickle_holds_the_frameworks_own_format(self) -> None:
        rows, labels = np.eye(8), np.arange(8) % 2
        made = self.made(epochs=1, patience=0, precision="mixed_bfloat16").fit(rows, labels)
        kept = made.__getstate__()["network_"]
        assert kept.startswith(b"PK")  # a zip archive, as both formats are
        again = pickle.loads(pickle.dumps(made))
        np.testing.assert_array_equal(again.predict_proba(rows), made.predict_proba(rows))

    @pytest.mark.parametrize(
        ("hyperparameters", "says"),
        [
            ({"network": ""}, "no function that makes a network"),
            ({"network": "digits.no_such"}, "no function that makes a network"),
            ({"epoch": 3}, "unexpected keyword argument 'epoch'"),
            ({"device": "gpu:7"}, "finds no device 'gpu:7'"),
            ({"precision": "float8"}, "precision cannot be 'float8'"),
            ({"patience": -1}, "patience cannot be -1"),
        ],
    )
    def test_what_cannot_be_is_told_before_any_row_is_read(self, hyperparameters: dict, says: str) -> None:
        with pytest.raises(ComponentError, match=says):
            self.made(**hyperparameters)

    @pytest.mark.parametrize(
        ("network", "says"),
        [
            ("with_softmax", "gives probabilities"),
            ("too_narrow", r"shape \(32, 1\)"),
            ("broken", "Told: no such layer"),
        ],
    )
    def test_a_network_that_does_not_fit_is_told(self, network: str, says: str) -> None:
        made = self.made(network=f"digits.{self.flavour}_{network}")
        with pytest.raises(ComponentError, match=says):
            made.fit(np.eye(64), np.arange(64) % 3)

    def test_a_loss_that_is_not_finite_ends_the_training(self) -> None:
        rows = np.random.default_rng(0).normal(size=(100, 4))
        with pytest.raises(ComponentError, match="the loss is"):
            self.made("Regressor", learning_rate=1e30, epochs=50).fit(rows * 1e6, rows[:, 0])


class Keras(Framework):
    flavour = "keras"

    def call(self, network: Any, rows: np.ndarray) -> np.ndarray:
        return np.asarray(network(rows.astype(np.float32)))

    def test_the_example_of_the_guide(self, tmp_path: Path, monkeypatch, capsys) -> None:
        guide = (PROJECT / "docs" / "guides" / "training.md").read_text(encoding="utf-8")
        section = guide.partition("## Networks")[2].partition("\n## ")[0]
        (tmp_path / "networks.py").write_text(section.partition("```python\n")[2].partition("```")[0])
        monkeypatch.syspath_prepend(tmp_path)
        given = json.loads(section.partition("-p hyperparameters='")[2].partition("'")[0])
        inputs, labels = digits.digits().drop(columns=["row", "target"])[:500], digits.digits()["target"][:500]
        model = make_model(inputs, self.made(**given)).fit(inputs, labels)
        assert model[-1].network_.layers[0].units == given["units"] == 128
        assert model.score(inputs, labels) > 0.9
        said = capsys.readouterr().out
        assert f"{self.name.lower()} on cpu: it finds no accelerator" in said
        assert "epoch 1: loss " in said

    def test_another_backend_reads_it(self, tmp_path: Path) -> None:
        other = "tensorflow" if self.name == "Jax" else "jax"
        pytest.importorskip(other)
        rows = np.random.default_rng(0).normal(size=(100, 4))
        made = self.made(epochs=2).fit(rows, rows[:, 0] > 0)
        (tmp_path / "model.pkl").write_bytes(pickle.dumps((made, rows)))
        done = subprocess.run(
            [sys.executable, "-c", ON_ANOTHER_BACKEND, str(tmp_path / "model.pkl")], capture_output=True, text=True,
            env={**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(PROJECT)}, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        backend, chances = json.loads(done.stdout.splitlines()[-1])
        assert backend == other
        np.testing.assert_allclose(chances, made.predict_proba(rows), atol=1e-6)

    def test_keras_has_one_backend_a_process(self) -> None:
        other = "TensorFlow" if self.name == "Jax" else "Jax"
        pytest.importorskip(other.lower())
        with pytest.raises(ComponentError, match=f"Keras runs on {self.name.lower()} in this process"):
            make_estimator(f"turnout.models.frameworks.{other}Classifier", {"network": self.network}, 0,
                           "classification")  # fmt: skip
