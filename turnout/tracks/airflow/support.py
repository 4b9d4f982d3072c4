"""What the Airflow track does with each fact of a pipeline."""

from __future__ import annotations

from turnout.plan.support import KEPT, Support
from turnout.spec.airflow_facts import FACTS

SUPPORT: dict[str, Support] = {f"airflow.{name}": KEPT for name in FACTS}
"""Beside what the runtime does with a step's settings."""
