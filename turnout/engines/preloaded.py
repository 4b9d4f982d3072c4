"""What every worker needs, imported once before the workers are forked."""

import importlib
import importlib.util

for name in ("turnout.inference.job", "mlflow.sklearn", "sklearn.compose", "sklearn.linear_model", "lightgbm"):
    if importlib.util.find_spec(name.partition(".")[0]):
        importlib.import_module(name)
