"""A model's files in MLflow's format."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any


def requirements(model: Any) -> list[str]:
    """The packages that a scikit-learn pipeline needs to be loaded, at the versions here."""
    home = type(model.steps[-1][1]).__module__.partition(".")[0]
    packages = {"scikit-learn", "pandas", "numpy", "cloudpickle", {"sklearn": "scikit-learn"}.get(home, home)}
    return [f"{name}=={importlib.metadata.version(name)}" for name in sorted(packages)]


def save_copy(model_uri: str, path: str) -> None:
    """Copy a logged model's files to a directory."""
    import mlflow

    fetched = mlflow.artifacts.download_artifacts(model_uri)
    shutil.copytree(fetched, Path(path), dirs_exist_ok=True)
