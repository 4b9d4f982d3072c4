"""Versions of registered models in MLflow: which one a name means, its files, and the champion."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous_champion"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model; what it is never changes.

    Attributes:
        run_id: the MLflow run that logged it.
    """

    name: str
    version: str
    run_id: str

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"


def pin(model: str) -> ModelVersion:
    """The version that a model's URI means now.

    Args:
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ComponentError: there is no such model, version or alias.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    name, at, alias = model.removeprefix("models:/").partition("@")
    hint = "write models:/NAME@ALIAS or models:/NAME/VERSION"
    try:
        if at:
            found = client.get_model_version_by_alias(name, alias)
        else:
            name, slash, version = name.rpartition("/")
            if not slash or not model.startswith("models:/"):
                raise ComponentError("not the URI of a registered model", where=model, hint=hint)
            found = client.get_model_version(name, version)
    except MlflowException as error:
        known = [item.name for item in client.search_registered_models(max_results=20)]
        raise ComponentError(f"no such model: {error.message}", where=model, available=known, hint=hint) from error
    return ModelVersion(found.name, str(found.version), found.run_id or "")


def download(model: ModelVersion, directory: str) -> Path:
    """The model's files on this machine, in a new directory under `directory`.

    Raises:
        ComponentError: they cannot be had.
    """
    import mlflow.artifacts

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    target = tempfile.mkdtemp(prefix="turnout-model-", dir=directory)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=model.uri, dst_path=target))
    except Exception as error:  # every artifact store has its own
        hint = "is the artifact store of the tracking server reachable?"
        raise ComponentError(f"the model cannot be fetched: {error}", where=model.uri, hint=hint) from error


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
