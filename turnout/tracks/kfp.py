"""The KFP track: the compiled YAML itself."""

from __future__ import annotations

from pathlib import Path

from turnout.errors import Fault, TrackError
from turnout.spec.document import Document, write
from turnout.tracks.support import KFP, refusals


def emit(document: Document, stem: str) -> dict[Path, str]:
    """The files of a pipeline on KFP: its YAML. Raises TrackError."""
    if faults := refusals(document, KFP):
        raise TrackError(faults)
    if not document.name:
        raise TrackError([Fault("a pipeline without a name", stem)])
    return {Path(f"{stem}.yaml"): write(document)}
