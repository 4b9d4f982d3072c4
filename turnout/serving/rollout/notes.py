"""What a step of a release found, noted on the version in the registry for the step that ends the release.

An exit handler is told by KFP that its steps failed only if a step directly among them did: of those under a condition
it hears RUNNING, also when all went well, and never why (kubeflow/pipelines issue 11979; `driver/resolve.go` up to
2.17). The registry and the target are all that the pods of a run share.
"""

from __future__ import annotations

import os
from typing import Literal

from turnout.models import promotion
from turnout.models.registry import ModelVersion

Noted = Literal["held", "taken_out"]


def note(model: str, version: str, what: Noted, why: str) -> None:
    """Note on a version what this run of a pipeline decided; outside of a run nothing."""
    if run := os.environ.get("TURNOUT_RUN_ID"):
        promotion.note(ModelVersion(model, version, ""), what, run, why)


def noted(model: str, version: str, what: Noted) -> str | None:
    """Why this run decided so; None when it did not."""
    import mlflow

    run = os.environ.get("TURNOUT_RUN_ID")
    tags = mlflow.MlflowClient().get_model_version(model, version).tags
    return tags.get(f"turnout.{what}_because", "") if run and tags.get(f"turnout.{what}_by") == run else None
