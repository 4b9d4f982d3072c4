"""The local track: runs a plan with processes of this machine, independent steps in parallel."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from turnout.errors import StepError, TrackError
from turnout.plan.model import Plan, Step
from turnout.plan.order import Needs, holds, needs, resolve
from turnout.plan.retry import Backoff
from turnout.plan.task import make_task
from turnout.runtime.contract import Artifact, Outcome, Run, State
from turnout.runtime.launcher import launch, now
from turnout.runtime.placeholders import run_values
from turnout.runtime.process import ProcessRuntime
from turnout.runtime.store import ArtifactStore
from turnout.spec.document import digest, write
from turnout.tracks.support import LAUNCHER, Support, lowered, refusals

SUPPORT: dict[str, Support] = {
    **LAUNCHER,
    "airflow.*": lowered("a local run is started by hand; parameters are checked as the facts say"),
}


@dataclass
class StepResult:
    """How far a step is, and how it ended. Durations are seconds, over all attempts."""

    name: str
    state: State = State.PENDING
    attempts: int = 0
    duration_s: float = 0.0
    outcome: Outcome | None = None
    error: str = ""

    @property
    def outputs(self) -> dict[str, Any]:
        if self.outcome is None:
            return {}
        artifacts = {name: artifact.to_dict() for name, artifact in self.outcome.artifacts.items()}
        return {**self.outcome.parameters, **artifacts}

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "iteration": None,
            "state": self.state.value,
            "attempts": self.attempts,
            "cached": False,
            "duration_s": round(self.duration_s, 3),
            "outputs": self.outputs,
            "error": self.error,
        }


@dataclass
class RunResult:
    """How a run ended."""

    pipeline: str
    run_id: str
    state: State
    steps: list[StepResult]
    outputs: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "state": self.state.value,
            "outputs": self.outputs,
            "steps": [step.to_dict() for step in self.steps],
        }


Watch = Callable[[StepResult, str], None]
"""Called with a step whenever its state changes, and with each line that it prints."""


def check(plan: Plan) -> None:
    """Raises TrackError when the pipeline asks for what this track cannot do."""
    if faults := refusals(plan.document, SUPPORT):
        raise TrackError(faults)


def run(
    plan: Plan,
    parameters: Mapping[str, Any],
    store: ArtifactStore,
    run_id: str,
    *,
    watch: Watch = lambda step, line: None,
    parallelism: int | None = None,
    make_runtime: Callable[[], ProcessRuntime] = ProcessRuntime,
) -> RunResult:
    """Run a plan to its end.

    Args:
        parameters: all of the run's, as `bind_parameters` gives them.
        run_id: an id that no run under the store's root has.
        parallelism: how many steps may run at once; as many as there are cores when None.
        make_runtime: what runs each step's command.

    Raises:
        TrackError: the pipeline asks for what this track cannot do.
        StoreError: the store cannot be written, or has a run of that id.
        KeyboardInterrupt: after all steps that were running have been cancelled.
    """
    check(plan)
    store.check_writable()
    info = Run(plan.name, run_id, now())
    record = {
        "pipeline": plan.name,
        "run_id": run_id,
        "parameters": dict(parameters),
        "create_time": info.create_time,
        "spec": digest(write(plan.document)),
    }
    store.claim(info, {**record, "state": State.RUNNING.value})
    runner = _Runner(plan, parameters, store, info, watch, make_runtime)
    try:
        result = runner.run(parallelism or os.cpu_count() or 1)
    except BaseException:
        store.write_record(store.run_path(info) / "run.json", {**record, "state": State.CANCELLED.value})
        raise
    store.write_record(store.run_path(info) / "run.json", {**record, **result.to_dict(), "end_time": now()})
    return result


class _Runner:
    def __init__(
        self,
        plan: Plan,
        parameters: Mapping[str, Any],
        store: ArtifactStore,
        run: Run,
        watch: Watch,
        make_runtime: Callable[[], ProcessRuntime],
    ):
        self.plan, self.parameters, self.store, self.info = plan, parameters, store, run
        self.watch, self.make_runtime = watch, make_runtime
        self.steps = {step.path: step for step in plan.steps()}
        self.results = {path: StepResult(path) for path in self.steps}
        self.outputs: dict[str, dict[str, Any]] = {}
        self.runtimes: set[ProcessRuntime] = set()
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    def run(self, parallelism: int) -> RunResult:
        waiting = needs(self.plan)
        running: dict[Future[Outcome], str] = {}
        with ThreadPoolExecutor(parallelism) as pool:
            try:
                while waiting or running:
                    for path in [path for path in waiting if self._ready(waiting[path])]:
                        self._start(path, waiting.pop(path), pool, running)
                    if running:
                        ended, _ = wait(running, return_when=FIRST_COMPLETED)
                        for future in ended:
                            self._end(running.pop(future), future.result())
            except BaseException:
                self._cancel()
                raise
        states = {result.state for result in self.results.values()}
        state = State.SUCCEEDED if states <= {State.SUCCEEDED, State.SKIPPED} else State.FAILED
        return RunResult(self.plan.name, self.info.run_id, state, list(self.results.values()), self._run_outputs())

    def _ready(self, need: Needs) -> bool:
        return all(self.results[step].state.finished for step in need.steps)

    def _start(self, path: str, need: Needs, pool: ThreadPoolExecutor, running: dict[Future[Outcome], str]) -> None:
        """Start a step whose needs have ended, or decide that it does not run."""
        before = {self.results[step].state for step in need.steps}
        try:
            if before <= {State.SUCCEEDED}:
                if all(holds(item, self._values(item.inputs)) for item in need.conditions):
                    step = self.steps[path]
                    running[pool.submit(self._launch, step, self._values(step.inputs))] = path
                    return
                state = State.SKIPPED
            else:
                state = State.SKIPPED if before <= {State.SUCCEEDED, State.SKIPPED} else State.NOT_TRIGGERED
        except (StepError, ValueError, RuntimeError) as error:  # the last two are CEL's
            self.results[path].error = f"the step cannot start: {error}"
            state = State.FAILED
        self._change(path, state)

    def _values(self, sources: Mapping[str, Any]) -> dict[str, Any]:
        run = run_values(self.info, str(self.store.root))
        return {name: resolve(source, self.parameters, self.outputs, run) for name, source in sources.items()}

    def _launch(self, step: Step, values: Mapping[str, Any]) -> Outcome:
        """All attempts of a step, in a thread of the pool."""
        result, retry = self.results[step.path], step.retry
        started = time.monotonic()
        attempts = 1 + (retry.max_retry_count if retry else 0)
        for attempt in range(1, attempts + 1):
            runtime = self.make_runtime()
            with self.lock:
                self.runtimes.add(runtime)
            result.attempts = attempt
            self._change(step.path, State.RUNNING)
            if self.stopping.is_set():
                runtime.cancel()
            task = make_task(step, values, self.info, attempt)
            outcome = launch(task, self.store, runtime, lambda line: self.watch(result, line))
            with self.lock:
                self.runtimes.discard(runtime)
            result.duration_s = time.monotonic() - started
            if outcome.state is State.SUCCEEDED or self.stopping.is_set():
                break
            if retry and attempt < attempts:
                self.stopping.wait(Backoff.of(retry).seconds(attempt))
        return outcome

    def _end(self, path: str, outcome: Outcome) -> None:
        result = self.results[path]
        result.outcome, result.error = outcome, outcome.error
        if outcome.state is State.SUCCEEDED:
            self.outputs[path] = {**outcome.parameters, **outcome.artifacts}
        self._change(path, outcome.state)

    def _change(self, path: str, state: State) -> None:
        self.results[path].state = state
        self.watch(self.results[path], "")

    def _cancel(self) -> None:
        self.stopping.set()
        with self.lock:
            runtimes = list(self.runtimes)
        for runtime in runtimes:
            runtime.cancel()
        for path, result in self.results.items():
            if not result.state.finished:
                self._change(path, State.CANCELLED)

    def _run_outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        for name, source in self.plan.outputs.items():
            try:
                value = self._values({name: source})[name]
            except KeyError:  # its step did not run
                continue
            outputs[name] = value.to_dict() if isinstance(value, Artifact) else value
        return outputs
