"""The KFP track: the compiled YAML itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from turnout.errors import Fault, TrackError
from turnout.plan.model import Plan
from turnout.plan.support import Support, refusals
from turnout.spec.document import write
from turnout.tracks.kfp.support import SUPPORT
from turnout.tracks.registry import Track


def _support(runtime: str | None) -> Mapping[str, Support]:
    return SUPPORT


def _faults(plan: Plan, runtime: str | None) -> list[Fault]:
    found = refusals(plan.document, SUPPORT)
    return found if plan.name else [*found, Fault("a pipeline without a name")]


def _compile(plan: Plan) -> dict[Path, str]:
    if found := _faults(plan, None):
        raise TrackError(found)
    return {Path(f"{plan.stem}.yaml"): write(plan.document)}


TRACK = Track("kfp", _support, _faults, compile=_compile)
