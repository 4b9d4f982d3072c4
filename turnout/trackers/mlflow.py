"""What code this is, as runs in MLflow should say."""

from __future__ import annotations

import os
from pathlib import Path


def code_revision() -> str:
    """The git commit of the code: $TURNOUT_CODE_REVISION (set it in images), or the working directory's."""
    if revision := os.environ.get("TURNOUT_CODE_REVISION"):
        return revision
    from mlflow.utils.git_utils import get_git_commit

    return get_git_commit(str(Path.cwd())) or "unknown"
