"""The record of a run of Airflow: what was asked for, as its first step writes it, and how it ended.

It is the record that a local run has, so that both are listed, compared and shown alike. The end is Airflow's to tell:
a listener, which the scheduler calls, or the API server when a person sets the state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from turnout.airflow.run_view import View
    from turnout.execution.store import ArtifactStore
    from turnout.spec.step_contract import Run, State

TRACK = "airflow"


def begin(view: View, spec: Path, digest: str, by_hand: bool = False) -> None:
    """Write the record of a run that has none, or that goes on after it had ended. No step fails where that fails.

    Args:
        spec: the pipeline's YAML.
        digest: of it.
        by_hand: whether the DAG is one that was written by hand, and the pipeline a part of it.
    """
    from turnout.execution.launcher import now
    from turnout.execution.runs import new_record
    from turnout.spec.step_contract import State

    with contextlib.suppress(Exception):  # every protocol has its own
        place = view.store.run_path(view.run)
        known = view.store.read_record(place / "run.json")
        if known and known.get("state") == State.RUNNING:
            return
        if not known:
            started = getattr(view.context["dag_run"], "start_date", None)
            plan, parameters = view.plan, view.values.parameters
            if by_hand:  # the run is the DAG's, of which pipelines and steps are parts
                plan, parameters = dataclasses.replace(plan, name=view.dag_id, parameters={}), {}
            known = new_record(plan, view.run, parameters, digest, TRACK)
            known["create_time"] = started.isoformat() if started else now()  # a backfill's own time is long ago
            place.mkdir(parents=True, exist_ok=True)
            if not by_hand:
                (place / "pipeline.yaml").write_bytes(spec.read_bytes())
        known.pop("end_time", None)
        view.store.write_record(place / "run.json", {**known, "state": State.RUNNING.value})


def end(store: ArtifactStore, run: Run, state: State, ended: str) -> None:
    """Write how a run ended into its record; nothing when it has none: then it is not Turnout's."""
    place = store.run_path(run) / "run.json"
    known = store.read_record(place)
    if known and known.get("track") == TRACK:
        store.write_record(place, {**known, "state": state.value, "end_time": ended})


def _write_end(dag_run: Any, state: str) -> None:
    from turnout.airflow.run_view import setting
    from turnout.execution.launcher import now
    from turnout.execution.store import ArtifactStore
    from turnout.spec.step_contract import Run, State

    root = setting("root", required=False)
    if not root:
        return
    ended = dag_run.end_date.isoformat() if dag_run.end_date else now()
    facts = (Run(str(dag_run.dag_id), str(dag_run.run_id), ""), State(state), ended)
    store = ArtifactStore(root)

    def write() -> None:
        with contextlib.suppress(Exception):  # a list lacks the end of a run; no run fails by it
            end(store, *facts)

    if store.is_local:
        write()
    else:  # the scheduler does not wait for an object store
        threading.Thread(target=write, daemon=True).start()


@hookimpl  # type: ignore[untyped-decorator]
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Called by Airflow when a run has succeeded."""
    _write_end(dag_run, "SUCCEEDED")


@hookimpl  # type: ignore[untyped-decorator]
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Called by Airflow when a run has failed."""
    _write_end(dag_run, "FAILED")
