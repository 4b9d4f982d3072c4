"""A network's compiled form, exact beside float16 beside int8: size, the metric's loss, one row and a batch.

    .venv/bin/python benchmarks/reduced_precision.py [--units N]

The network is scikit-learn's, of digits; a third of the rows judges it. Each form is timed in turn with the exact one,
on one core, as `register` does it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
warnings.simplefilter("ignore")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, default=256, help="of the first layer; the second has half as many")
    units = parser.parse_args().units

    import mlflow
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.datasets import load_digits

    from turnout.models.compiled.judged import Judged
    from turnout.models.compiled.making import compile_model
    from turnout.models.compiled.reduced import reduce_model
    from turnout.models.estimators import make_estimator, make_model
    from turnout.models.files import preparation_inside

    table = load_digits(as_frame=True).frame
    inputs, target = table.drop(columns="target"), table["target"]
    test = np.arange(len(table)) % 3 == 0
    hyperparameters = {"hidden_layer_sizes": [units, units // 2], "max_iter": 40}
    estimator = make_estimator("sklearn.neural_network.MLPClassifier", hyperparameters, 0, "classification")
    fitted = make_model(inputs[~test], estimator).fit(inputs[~test], target[~test])
    print(f"{'form':<8} {'bytes':>8} {'score':>7} {'loss':>8} {'interval':>20} {'row, ms':>12} {'batch, ms':>10}")
    with tempfile.TemporaryDirectory() as directory:
        place, exact = Path(directory, "model"), Path(directory, "exact")
        with preparation_inside():
            mlflow.sklearn.save_model(
                fitted, place, signature=infer_signature(inputs, fitted.predict(inputs.head())),
                serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
            )  # fmt: skip
        compile_model(place, inputs[test], "the evaluation", exact)
        for metric in ("accuracy", "neg_log_loss"):
            judged = Judged(inputs[test].reset_index(drop=True), target[test].reset_index(drop=True), metric)
            print(metric)
            for precision in ("float16", "int8"):
                made = reduce_model(place, exact, precision, judged, inputs[~test], Path(directory, precision))
                found = made.reduced
                assert found is not None
                cost, theirs = found.cost, found.exact_cost
                print(f"{'exact':<8} {theirs.bytes:>8,} {found.exact_score:>7.4f} {'':>29}"
                      f" {theirs.row_ms:>12.3f} {theirs.batch_ms:>10.2f}")  # fmt: skip
                print(
                    f"{precision:<8} {cost.bytes:>8,} {found.score:>7.4f} {found.loss:>+8.4f}"
                    f" {found.low:>+10.4f}{found.high:>+10.4f} {cost.row_ms:>12.3f} {cost.batch_ms:>10.2f}"
                )


if __name__ == "__main__":
    main()
