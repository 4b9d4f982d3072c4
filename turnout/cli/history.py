"""`turnout runs`, `show` and `cache`: what earlier runs left."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import sys
import webbrowser

from rich.console import Console
from rich.table import Table

from turnout.cli.progress import show_result
from turnout.runtime.cache import Cache
from turnout.runtime.contract import Run
from turnout.runtime.store import ArtifactStore
from turnout.tracks import local
from turnout.tracks.results import RunResult


def list_runs(root: str, as_json: bool) -> None:
    """Print the runs under a root, the latest last."""
    records = local.find_runs(ArtifactStore(root))
    if as_json:
        keys = ("pipeline", "run_id", "state", "create_time", "end_time", "parameters")
        print(json.dumps([{key: record.get(key) for key in keys} for record in records], indent=2))
        return
    table = Table("run", "pipeline", "state", "started", "steps")
    for record in records:
        states = collections.Counter(step["state"] for step in record.get("steps", ()))
        steps = ", ".join(f"{count} {state.lower()}" for state, count in states.items())
        started = str(record["create_time"])[:19].replace("T", " ")
        table.add_row(record["run_id"], record["pipeline"], record["state"], started, steps)
    Console(highlight=False).print(table if records else f"no runs @ {root}")


def show_run(root: str, run_id: str) -> None:
    """Print a run's steps, and where its report is."""
    store = ArtifactStore(root)
    plan, record = local.read_run(store, run_id)
    report = store.run_path(Run(plan.name, run_id, "")) / "report.html"
    result = RunResult.from_dict(record)
    result.path = str(report.parent) if report.exists() else ""
    show_result(result)
    if not report.exists():
        print(f"under way, or interrupted: turnout run --resume {run_id}")
    elif store.is_local and sys.stdout.isatty():
        webbrowser.open(f"file://{report.path}")


def list_cache(root: str, as_json: bool) -> None:
    """Print the results that are kept."""
    entries = list(Cache(ArtifactStore(root)).entries())
    if as_json:
        print(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2))
        return
    table = Table("step", "pipeline", "run", "created", "fingerprint")
    for entry in sorted(entries, key=lambda entry: entry.created):
        created = entry.created[:19].replace("T", " ")
        table.add_row(entry.step, entry.pipeline, entry.run_id, created, entry.fingerprint[:12])
    Console(highlight=False).print(table if entries else f"no results are kept @ {root}")


def prune_cache(root: str, older_than: float) -> None:
    """Forget results that are so many days old."""
    count = Cache(ArtifactStore(root)).prune(datetime.timedelta(days=older_than))
    print(f"forgot {count} results")
