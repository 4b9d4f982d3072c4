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
from turnout.tracks.kfp.support import SUPPORT, VERTEX, VERTEX_SUPPORT
from turnout.tracks.registry import Server, Track


def _support(runtime: str | None) -> Mapping[str, Support]:
    """The one runtime that makes a difference is Vertex AI; what a cluster runs steps with is its own affair."""
    return VERTEX_SUPPORT if runtime == VERTEX else SUPPORT


def _faults(plan: Plan, runtime: str | None) -> list[Fault]:
    found = refusals(plan.document, _support(runtime))
    return found if plan.name else [*found, Fault("a pipeline without a name")]


def _compile(plan: Plan, runtime: str | None = None) -> dict[Path, str]:
    if found := _faults(plan, runtime):
        raise TrackError(found)
    return {Path(f"{plan.stem}.yaml"): write(plan.document)}


def _submit(plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch) -> RunResult:
    from turnout.tracks.kfp.submit import submit
    from turnout.tracks.kfp.vertex import is_vertex, submit_to_vertex

    on_vertex = is_vertex(server.host)
    _compile(plan, VERTEX if on_vertex else None)  # what cannot run there is told before anything is sent
    return (submit_to_vertex if on_vertex else submit)(plan, parameters, server, run_id, watch)


def _schedule(plan: Plan, parameters: Mapping[str, Any], server: Server) -> str:
    from turnout.tracks.kfp.submit import schedule
    from turnout.tracks.kfp.vertex import is_vertex

    if is_vertex(server.host):
        hint = "make it there, of a job that `turnout submit` has started"
        raise TrackError([Fault("no schedule is made on Vertex AI", "--schedule", hint=hint)])
    _compile(plan)
    return schedule(plan, parameters, server)


TRACK = Track("kfp", _support, _faults, compile=_compile, submit=_submit, schedule=_schedule)
