"""The KFP track: the compiled YAML itself."""

from __future__ import annotations

from pathlib import Path

from turnout.errors import Fault, TrackError
from turnout.spec.document import Document, write
from turnout.tracks.support import KEPT, STRUCTURE, Support, lowered, refusals

SUPPORT: dict[str, Support] = {
    **STRUCTURE,
    "kubernetes.*": KEPT,
    "airflow.*": KEPT,  # a further key of the platform document, which KFP's server accepts
    "airflow.schedule": lowered("KFP keeps schedules on its server: create a recurring run"),
    "airflow.start_date": lowered("KFP keeps schedules on its server: create a recurring run"),
    "airflow.catchup": lowered("KFP keeps schedules on its server: create a recurring run"),
    "airflow.max_active_runs": lowered("KFP keeps schedules on its server: create a recurring run"),
}


def emit(document: Document, stem: str) -> dict[Path, str]:
    """The files of a pipeline on KFP: its YAML. Raises TrackError."""
    if faults := refusals(document, SUPPORT):
        raise TrackError(faults)
    if not document.name:
        raise TrackError([Fault("a pipeline without a name", stem)])
    return {Path(f"{stem}.yaml"): write(document)}
