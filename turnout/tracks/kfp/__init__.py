"""The KFP track: the compiled YAML itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.errors import Fault, TrackError
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, Watch
from turnout.plan.support import Support, refusals
from turnout.spec.document import write
from turnout.tracks.kfp.support import SUPPORT
from turnout.tracks.registry import Server, Track


def _support(runtime: str | None) -> Mapping[str, Support]:
    return SUPPORT


def _faults(plan: Plan, runtime: str | None) -> list[Fault]:
    found = refusals(plan.document, SUPPORT)
    return found if plan.name else [*found, Fault("a pipeline without a name")]


def _compile(plan: Plan) -> dict[Path, str]:
    if found := _faults(plan, None):
        raise TrackError(found)
    return {Path(f"{plan.stem}.yaml"): write(plan.document)}


def _submit(plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch) -> RunResult:
    from turnout.tracks.kfp.submit import submit

    _compile(plan)  # what cannot run there is told before anything is sent
    return submit(plan, parameters, server, run_id, watch)


def _schedule(plan: Plan, parameters: Mapping[str, Any], server: Server) -> str:
    from turnout.tracks.kfp.submit import schedule

    _compile(plan)
    return schedule(plan, parameters, server)


TRACK = Track("kfp", _support, _faults, compile=_compile, submit=_submit, schedule=_schedule)
