"""The registry of models in MLflow: which version a name means, and new versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnout.errors import ComponentError, did_you_mean
from turnout.trackers.mlflow import require_answer

CHAMPION = "champion"
PREVIOUS = "previous_champion"

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for a model, version or alias that does not exist; the second for one that cannot."""

_HINT = "write models:/NAME@ALIAS or models:/NAME/VERSION"


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


def alias_uri(name: str, alias: str = CHAMPION) -> str:
    """The URI of the version of a registered model that has an alias."""
    return f"models:/{name}@{alias}"


def look_up(model: str) -> ModelVersion:
    """The version that a model's URI means now.

    Args:
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ComponentError: there is no such model, version or alias, or the registry cannot be asked.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        return _version(model)
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise _unreachable(error) from error
        known = [item.name for item in mlflow.MlflowClient().search_registered_models(max_results=20)]
        close = did_you_mean(_parts(model)[0], [name for name in known if name != _parts(model)[0]])
        hint = f"{close or 'train one first (of the example: the pipeline Training)'}; {_HINT}"
        raise ComponentError(f"no such model: {error.message}", where=model, available=known, hint=hint) from error


def find(model: str) -> ModelVersion | None:
    """The version that a model's URI means now, or None when the model, the version or the alias does not exist.

    Raises:
        ComponentError: it is no such URI, or the registry cannot be asked.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _version(model)
    except MlflowException as error:
        if error.error_code in _MISSING:
            return None
        raise _unreachable(error) from error


def register_version(
    name: str, model_uri: str, run_id: str, alias: str, tags: Mapping[str, Any]
) -> tuple[ModelVersion, bool]:
    """Make the model of a run a version with an alias; the version, and whether it was one before.

    Args:
        name: of the registered model; made when it does not exist.
        model_uri: where MLflow has the model's files.
        tags: of a new version; empty ones are left out.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    require_answer()
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = client.search_model_versions(f"name='{name}' and run_id='{run_id}'")
    given = {key: value for key, value in tags.items() if value}
    version = known[0] if known else mlflow.register_model(model_uri, name, tags=given)
    client.set_registered_model_alias(name, alias, version.version)
    return ModelVersion(name, str(version.version), run_id), bool(known)


def _version(model: str) -> ModelVersion:
    """The version that a URI means, as MLflow says."""
    import mlflow

    require_answer()
    client = mlflow.MlflowClient()
    name, alias, version = _parts(model)
    found = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, version)
    return ModelVersion(found.name, str(found.version), found.run_id or "")


def _parts(model: str) -> tuple[str, str, str]:
    """Name, alias and version in a URI; one of the last two is empty. Raises ComponentError when it is no such URI."""
    path = model.removeprefix("models:/")
    name, _, alias = path.partition("@")
    version = ""
    if not alias:
        name, _, version = path.rpartition("/")
    if not (model.startswith("models:/") and name and (alias or version)):
        raise ComponentError("not the URI of a registered model", where=model, hint=_HINT)
    return name, alias, version


def _unreachable(error: Exception) -> ComponentError:
    import mlflow

    hint = "is the tracking server up, and MLFLOW_TRACKING_URI its address?"
    return ComponentError(f"the model registry cannot be asked: {error}", where=mlflow.get_tracking_uri(), hint=hint)
