"""The state of MLflow that components look at beside their inputs, told cheaply, so that caches can ask."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any


def tracking() -> Any:
    """Which MLflow is written to."""
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def champion(registered_model: str) -> Any:
    """Which version of a registered model is the champion, in which MLflow.

    Asking MLflow takes seconds, most of them to import it. For a database in a file the last answer is
    kept as long as the file does not change.
    """
    uri = tracking() or "sqlite:///mlflow.db"
    files = _database_files(uri)
    signs = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.exists()]
    key = hashlib.sha256(json.dumps([uri, registered_model]).encode()).hexdigest()[:16]
    memory = cache_directory() / f"champion-{key}.json"
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(memory.read_text())
        if signs and known["signs"] == signs:
            return known["champion"]
    from turnout.models import promotion

    version = promotion.champion(registered_model)
    found = [uri, version.version if version else None]
    if signs:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps({"signs": signs, "champion": found}))
    return found


def cache_directory() -> Path:
    """Where answers are kept: `turnout/outside` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "turnout" / "outside"


def _database_files(uri: str) -> list[Path]:
    """The files of an SQLite database, with its journals; none for any other."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix):
        return []
    path = uri.removeprefix(prefix).partition("?")[0]
    return [Path(f"{path}{suffix}").absolute() for suffix in ("", "-wal", "-journal")]
