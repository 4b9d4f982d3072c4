"""What components share of MLflow: where it is, what code this is, and the registry's champion."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous_champion"


def code_revision() -> str:
    """The git commit of the code: $TURNOUT_CODE_REVISION (set it in images), or the working directory's."""
    if told := os.environ.get("TURNOUT_CODE_REVISION"):
        return told
    from mlflow.utils.git_utils import get_git_commit

    return get_git_commit(str(Path.cwd())) or "unknown"


def version_by_alias(name: str, alias: str) -> Any | None:
    """The model version that has an alias, or None when the model or the alias does not exist."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def load_version(version: Any) -> Any:
    """The scikit-learn estimator of a model version. Raises ComponentError when it cannot be loaded."""
    import mlflow.sklearn

    where = f"models:/{version.name}/{version.version}"
    try:
        return mlflow.sklearn.load_model(where)
    except Exception as error:
        hint = "is the artifact store of the tracking server reachable? If the model is gone, move or delete the alias"
        raise ComponentError(f"the registered model cannot be loaded: {error}", where=where, hint=hint) from error
