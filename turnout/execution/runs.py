"""The records that runs have left under a root."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from upath import UPath

from turnout.errors import StoreError, did_you_mean
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.plan.model import Plan
from turnout.plan.parameters import changed
from turnout.spec.document import read
from turnout.spec.step_contract import Run, State


def read_run(store: ArtifactStore, name: str) -> tuple[Plan, dict[str, Any]]:
    """The plan and the record of a run.

    Args:
        name: the run's id, or `PIPELINE/RUN_ID`.

    Raises:
        StoreError: there is no such run, or more than one.
    """
    runs = find_runs(store)
    found = [run for run in runs if name in (run["run_id"], full_name(run))]
    if not found:
        names = [run["run_id"] for run in runs] + [full_name(run) for run in runs]
        raise no_run(name, names, str(store.root))
    if len(found) > 1:
        known = tuple(map(full_name, found))
        hint = "name the pipeline too"
        raise StoreError(f"more than one run '{name}'", where=str(store.root), available=known, hint=hint)
    place = _place(store, found[0]) / "pipeline.yaml"
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        hint = "a DAG written by hand has none: see Airflow's Results tab, or turnout runs"
        raise StoreError("the run has kept no pipeline", where=str(place), hint=hint) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"the run's pipeline cannot be read: {error}", where=str(place)) from error
    return link(read(text, where=name)), found[0]


def new_record(plan: Plan, run: Run, parameters: Mapping[str, Any], spec: str, track: str) -> dict[str, Any]:
    """The record of a run that begins.

    Args:
        parameters: all of the run's.
        spec: the digest of its pipeline's YAML.
    """
    return {
        "pipeline": plan.name,
        "run_id": run.run_id,
        "track": track,
        "parameters": dict(parameters),
        "changed": changed(plan.parameters, parameters),
        "create_time": run.create_time,
        "spec": spec,
        "state": State.RUNNING.value,
    }


def no_run(name: str, known: Sequence[str], root: str) -> StoreError:
    """That there is no such run, with those whose names are the most like it.

    Args:
        known: the names of all runs, the latest ones last; first their ids.
    """
    close = difflib.get_close_matches(name, known, n=5) or list(known[: len(known) // 2][-5:])
    hint = did_you_mean(name, known) or "turnout runs lists them"
    return StoreError(f"no run '{name}'", where=root, available=close, hint=hint)


def full_name(record: Mapping[str, Any]) -> str:
    """The name of a run that no other has, from its record."""
    return f"{record['pipeline']}/{record['run_id']}"


def find_runs(store: ArtifactStore) -> list[dict[str, Any]]:
    """The records of all runs under a root, by their time. What lies there beside them is passed over."""
    found = ((path, store.read_record(path)) for path in store.root.glob("*/*/run.json"))
    runs = [record for path, record in found if record and _is_run(record) and _place(store, record) == path.parent]
    return sorted(runs, key=lambda record: record["create_time"])


def _is_run(record: Mapping[str, Any]) -> bool:
    texts = (record.get(key) for key in ("pipeline", "run_id", "create_time"))
    return all(isinstance(text, str) for text in texts) and record.get("state") in [*State]


def _place(store: ArtifactStore, record: Mapping[str, Any]) -> UPath:
    return store.run_path(Run(record["pipeline"], record["run_id"], ""))
