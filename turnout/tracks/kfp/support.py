"""What the KFP track does with each fact of a pipeline: the YAML says it, and KFP's server acts on it."""

from __future__ import annotations

from turnout.plan.support import EACH_TIME, IN_AN_IMAGE, KEPT, Support, lowered
from turnout.plan.support_table import FIELDS
from turnout.runtimes import process
from turnout.spec.airflow_facts import FACTS

_RECURRING = lowered("KFP keeps schedules on its server: create a recurring run")

SUPPORT: dict[str, Support] = {
    **dict.fromkeys(FIELDS, KEPT),
    **{name: KEPT for name in process.SUPPORT if name.startswith("kubernetes.")},
    "component.requirements": IN_AN_IMAGE,
    "component.packages_to_install": EACH_TIME,
    # A further key of the platform document, which KFP's server accepts.
    **{f"airflow.{name}": lowered("written for Airflow; KFP's server does not look at it") for name in FACTS},
    "airflow.schedule": _RECURRING,
    "airflow.timezone": _RECURRING,
    "airflow.start_date": _RECURRING,
    "airflow.end_date": _RECURRING,
    "airflow.catchup": _RECURRING,
    "airflow.max_active_runs": _RECURRING,
    "airflow.triggered_by": _RECURRING,
    "airflow.data_interval": lowered("its parameters are given by who starts the run, or by the recurring run"),
}
