"""What the local track does with each fact of a pipeline."""

from __future__ import annotations

from turnout.plan.support import Support, lowered

SUPPORT: dict[str, Support] = {
    "airflow.*": lowered("a local run is started by hand; parameters are checked as the facts say"),
    "airflow.data_interval": lowered("the last whole interval before the run, when it is given none"),
}
"""Beside what the runtime does with a step's settings."""
