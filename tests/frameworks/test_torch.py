"""PyTorch, behind the same components as any estimator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import digits
import mlflow
import numpy as np
import pyarrow as pa
import pytest
from framework import Framework, skip_unless_alone
from mlflow.models import infer_signature

from turnout.models.compiled import open_scorer
from turnout.models.compiled.form import DIRECTORY, GRAPH
from turnout.models.compiled.judged import Judged
from turnout.models.compiled.making import compile_model
from turnout.models.compiled.reduced import reduce_model, require_network
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.estimators import make_model
from turnout.models.files import preparation_inside
from turnout.models.scorer import Scorer

skip_unless_alone("torch")


class TestTorch(Framework):
    name, flavour = "Torch", "torch"

    def call(self, network: Any, rows: np.ndarray) -> np.ndarray:
        import torch

        return np.asarray(network(torch.from_numpy(rows.astype(np.float32))).detach().numpy())

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
    def test_its_compiled_form_says_the_same_without_torch(self, kind: str, tmp_path: Path) -> None:
        table = digits.digits().drop(columns="row") if kind == "Classifier" else digits.diabetes()
        inputs, target = table.drop(columns="target").astype(float), table["target"]
        fitted = make_model(inputs, self.made(kind)).fit(inputs, target)
        place = tmp_path / "model"
        with preparation_inside():
            mlflow.sklearn.save_model(
                fitted, place, signature=infer_signature(inputs, fitted.predict(inputs.head())),
                serialization_format="cloudpickle", pip_requirements=["torch"],
            )  # fmt: skip
        proof = compile_model(place, inputs, "the test", place / DIRECTORY)
        assert proof.largest_difference < 1e-3  # odd rows of 1e9 among them
        assert "torch" in proof.libraries
        batch = pa.RecordBatch.from_pandas(inputs, preserve_index=False)
        ours, theirs = open_scorer(place)(batch), Scorer(place)(batch)
        assert ours.keys() == theirs.keys()
        if kind == "Classifier":
            assert ours["prediction"].equals(theirs["prediction"])
        else:
            np.testing.assert_allclose(ours["prediction"], theirs["prediction"], rtol=1e-4)

        row = inputs.iloc[0].tolist()
        program = (
            "import sys, json; sys.modules['torch'] = None; from turnout.models.compiled import open_scorer;"
            f"print(json.dumps(open_scorer({str(place)!r}).row({row!r})['prediction']))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
        assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(ours["prediction"][0].as_py()), done.stderr

        require_network(place, "int8")
        metric = "accuracy" if kind == "Classifier" else "r2"
        for precision, most in (("float16", 0.7), ("int8", 0.6)):
            judged = Judged(inputs, target, metric)
            smaller = reduce_model(place, place / DIRECTORY, precision, judged, inputs, tmp_path / precision).reduced
            assert smaller is not None
            assert smaller.exact_score > (0.9 if kind == "Classifier" else 0.4)
            assert smaller.low <= smaller.loss <= smaller.high < 0.05
            if kind == "Classifier":  # the other one is of a few thousand bytes, and most are names
                assert (tmp_path / precision / GRAPH).stat().st_size < most * smaller.exact_cost.bytes
            assert isinstance(CompiledScorer(tmp_path / precision), CompiledScorer)
