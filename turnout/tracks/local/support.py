"""What the local track does with each fact of a pipeline."""

from __future__ import annotations

from turnout.plan.support import KEPT, Support, lowered
from turnout.spec.airflow_facts import FACTS

_BY_HAND = lowered("a local run is started by hand")

SUPPORT: dict[str, Support] = {
    **{f"airflow.{name}": _BY_HAND for name in FACTS},
    "airflow.parameters": KEPT,
    "airflow.parameter_order": KEPT,
    "airflow.data_interval": lowered("the last whole interval before the run, when it is given none"),
}
"""Beside what the runtime does with a step's settings."""
