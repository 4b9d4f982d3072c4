"""What a training leaves with its run in MLflow, so that it can be repeated: how its rows were made and its parameters,
the installed packages, changes of the code that are in no commit, and a digest of what the model predicts."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

DIRECTORY = "reproduction"
RECIPE, PACKAGES, CHANGES = "recipe.json", "packages.txt", "changes.diff"
"""Artifacts of the run, in its directory `reproduction`."""

ENVIRONMENT, PREDICTIONS, UNTRACKED = "turnout.environment", "turnout.predictions", "turnout.code_untracked"
"""Tags of the run."""

_LONGEST_DIFF = 10_000_000


def packages() -> list[str]:
    """The installed distributions as `name==version`, sorted, after a comment with Python's version and the machine."""
    names = {f"{item.name}=={item.version}" for item in importlib.metadata.distributions() if item.name}
    machine = f"# python {platform.python_version()} {platform.system().lower()} {platform.machine()}"
    return [machine, *sorted(names, key=str.lower)]


def environment_digest(installed: list[str]) -> str:
    """`sha256:` and hexadecimal digits, of the packages, of Python's version, and of the kind of machine."""
    return "sha256:" + hashlib.sha256("\n".join(installed).encode()).hexdigest()


def predictions_digest(values: Any) -> str:
    """The digest of predictions to the last bit: `sha256:` and hexadecimal digits."""
    array = np.ascontiguousarray(values)
    return "sha256:" + hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()


def keep_recipe(run_id: str, recipe: Mapping[str, Any], predicted: Any) -> None:
    """Leave with a run what a repetition needs, and can be held against.

    Args:
        recipe: of the training, as `made_by` says it.
        predicted: the model's predictions for its training rows.
    """
    import mlflow
    from mlflow.entities import RunTag

    client, installed = mlflow.MlflowClient(), packages()
    diff, untracked = _changes(Path.cwd())
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / RECIPE).write_text(json.dumps(recipe, indent=1))
        (place / PACKAGES).write_text("\n".join(installed) + "\n")
        if diff:
            (place / CHANGES).write_bytes(diff)
        client.log_artifacts(run_id, directory, DIRECTORY)
    tags = {
        ENVIRONMENT: environment_digest(installed),
        PREDICTIONS: predictions_digest(predicted),
        UNTRACKED: " ".join(untracked)[:5000],
    }
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items() if value])


def _changes(directory: Path) -> tuple[bytes, list[str]]:
    """Changes of the code that are in no commit: of files that git knows, and the Python files that it does not.

    Nothing where the code's revision is given ($TURNOUT_CODE_REVISION), as in images, or there is no repository.
    """
    if os.environ.get("TURNOUT_CODE_REVISION"):
        return b"", []
    diff = _git(directory, "diff", "--binary", "HEAD")
    others = _git(directory, "ls-files", "--others", "--exclude-standard", "--full-name", ":/*.py")
    names = others.decode(errors="replace").split("\n")
    return diff if len(diff) <= _LONGEST_DIFF else b"", [name for name in names if name]


def _git(directory: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, check=False)
    except OSError:  # no git here
        return b""
    return done.stdout if done.returncode == 0 else b""
