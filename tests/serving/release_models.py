"""Versions of a model for tests of releases, and golden rows: `python release_models.py MODEL DIRECTORY` makes them.

Versions 1, the champion, and 2 are right; 3 is right and slow; 4 is quick, and says late far too often; 5 says the
opposite, and each about as often.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):
    """Right, and slow, also for a machine on which much else is going on."""

    def predict_proba(self, X: Any) -> Any:
        time.sleep(0.3)
        return super().predict_proba(X)


def register(model: str, directory: Path) -> None:
    """Register the versions in the MLflow that is set, and write `golden.parquet` into a directory."""
    import mlflow

    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(300, 2)), columns=["size", "weight"])
    rows.to_parquet(directory / "golden.parquet")
    late = np.where(rows.sum(axis=1) > 0.3, "late", "in time")
    too_often = np.where(rows.sum(axis=1) > -2, "late", "in time")
    opposite = np.where(late == "late", "in time", "late")
    kinds = (
        (LogisticRegression, late), (LogisticRegression, late), (Slow, late), (LogisticRegression, too_often),
        (LogisticRegression, opposite),
    )  # fmt: skip
    with _by_value():
        for kind, labels in kinds:
            made = kind().fit(rows, labels)
            mlflow.sklearn.log_model(
                made, name="model", signature=mlflow.models.infer_signature(rows, made.predict(rows)),
                input_example=rows.head(2), registered_model_name=model, serialization_format="cloudpickle",
                pip_requirements=[],
            )  # fmt: skip
    mlflow.MlflowClient().set_registered_model_alias(model, "champion", "1")


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """Models hold this file's classes: other processes could not import them."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


if __name__ == "__main__":
    register(sys.argv[1], Path(sys.argv[2]))
