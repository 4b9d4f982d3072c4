"""What the Airflow track does with each fact of a pipeline."""

from __future__ import annotations

import dataclasses

from turnout.plan.support import KEPT, Support
from turnout.spec.airflow_facts import AirflowFacts, StepFacts

SUPPORT: dict[str, Support] = {
    **{f"airflow.{item.name}": KEPT for kind in (AirflowFacts, StepFacts) for item in dataclasses.fields(kind)},
    "airflow.parameters": KEPT,
    "airflow.parameter_order": KEPT,
}
"""Beside what the runtime does with a step's settings."""
