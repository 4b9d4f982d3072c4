"""One row and many by a model and by its compiled form, side by side: the flights, by boosted trees.

    .venv/bin/python benchmarks/compiled_scorer.py [--rows N]

The model is what `train` makes with the parameters of the pipeline Training, of the flights with fifteen more columns
of numbers with gaps, as many as the features have. Ways to ask it:

    pyfunc      MLflow's `pyfunc.load_model(...).predict(frame)`
    pipeline    scikit-learn's pipeline, `predict_proba(frame)`
    Scorer      Turnout's way through the model itself
    compiled    arrays and an ONNX graph, as `turnout.models.compiled` makes and proves them

Frames and batches are made before the clock starts. All run in turn, several times, on one core; the medians count.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
warnings.simplefilter("ignore")


def table(rows: int) -> tuple[Any, Any]:
    """Flights with further numbers, and whether each was late."""
    import numpy as np
    import pandas as pd

    from turnout.models.inputs import plain_types

    flights = pd.read_parquet(Path(__file__).parents[1] / "data" / "flights" / "flights.parquet")
    flights = flights.sample(rows, random_state=0, replace=rows > len(flights), ignore_index=True)
    rng = np.random.default_rng(0)
    inputs = flights.drop(columns=["late", "flight_id", "event_timestamp"])
    for index in range(15):
        values = rng.normal(size=rows)
        inputs[f"feature_{index}"] = np.where(rng.random(rows) < 0.05, np.nan, values)
    return plain_types(inputs), flights["late"].astype(int)


def median_ms(call: Callable[[], Any], seconds: float) -> float:
    taken: list[float] = []
    call()
    ends = time.perf_counter() + seconds
    while len(taken) < 5 or time.perf_counter() < ends:
        started = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - started))
    return sorted(taken)[len(taken) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000, help="rows of the batch")
    rows = parser.parse_args().rows

    import mlflow
    import pyarrow as pa
    from mlflow.models import infer_signature

    from turnout.models.compiled import open_scorer
    from turnout.models.compiled.form import DIRECTORY
    from turnout.models.compiled.making import compile_model
    from turnout.models.estimators import make_estimator, make_model
    from turnout.models.files import preparation_inside
    from turnout.models.scorer import Scorer
    from turnout.pipelines.training import HYPERPARAMETERS

    inputs, labels = table(max(60_000, rows))
    estimator = make_estimator("lightgbm.LGBMClassifier", HYPERPARAMETERS, 0, "classification")
    fitted = make_model(inputs, estimator).fit(inputs, labels)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory, "model")
        signature = infer_signature(inputs, fitted.predict(inputs.head()))
        with preparation_inside():
            mlflow.sklearn.save_model(
                fitted,
                place,
                signature=signature,
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )
        started = time.perf_counter()
        proof = compile_model(place, inputs.head(5_000), "the benchmark", place / DIRECTORY)
        print(f"compiled and proved in {time.perf_counter() - started:.1f} s: {proof.sentence()}")
        original, compiled = Scorer(place), open_scorer(place)
        pyfunc = mlflow.pyfunc.load_model(str(place))
        one, many = inputs.head(1), inputs.head(rows)
        batches = [pa.RecordBatch.from_pandas(frame, preserve_index=False) for frame in (one, many)]
        values = [column[0].as_py() for column in batches[0].columns]
        pipeline = fitted.set_params(estimator__n_jobs=1)
        ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "pyfunc": (lambda: pyfunc.predict(one), lambda: pyfunc.predict(many)),
            "pipeline": (lambda: pipeline.predict_proba(one), lambda: pipeline.predict_proba(many)),
            "Scorer": (lambda: original(batches[0]), lambda: original(batches[1])),
            "compiled": (lambda: compiled.row(values), lambda: compiled(batches[1])),
        }
        taken: dict[str, list[list[float]]] = {name: [[], []] for name in ways}
        for _ in range(3):
            for name, calls in ways.items():
                for which, call in enumerate(calls):
                    taken[name][which].append(median_ms(call, 1.0))
    found = {name: [sorted(item)[1] for item in both] for name, both in taken.items()}
    print(f"{'':10}{'one row':>12}{'times':>8}{f'{rows:,} rows':>16}{'times':>8}")
    for name, (single, batch) in found.items():
        factors = [ours / theirs for ours, theirs in zip((single, batch), found["compiled"], strict=True)]
        print(f"{name:10}{single:9.3f} ms{factors[0]:8.1f}{batch:13.1f} ms{factors[1]:8.1f}")


if __name__ == "__main__":
    main()
