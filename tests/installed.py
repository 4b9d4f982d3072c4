"""What people install: the wheel, in an environment that knows nothing of this project."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from paths import PROJECT

UV = PROJECT / ".venv" / "bin" / "uv"
OUTSIDE = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("AIRFLOW", "MLFLOW", "PYTHON", "TURNOUT", "VIRTUAL_ENV"))
}
"""The variables of somebody who is not in this project."""


def uv(*arguments: str | Path, directory: Path | None = None) -> None:
    done = subprocess.run([UV, *arguments], cwd=directory, capture_output=True, text=True, env=OUTSIDE)
    assert done.returncode == 0, done.stderr


def build(out: Path) -> Path:
    """The wheel as an index has it: built from the source distribution."""
    uv("build", "--out-dir", out, PROJECT)
    return next(out.glob("*.whl"))


def environment(place: Path, *packages: str | Path) -> Path:
    """A new environment with some packages; the directory of its commands."""
    uv("venv", "--quiet", "--python", PROJECT / ".venv" / "bin" / "python", place)
    uv("pip", "install", "--quiet", "--python", place / "bin" / "python", *packages)
    return place / "bin"
