"""The local track: steps run on this machine, without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.errors import Fault
from turnout.execution.store import ArtifactStore
from turnout.plan.checks import artifact_lists
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, Watch
from turnout.plan.support import Support, refusals
from turnout.runtimes.registry import RUNTIMES, any_runtime, unknown_runtime
from turnout.tracks.local.support import SUPPORT
from turnout.tracks.registry import Options, Track

DEFAULT_RUNTIME = "warm"
"""What steps run with when nothing else is said."""


def _support(runtime: str | None) -> Mapping[str, Support]:
    return {**(RUNTIMES.get(runtime or DEFAULT_RUNTIME) or any_runtime()), **SUPPORT}


def _faults(plan: Plan, runtime: str | None) -> list[Fault]:
    if runtime and runtime not in RUNTIMES:
        return [unknown_runtime(runtime, "--runtime")]
    return [*refusals(plan.document, _support(runtime)), *artifact_lists(plan)]


def _run(
    plan: Plan, parameters: Mapping[str, Any], store: ArtifactStore, run_id: str, options: Options, watch: Watch
) -> RunResult:
    from turnout.tracks.local.runner import run

    return run(plan, parameters, store, run_id, options, watch)


TRACK = Track("local", _support, _faults, run=_run)
