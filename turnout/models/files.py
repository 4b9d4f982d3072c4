"""A model's files in MLflow's format: copied, brought to this machine, and loaded."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError
from turnout.models import frameworks, preparation
from turnout.models.frameworks.network import Network
from turnout.models.registry import ModelVersion
from turnout.models.signature import Column, signature_of
from turnout.trackers.mlflow import require_answer

_NATIVE = ("sklearn", "lightgbm")
"""Flavours that are loaded by their own library, since that is faster than MLflow's common interface, `pyfunc`."""


def requirements(model: Any) -> list[str]:
    """The packages that a scikit-learn estimator needs to be loaded, at the versions here.

    An estimator of no package, such as one of the user's own code, adds none.
    """
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    homes = last.needs if isinstance(last, Network) else (type(last).__module__.partition(".")[0],)
    known = {} if homes == ("sklearn",) else importlib.metadata.packages_distributions()
    own = [name for home in homes for name in known.get(home, ())]
    packages = {"scikit-learn", "pandas", "numpy", "cloudpickle", *own}
    return [f"{name}=={importlib.metadata.version(name)}" for name in sorted(packages)]


@contextlib.contextmanager
def preparation_inside() -> Iterator[None]:
    """Models that are pickled meanwhile hold Turnout's functions for columns, and its classes around networks.

    So they are loaded without Turnout.
    """
    import cloudpickle

    for module in (preparation, frameworks):
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in (preparation, frameworks):
            cloudpickle.unregister_pickle_by_value(module)


def save_copy(model_uri: str, path: str) -> None:
    """Copy a logged model's files to a directory."""
    import mlflow

    fetched = mlflow.artifacts.download_artifacts(model_uri)
    shutil.copytree(fetched, Path(path), dirs_exist_ok=True)


def download(version: ModelVersion, directory: str) -> Path:
    """A model version's files on this machine, in a new directory under `directory`.

    Raises:
        ComponentError: they cannot be had.
    """
    import mlflow.artifacts

    require_answer()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    target = tempfile.mkdtemp(prefix="turnout-model-", dir=directory)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=version.uri, dst_path=target))
    except Exception as error:  # every artifact store has its own
        hint = (
            "is the version registered, and the artifact store of the tracking server reachable? "
            "If the model is gone, move or delete the alias"
        )
        what = f"the registered model cannot be loaded: {error}"
        raise ComponentError(what, where=version.uri, hint=hint) from error


def load(directory: str | Path, version: ModelVersion | None = None) -> tuple[str, Any]:
    """A model from its files: the flavour that it was loaded by (`sklearn`, `lightgbm` or `pyfunc`), and the model.

    Args:
        version: the registered version whose files they are, for errors.

    Raises:
        ComponentError: it cannot be loaded.
    """
    from mlflow.models import Model

    try:
        flavors = Model.load(str(directory)).flavors
        flavor = next((name for name in _NATIVE if name in flavors), "pyfunc")
        return flavor, importlib.import_module(f"mlflow.{flavor}").load_model(str(directory))
    except Exception as error:  # a model's code may raise anything
        hint = "are its files there, and the packages of its requirements.txt installed at these versions?"
        what = f"the {'registered ' if version else ''}model cannot be loaded: {error}"
        raise ComponentError(what, where=version.uri if version else str(directory), hint=hint) from error


def load_estimator(version: ModelVersion) -> tuple[Any, tuple[Column, ...]]:
    """The scikit-learn estimator of a model version, and the columns that it takes.

    Raises:
        ComponentError: it cannot be had, or is something else.
    """
    with tempfile.TemporaryDirectory() as directory:
        place = download(version, directory)
        flavor, model = load(place, version)
        columns = signature_of(place)
    if flavor != "sklearn":
        hint = "train a model with the catalogue's train, or log one with turnout.models.log"
        raise ComponentError("the registered model is no scikit-learn estimator", where=version.uri,
                             available=[flavor], hint=hint)  # fmt: skip
    return model, columns
