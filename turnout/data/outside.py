"""The state of the data that components look at beside their inputs, told cheaply, so that caches can ask."""

from __future__ import annotations

import os
import subprocess
from typing import Any


def data_revision(source: str, revision: str) -> Any:
    """The commit that a revision of the DVC repository means today, or a sign of what a URI holds."""
    if not revision:
        return _sign(source) if "://" in source else None
    repository = source.rpartition("#")[0] or "."
    command = ["git", "-C", repository, "rev-parse", f"{revision}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # A repository elsewhere is asked each time.
    return done.stdout.strip() if done.returncode == 0 else os.urandom(8).hex()


def feature_sources(sources: str, revision: str) -> Any:
    """As `data_revision`, of the features' source tables."""
    return data_revision(sources, revision)


def _sign(uri: str) -> Any:
    from upath import UPath

    remote = UPath(uri)
    return str(remote.fs.checksum(remote.path))
