"""The records that runs have left under a root."""

from __future__ import annotations

from typing import Any

from turnout.errors import StoreError
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.plan.model import Plan
from turnout.spec.document import read
from turnout.spec.step_contract import Run


def read_run(store: ArtifactStore, run_id: str) -> tuple[Plan, dict[str, Any]]:
    """The plan and the record of a run. Raises StoreError when there is no such run."""
    for path in find_runs(store):
        if path["run_id"] == run_id:
            run_path = store.run_path(Run(path["pipeline"], run_id, ""))
            return link(read((run_path / "pipeline.yaml").read_text(encoding="utf-8"), where=run_id)), path
    known = tuple(record["run_id"] for record in find_runs(store)[-5:])
    raise StoreError(f"no run '{run_id}'", where=str(store.root), available=known, hint="turnout runs lists them")


def find_runs(store: ArtifactStore) -> list[dict[str, Any]]:
    """The records of all runs under a root, by their time."""
    found = (store.read_record(path) for path in store.root.glob("*/*/run.json"))
    return sorted((record for record in found if record), key=lambda record: str(record["create_time"]))
