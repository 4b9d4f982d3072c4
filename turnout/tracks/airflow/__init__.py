"""The Airflow track: a DAG file that an Airflow engineer can read, beside the pipeline's YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.errors import Fault, TrackError
from turnout.plan.checks import artifact_lists
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, Watch
from turnout.plan.support import Support, refusals
from turnout.runtimes.registry import RUNTIMES, any_runtime, unknown_runtime
from turnout.spec.document import digest, write
from turnout.tracks.airflow.support import SUPPORT
from turnout.tracks.registry import Server, Track

# A task of Airflow is a process of its own, in which nothing could stay warm for the next one.
_RUNTIMES = {name: table for name, table in RUNTIMES.items() if name != "warm"}


def _support(runtime: str | None) -> Mapping[str, Support]:
    """A compiled file does not know its runtime: the deployment chooses it."""
    return {**(_RUNTIMES.get(runtime or "") or any_runtime(_RUNTIMES)), **SUPPORT}


def runtime_faults(plan: Plan, runtime: str | None) -> list[Fault]:
    """What keeps a plan's steps from running with a runtime; a step asks this each time that it runs."""
    if runtime and runtime not in _RUNTIMES:
        return [unknown_runtime(runtime, "[turnout] runtime", _RUNTIMES)]
    return [*refusals(plan.document, _support(runtime)), *artifact_lists(plan)]


def faults(plan: Plan, runtime: str | None = None) -> list[Fault]:
    """What keeps a plan from being a DAG, or from running with a runtime."""
    from turnout.tracks.airflow.dag_file import dag_faults

    if runtime and runtime not in _RUNTIMES:
        return runtime_faults(plan, runtime)
    return [*runtime_faults(plan, runtime), *dag_faults(plan)]


def faults_in_group(plan: Plan, runtime: str | None = None) -> list[Fault]:
    """What keeps a plan from being a task group in a DAG that is written by hand."""
    from turnout.tracks.airflow.dag_file import group_faults

    return [*runtime_faults(plan, runtime), *group_faults(plan)]


def compile_plan(plan: Plan) -> dict[Path, str]:
    """The DAG file, and the YAML that its operators open at run time.

    Raises:
        TrackError: the pipeline asks for what this track cannot do.
    """
    from turnout.tracks.airflow.dag_file import DagFile

    if found := faults(plan):
        raise TrackError(found)
    spec = write(plan.document)
    text = DagFile(plan, f"{plan.stem}.yaml", digest(spec)).text()
    return {Path(f"{plan.stem}.py"): text, Path(f"{plan.stem}.yaml"): spec}


def _submit(plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch) -> RunResult:
    from turnout.tracks.airflow.submit import submit

    return submit(plan, parameters, server, run_id, watch)


TRACK = Track("airflow", _support, faults, compile=compile_plan, submit=_submit)
