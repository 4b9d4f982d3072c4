"""Names within the limits of Airflow and Kubernetes: a long one keeps its start, and gets a digest of it all."""

from __future__ import annotations

import hashlib

TASK_ID, GROUP_ID = 230, 188
"""Characters of a path, and of a group's own name. Airflow takes 250 and 200, some of its tasks have an ending, and its
logs lie in directories that are called `task_id=` and the path."""

_DIGEST = 8


def shortened(name: str, most: int) -> str:
    """The name, with at most so many characters; unlike that of any other name."""
    if len(name) <= most:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    start = name[: max(0, most - _DIGEST - 1)].rstrip("-_.")
    return f"{start}-{digest}" if start else digest
