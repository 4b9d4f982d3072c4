"""Write a machine-learning pipeline once, on the Kubeflow Pipelines SDK; run it on three tracks.

You write pipelines with `component`, `pipeline` and KFP's artifact types. `run` and `compile` take a
pipeline. All names are loaded on first use: `import turnout` alone imports no other library.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from turnout.errors import ComponentError, TurnoutError

if TYPE_CHECKING:
    from kfp.dsl import (
        HTML,
        Artifact,
        ClassificationMetrics,
        Dataset,
        Input,
        Markdown,
        Metrics,
        Model,
        Output,
        PipelineTaskFinalStatus,
    )

    from turnout.authoring.airflow import on_airflow
    from turnout.authoring.component import component
    from turnout.authoring.pipeline import pipeline
    from turnout.reports.live import report
    from turnout.spec.airflow_facts import Asset, Deadline, Notifier, StepFacts, Timetable
    from turnout.spec.form import Examples, Labels, NotWith, Title
    from turnout.verbs import compile, run

__version__ = "0.1.0"

_HOMES = {
    "component": "turnout.authoring.component",
    "on_airflow": "turnout.authoring.airflow",
    "pipeline": "turnout.authoring.pipeline",
    "report": "turnout.reports.live",
    **dict.fromkeys(("compile", "run"), "turnout.verbs"),
    **dict.fromkeys(("Asset", "Deadline", "Notifier", "StepFacts", "Timetable"), "turnout.spec.airflow_facts"),
    **dict.fromkeys(("Examples", "Labels", "NotWith", "Title"), "turnout.spec.form"),
    **dict.fromkeys(
        (
            "HTML",
            "Artifact",
            "ClassificationMetrics",
            "Dataset",
            "Input",
            "Markdown",
            "Metrics",
            "Model",
            "Output",
            "PipelineTaskFinalStatus",
        ),
        "kfp.dsl",
    ),
}

__all__ = [
    "HTML",
    "Artifact",
    "Asset",
    "ClassificationMetrics",
    "ComponentError",
    "Dataset",
    "Deadline",
    "Examples",
    "Input",
    "Labels",
    "Markdown",
    "Metrics",
    "Model",
    "NotWith",
    "Notifier",
    "Output",
    "PipelineTaskFinalStatus",
    "StepFacts",
    "Timetable",
    "Title",
    "TurnoutError",
    "compile",
    "component",
    "on_airflow",
    "pipeline",
    "report",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'turnout' has no attribute {name!r}")
    home = _HOMES[name]
    if name == "pipeline" and os.environ.get("_KFP_RUNTIME") == "true":
        home = "turnout.authoring.running"
    try:
        value = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        from turnout.extras import hint_for

        if not (hint := hint_for(error)):
            raise
        raise ModuleNotFoundError(f"{error.msg}: {hint}", name=error.name) from error
    globals()[name] = value
    return value
