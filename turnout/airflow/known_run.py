"""A run as Airflow's database and its own records tell it together, while it goes on or after it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnout import task_ids
from turnout.airflow import internals
from turnout.errors import TurnoutError
from turnout.execution.own_files import OwnFiles
from turnout.execution.store import ArtifactStore, segment
from turnout.plan.link import link
from turnout.plan.results import StepResult
from turnout.spec.document import read
from turnout.spec.step_contract import Run, State

if TYPE_CHECKING:
    import datetime

    from turnout.plan.model import Plan
    from turnout.plan.values import Iteration
    from turnout.spec.step_contract import Outcome

STATES = {
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
    "skipped": State.SKIPPED,
    "upstream_failed": State.NOT_TRIGGERED,
    "removed": State.CANCELLED,
    "running": State.RUNNING,
    "deferred": State.RUNNING,
    "restarting": State.RUNNING,
    "queued": State.PENDING,
}
"""What Airflow's states of runs and tasks are here; any other is PENDING."""

_STEP = "Step"
"""The class of the operators that run steps; the others are there for Airflow."""

_NO_OUTCOME = "it ended before its work began; its log says why"


@dataclass(frozen=True)
class KnownRun:
    """A run, as far as it is known.

    Attributes:
        record: `run.json`, or what Airflow knows of it: `pipeline`, `run_id`, `state`, `parameters`, `create_time`,
            `end_time` and `outputs`.
        steps: those of which there is anything to tell.
        map_indexes: Airflow's number of each iteration of a step; -1 outside of loops.
        tasks: Airflow's rows of all tasks, also of those that are no steps.
        plan: None where the run has not kept its pipeline.
    """

    record: Mapping[str, Any]
    steps: Sequence[StepResult]
    map_indexes: Mapping[tuple[str, Iteration], int]
    tasks: Sequence[Mapping[str, Any]]
    plan: Plan | None = None

    @property
    def going_on(self) -> bool:
        return self.record.get("state") in (State.RUNNING.value, State.PENDING.value)

    def map_index(self, step: StepResult) -> int:
        return self.map_indexes.get((step.name, step.iteration), -1)

    def step(self, task_id: str, map_index: int = -1, iteration: Iteration = ()) -> StepResult | None:
        """A step by Airflow's number of its iteration, or by the iteration itself."""
        for step in self.steps:
            if step.name == task_id and (step.iteration == iteration or self.map_index(step) == map_index != -1):
                return step
        return None


def known_run(files: OwnFiles) -> KnownRun:
    """What is known of a run; without steps and tasks when that is nothing.

    Raises:
        NotOpened: the store does not answer.
    """
    store, run = files.store, files.run
    outcomes = files.in_time(lambda: store.outcomes(run))
    record = files.in_time(lambda: _record(store, run))
    tasks = internals.task_instances(run.pipeline, run.run_id)
    facts = internals.dag_run(run.pipeline, run.run_id)
    if facts:
        record = {"parameters": facts["conf"] or {}, **record, "state": STATES.get(facts["state"], State.PENDING).value}
        times = {"create_time": facts["start_date"], "end_time": facts["end_date"]}
        record |= {name: when.isoformat() for name, when in times.items() if when}
    steps, map_indexes = _steps(run, tasks, outcomes, facts["start_date"] if facts else None)
    return KnownRun(record, steps, map_indexes, tasks, files.in_time(lambda: _plan(store, run)))


def _record(store: ArtifactStore, run: Run) -> dict[str, Any]:
    place = store.run_path(run)
    known = store.read_record(place / "run.json") or {}
    return {**known, "pipeline": run.pipeline, "run_id": run.run_id, "outputs": store.outputs(run)}


def _plan(store: ArtifactStore, run: Run) -> Plan | None:
    place = store.run_path(run) / "pipeline.yaml"
    try:
        return _linked(place.read_text(encoding="utf-8")) if place.exists() else None
    except (TurnoutError, OSError, ValueError):  # of another version, or somebody else's: the page does without
        return None


@functools.lru_cache(maxsize=16)
def _linked(text: str) -> Plan:
    return link(read(text, where="pipeline.yaml"))


def _steps(
    run: Run,
    tasks: Sequence[Mapping[str, Any]],
    outcomes: Mapping[tuple[str, Iteration], Outcome],
    started: datetime.datetime | None,
) -> tuple[list[StepResult], dict[tuple[str, Iteration], int]]:
    steps: list[StepResult] = []
    map_indexes: dict[tuple[str, Iteration], int] = {}
    left = dict(outcomes)
    iterations = _Iterations(run, tasks)
    for task in tasks:
        if task["operator"] != _STEP:
            continue
        name, iteration = task["task_id"], iterations.of(task["task_id"], task["map_index"])
        map_indexes[name, iteration] = task["map_index"]
        steps.append(_step(name, iteration, task, left.pop((segment(name), iteration), None), started))
    # Of a run that Airflow has forgotten there are the outcomes alone.
    steps += [StepResult.of(name, iteration, outcome) for (name, iteration), outcome in left.items()]
    return steps, map_indexes


def _step(
    name: str,
    iteration: Iteration,
    task: Mapping[str, Any],
    outcome: Outcome | None,
    started: datetime.datetime | None,
) -> StepResult:
    state = STATES.get(task["state"], State.PENDING)
    if not state.finished:  # what there is was left by an attempt before this one
        outcome = None
    began, ended = task["start_date"], task["end_date"]
    if outcome is None:
        error = _NO_OUTCOME if state is State.FAILED else ""
        duration = (ended - began).total_seconds() if began and ended and state.finished else 0.0
        step = StepResult(name, iteration, state, task["try_number"] or 0, duration, error=error)
    else:
        step = StepResult.of(name, iteration, outcome)
        step.state, step.attempts = state, max(task["try_number"] or 0, outcome.attempt)
    if began and started:
        step.start_s = max(0.0, (began - started).total_seconds())
    return step


class _Iterations:
    """Which iteration an instance of a mapped task is: the loop's own task has told Airflow."""

    def __init__(self, run: Run, tasks: Sequence[Mapping[str, Any]]):
        known = {task["task_id"] for task in tasks}
        self._loops: dict[str, str] = {}
        for task_id in {task["task_id"] for task in tasks if task["map_index"] >= 0}:
            parts = task_id.split(".")
            around = [".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]
            asked = [make(group) for group in around for make in (task_ids.iterations, task_ids.items)]
            self._loops[task_id] = next((name for name in asked if name in known), "")
        self._found = internals.returned(run.pipeline, run.run_id, set(self._loops.values()) - {""})

    def of(self, task_id: str, map_index: int) -> Iteration:
        if map_index < 0:
            return ()
        try:
            return tuple(int(index) for index in self._found[self._loops[task_id]][map_index])
        except (TypeError, ValueError, LookupError):  # not yet told, or forgotten
            return (map_index,)
