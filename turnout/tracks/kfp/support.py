"""What the KFP track does with each fact of a pipeline."""

from __future__ import annotations

from turnout.plan.support import KEPT, STRUCTURE, Support, lowered

_RECURRING = lowered("KFP keeps schedules on its server: create a recurring run")

SUPPORT: dict[str, Support] = {
    **STRUCTURE,
    "kubernetes.*": KEPT,
    "airflow.*": KEPT,  # a further key of the platform document, which KFP's server accepts
    **dict.fromkeys(
        ("airflow.schedule", "airflow.timezone", "airflow.start_date", "airflow.end_date", "airflow.catchup"),
        _RECURRING,
    ),
    **dict.fromkeys(("airflow.max_active_runs", "airflow.triggered_by"), _RECURRING),
    "airflow.data_interval": lowered("its parameters are given by who starts the run, or by the recurring run"),
}
