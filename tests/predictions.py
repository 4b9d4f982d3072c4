"""Models in a registry, and calls of `predict` with them; what the tests of predictions share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from kfp.dsl import Dataset, Metrics
from mlflow.models import infer_signature

from turnout.components.predict import predict
from turnout.inference import table as tables

ROWS = 3_000


def make_table(rows: int = ROWS, days: int = 3, seed: int = 0) -> pd.DataFrame:
    """Rows of some days of 2024: two numbers, a category, and a label that depends on them."""
    rng = np.random.default_rng(seed)
    number, kind = rng.normal(size=rows), rng.choice(["a", "b", "c"], rows)
    label = (number + (kind == "a") + rng.normal(size=rows) > 0).astype(int)
    when = pd.date_range("2024-01-01", periods=rows, freq=pd.Timedelta(days=days) / rows, tz="UTC")
    return pd.DataFrame(
        {"id": np.arange(rows), "when": when, "number": number, "size": rng.integers(0, 9, rows), "kind": kind}
    ).assign(label=label)


INPUTS = ["number", "size", "kind"]


def register(name: str, model: Any, inputs: pd.DataFrame, log: Any = mlflow.sklearn.log_model, **more: Any) -> str:
    """Put a model into the registry as the champion; its URI by version."""
    signature = infer_signature(inputs.head(), model.predict(inputs.head()))
    logged = log(
        model, name="model", signature=signature, registered_model_name=name, pip_requirements=["scikit-learn"], **more
    )
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", logged.registered_model_version)
    return f"models:/{name}/{logged.registered_model_version}"


def register_own(name: str, model: mlflow.pyfunc.PythonModel, inputs: pd.DataFrame, outputs: Any) -> None:
    """Put a model of no library's into the registry, by what it takes and gives."""
    mlflow.pyfunc.log_model(
        name="model",
        python_model=model,
        signature=infer_signature(inputs, outputs),
        registered_model_name=name,
        pip_requirements=["pandas"],
    )


def slow_model(table: pd.DataFrame) -> None:
    """A model that takes a second for a piece."""

    class Slow(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            import time

            if len(model_input) > 1:
                time.sleep(1)
            return model_input["number"] * 2

    register_own("slow", Slow(), table[["number"]], table["number"])


class Ran:
    """What a call of the component gave."""

    def __init__(self, directory: Path, rows: pd.DataFrame | Path, metadata: dict[str, Any] = {}, **parameters: Any):
        if isinstance(rows, pd.DataFrame):
            rows.to_parquet(directory / "in.parquet", index=False, row_group_size=500)
        source = rows if isinstance(rows, Path) else directory / "in.parquet"
        self.artifact = Dataset(name="predictions", uri=str(directory / "unused"))
        self.metrics = Metrics(name="metrics", uri=str(directory / "metrics"))
        given: dict[str, Any] = {
            "model": "models:/m@champion",
            "since": "2024-01-01",
            "until": "2024-01-04",
            "timestamp": "when",
            "keys": ["id"],
            "table": str(directory / "out"),
        }
        self.result = predict.python_func(
            data=Dataset(name="data", uri=str(source), metadata=metadata),
            predictions=self.artifact,
            metrics=self.metrics,
            **given | parameters,
        )


def rows_of(place: Path) -> pd.DataFrame:
    return tables.read(str(place)).to_pandas().sort_values("id", ignore_index=True)
