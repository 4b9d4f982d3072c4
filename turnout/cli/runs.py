"""`turnout runs` and `turnout show`: the records of earlier runs."""

from __future__ import annotations

import collections
import json
import sys
import webbrowser
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from turnout.cli.options import Json, Root, errors
from turnout.errors import Fault


def list_runs(root: Root = ".turnout", as_json: Json = False) -> None:
    """List the runs, the latest last."""
    from turnout.execution.runs import find_runs
    from turnout.execution.store import ArtifactStore
    from turnout.spec.step_contract import State

    with errors(as_json):
        records = find_runs(ArtifactStore(root))
    if as_json:
        keys = ("pipeline", "run_id", "state", "create_time", "end_time", "parameters")
        print(json.dumps([{key: record.get(key) for key in keys} for record in records], indent=2))
        return
    table = Table("run", "pipeline", "state", "started", "steps")
    for record in records:
        states = collections.Counter(State(step["state"]) for step in record.get("steps", ()))
        steps = ", ".join(f"{count} {state.label.lower()}" for state, count in states.items())
        started = str(record["create_time"])[:19].replace("T", " ")
        table.add_row(record["run_id"], record["pipeline"], State(record["state"]).label, started, steps)
    Console(highlight=False).print(table if records else str(Fault("no runs", root)))


def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Id of the run, or PIPELINE/RUN_ID.")],
    root: Root = ".turnout",
) -> None:
    """Print a run. On a terminal, also open its report in a browser."""
    from turnout.cli.result import show_result
    from turnout.execution.runs import read_run
    from turnout.execution.store import ArtifactStore
    from turnout.plan.results import RunResult
    from turnout.spec.step_contract import Run, State

    with errors():
        store = ArtifactStore(root)
        plan, record = read_run(store, run_id)
    report = store.run_path(Run(plan.name, record["run_id"], "")) / "report.html"
    result = RunResult.from_dict(record)
    result.path = str(report.parent) if report.exists() else ""
    show_result(result)
    if result.state is State.RUNNING:
        print(f"still running, or interrupted. To continue it: turnout run --resume {run_id}")
    elif report.exists() and store.is_local and sys.stdout.isatty():
        webbrowser.open(f"file://{report.path}")
