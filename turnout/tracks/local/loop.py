"""The loop of a run: starts each step when its time has come, in a thread of a pool, and hears how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import heapq
import itertools
import os
import queue
import resource
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from turnout.errors import Fault, StepError, TurnoutError
from turnout.execution.cache import Cache, is_kept
from turnout.execution.importer import artifact_at
from turnout.execution.launcher import now
from turnout.execution.store import ArtifactStore
from turnout.plan.model import Plan, Step
from turnout.plan.progress import Execution, Progress
from turnout.plan.results import RunResult, StepResult, Watch, plain
from turnout.plan.retry import Backoff
from turnout.plan.task import make_task
from turnout.plan.values import Values
from turnout.runtimes.steps import Attempt, StepRunner
from turnout.spec.placeholders import run_values
from turnout.spec.step_contract import Outcome, Run, State, Task
from turnout.spec.values import ABSENT
from turnout.tracks.local.preparation import prepare
from turnout.tracks.registry import Options

# A signal that comes just before a wait does not end it: Python looks for signals between its instructions only.
_INTERRUPT_S = 1.0
_Event = tuple[Execution, Task, Outcome]


class RunLoop:
    """A run of a plan, from its first step to its last."""

    def __init__(
        self,
        plan: Plan,
        parameters: Mapping[str, Any],
        store: ArtifactStore,
        info: Run,
        steps: StepRunner,
        options: Options,
        watch: Watch,
    ):
        self.plan, self.store, self.info, self.options, self.watch = plan, store, info, options, watch
        self.steps = steps
        self.results: dict[tuple[str, tuple[int, ...]], StepResult] = {}
        self.started = time.monotonic()
        self.values = Values(plan, parameters, run_values(info, str(store.root)))
        self.values.artifact_at = functools.cache(functools.partial(artifact_at, store))
        self.progress = Progress(plan, self.values, self._changed)
        self.cache = Cache(store)
        self.events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self.retries: list[tuple[float, int, Execution, Task]] = []
        self.attempts: set[Attempt] = set()
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.errors: list[str] = []
        self.order = itertools.count()
        self.keys: dict[Execution, str | None] = {}
        self.settings: dict[Execution, Mapping[str, Any]] = {}

    def run(self) -> RunResult:
        limit = self.plan.config.active_deadline_seconds
        deadline = self.started + limit if limit else None
        parallelism = self.options.parallelism or os.cpu_count() or 1
        _allow_open_files(parallelism)
        if not self._prepared():
            return self.result(State.FAILED)
        with ThreadPoolExecutor(parallelism) as pool:
            try:
                while not self.progress.finished:
                    for execution in self.progress.ready():
                        self._begin(execution, pool)
                    if self.progress.finished:
                        break
                    with contextlib.suppress(queue.Empty):
                        self._end(*self.events.get(timeout=self._patience(deadline)))
                    while self.retries and self.retries[0][0] <= time.monotonic():
                        _, _, execution, task = heapq.heappop(self.retries)
                        pool.submit(self._attempt, execution, task)
                    if deadline and time.monotonic() >= deadline:
                        self.errors.append(f"the run took longer than its time-out of {limit} s, and was ended")
                        self._cancel()
                        return self.result(State.FAILED)
            except BaseException:
                self._cancel()
                raise
        return self.result(self.progress.root.state)

    def _prepared(self) -> bool:
        """Have made what steps need before any of them runs; if it cannot be, the steps that need it fail."""
        errors = prepare(self.plan, self.steps, self.watch)
        for step in self.plan.steps():
            if error := errors.get(step.path):
                self._cannot_start(step, error)
        if errors:
            self.progress.cancel(State.NOT_TRIGGERED)
        return not errors

    def _cannot_start(self, step: Step, error: str) -> None:
        found = (execution for execution in self.progress.executions() if execution.node is step)
        if (execution := next(found, None)) is None:  # in a loop or branch that has not begun
            self.errors.append(str(Fault(error, step.path)))
        else:
            self._end(execution, None, Outcome(State.FAILED, 0, error=error))

    def _patience(self, deadline: float | None) -> float:
        """Seconds until something is to be done even if no step ends before."""
        times = [when for when in (deadline, self.retries[0][0] if self.retries else None) if when is not None]
        return max(0.0, min([_INTERRUPT_S, *(when - time.monotonic() for when in times)]))

    def result(self, state: State) -> RunResult:
        """What there is so far."""
        executions = list(self.progress.executions())
        steps = [self._result(execution) for execution in executions if isinstance(execution.node, Step)]
        errors = [
            str(Fault(execution.error, execution.path))
            for execution in executions
            if execution.error and not isinstance(execution.node, Step)
        ]
        outputs = {}
        for name, source in self.plan.outputs.items():
            try:
                value = self.values.resolve(source, ())
            except StepError as error:
                errors.append(str(Fault(str(error), name)))
            else:
                if value is not ABSENT:
                    outputs[name] = plain(value)
        path = str(self.store.run_path(self.info))
        return RunResult(self.plan.name, self.info.run_id, state, steps, outputs, self.errors + errors, path)

    def _begin(self, execution: Execution, pool: ThreadPoolExecutor) -> None:
        """Start a step whose time has come."""
        step, iteration = execution.node, execution.iteration
        assert isinstance(step, Step)
        try:
            values = self.values.resolve_all(step.inputs, iteration, step.path)
            settings = self.settings[execution] = self.values.settings(step.kubernetes, iteration)
            timeout = settings.get("activeDeadlineSeconds")
            task = make_task(
                step,
                values,
                self.info,
                iteration=iteration,
                environment=self.steps.environment(self.options.secrets, settings, step.path),
                timeout=float(timeout) if timeout else None,
                items=self.values.item_labels(step.path, iteration),
            )
        except StepError as error:
            self._end(execution, None, Outcome(State.FAILED, 0, error=f"the step cannot start: {error}"))
            return
        pool.submit(self._attempt, execution, task)

    def _attempt(self, execution: Execution, task: Task) -> None:
        """One attempt of a step, in a thread of the pool; what has been done already is taken."""
        try:
            outcome = self._known(execution, task) if task.attempt == 1 else None
            if outcome is None:
                outcome = self._launch(execution, task)
        except OSError as error:
            what = f"the step's outcome cannot be recorded: {error.strerror}"
            outcome = Outcome(State.FAILED, task.attempt, error=str(Fault(what, str(error.filename or ""))))
        except BaseException as error:  # whatever it is, the run must hear of it
            outcome = Outcome(State.FAILED, task.attempt, error=f"{type(error).__name__}: {error}")
        self.events.put((execution, task, outcome))

    def _known(self, execution: Execution, task: Task) -> Outcome | None:
        """The outcome that an interrupted run of this id committed, or another run with the same inputs.

        Of the interrupted run too only for the same inputs: an exit handler, for one, was given another state.
        """
        outcome = self.store.outcome(self.info, task.path, task.iteration)
        if outcome is not None and outcome.state is State.SUCCEEDED and outcome.inputs in ("", task.inputs_digest):
            return outcome
        assert isinstance(execution.node, Step)
        key = self.steps.key(task, execution.node.caching)
        self.keys[execution] = key
        outcome = self.cache.find(key) if key and self.options.use_cache else None
        if outcome is not None:
            self.store.commit(task, outcome)
        return outcome

    def _launch(self, execution: Execution, task: Task) -> Outcome:
        result = self._result(execution)
        result.attempts = task.attempt
        result.start_s = result.start_s or time.monotonic() - self.started
        self._show(result, State.RUNNING)
        key = self.keys[execution]
        attempt = self.steps.attempt(task, self.settings[execution])
        with self.lock:
            self.attempts.add(attempt)
        if self.stopping.is_set():
            attempt.cancel()
        try:
            outcome = attempt.run(lambda line: self.watch(result, line))
        except TurnoutError as error:
            outcome = Outcome(State.FAILED, task.attempt, started=now(), ended=now(), error=str(error))
            self.store.commit(task, outcome)
        finally:
            with self.lock:
                self.attempts.discard(attempt)
        result.duration_s = time.monotonic() - self.started - result.start_s
        if key and is_kept(outcome):
            with contextlib.suppress(OSError):  # it is done all the same
                self.cache.keep(key, task, outcome)
        return outcome

    def _end(self, execution: Execution, task: Task | None, outcome: Outcome) -> None:
        """An attempt of a step has ended: there is another, or the step has ended too."""
        result = self._result(execution)
        result.outcome, result.error, result.attempts = outcome, outcome.error, outcome.attempt
        policy = execution.node.retry if isinstance(execution.node, Step) else None
        if outcome.state is State.FAILED and policy and task and task.attempt <= policy.max_retry_count:
            when = time.monotonic() + Backoff.of(policy).seconds(task.attempt)
            task = dataclasses.replace(task, attempt=task.attempt + 1)
            heapq.heappush(self.retries, (when, next(self.order), execution, task))
            self._show(result, State.PENDING)
        else:
            self.progress.finish(execution, outcome.state, outcome.outputs, outcome.error)

    def _result(self, execution: Execution) -> StepResult:
        key = (execution.path, execution.iteration)
        if key not in self.results:
            items, count = self.values.item_labels(*key), self.values.iterations(*key)
            self.results[key] = StepResult(*key, title=self.plan.title(execution.path), items=items, total=count)
        return self.results[key]

    def _changed(self, execution: Execution) -> None:
        if isinstance(execution.node, Step):
            self._show(self._result(execution), execution.state)

    def _show(self, result: StepResult, state: State) -> None:
        result.state = state
        self.watch(result, "")

    def _cancel(self) -> None:
        self.stopping.set()
        with self.lock:
            attempts = list(self.attempts)
        for attempt in attempts:
            attempt.cancel()
        self.progress.cancel()


def _allow_open_files(parallelism: int) -> None:
    """Let this process open as many files as so many steps at once need, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 256 + 5 * parallelism
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
