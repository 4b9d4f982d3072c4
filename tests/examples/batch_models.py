"""Models for batch inference on Airflow, put into the registry: `python batch_models.py WHICH`."""

import sys

import mlflow
import pandas as pd
from mlflow.models import infer_signature

from turnout.models.estimators import make_estimator, make_model
from turnout.models.inputs import plain_types

INPUTS = ["carrier", "origin", "dest", "distance", "scheduled_minute", "scheduled_arrival", "weekday"]


def flights(seed: str) -> None:
    """A champion for the flights."""
    table = pd.read_parquet("data/flights/flights.parquet").head(5_000)
    inputs = plain_types(table[INPUTS])
    estimator = make_estimator("lightgbm.LGBMClassifier", {"n_estimators": 5}, int(seed), "classification")
    model = make_model(inputs, estimator).fit(inputs, table["late"])
    register("flight-delay", model, inputs, mlflow.sklearn.log_model, serialization_format="cloudpickle")


def slow() -> None:
    """A model that takes a second for a piece."""

    class Slow(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            import time

            if len(model_input) > 1:
                time.sleep(1)
            return model_input["number"] * 2

    mlflow.pyfunc.log_model(
        name="model",
        python_model=Slow(),
        signature=infer_signature(pd.DataFrame({"number": [0.5]}), pd.Series([1.0])),
        registered_model_name="slow",
        pip_requirements=["pandas"],
    )


def register(name, model, inputs, log, **more):
    signature = infer_signature(inputs.head(), model.predict(inputs.head()))
    logged = log(
        model, name="model", signature=signature, registered_model_name=name, pip_requirements=["lightgbm"], **more
    )
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", logged.registered_model_version)


if __name__ == "__main__":
    {"flights": flights, "slow": slow}[sys.argv[1]](*sys.argv[2:])
