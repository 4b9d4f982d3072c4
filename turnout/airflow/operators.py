"""The operators of compiled DAG files: `Step` runs a step, `When` guards a group, `End` tells how one ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from turnout.airflow.base import PlanOperator
from turnout.airflow.links import MlflowRun, mlflow_run
from turnout.errors import TurnoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Asset, Context

    from turnout.runtime.contract import Task
    from turnout.runtime.process import Runtime
    from turnout.runtime.secrets import Secrets


class Step(PlanOperator):
    """A step of a compiled pipeline.

    Its outputs are XComs by their names: parameters as they are, artifacts as references.

    Args:
        publishes: assets by name of the output that updates them; the event tells the value, or where the
            artifact is.
    """

    ui_color = "#e8eef7"
    operator_extra_links: tuple[MlflowRun, ...] = (MlflowRun(),)

    def __init__(self, *, publishes: Mapping[str, Asset] | None = None, **kwargs: Any):
        super().__init__(outlets=list((publishes or {}).values()), **kwargs)
        self.publishes = dict(publishes or {})
        self._runtime: Runtime | None = None

    def execute(self, context: Context) -> None:
        from turnout.airflow.view import IN_STORE, XCOM_LIMIT, setting
        from turnout.runtime.cache import Cache, fingerprint_with_outside, is_kept
        from turnout.runtime.contract import State
        from turnout.runtime.environments import prepare
        from turnout.runtime.launcher import launch
        from turnout.runtime.process import ProcessRuntime
        from turnout.runtime.workers import Workers
        from turnout.spec.deployment_spec import PipelineContainerSpec

        view, instance = self._view, context["ti"]
        try:
            task = self._task()
            python, directory = setting("python"), setting("directory", required=False) or None
            caching = view.step(self.task_id).caching
            key = fingerprint_with_outside(task, caching, ProcessRuntime(python, directory), directory or ".")
            if isinstance(task.executor, PipelineContainerSpec):
                python, command = prepare(task.executor.command, python, self.log.info)
                task = dataclasses.replace(task, executor=dataclasses.replace(task.executor, command=command))
        except TurnoutError as error:
            # The same attempt would fail the same way: no retry.
            raise AirflowFailException(str(error)) from error
        cache = Cache(view.store)
        # Who clears a task wants it to run.
        outcome = cache.find(key) if key and instance.try_number == 1 else None
        if outcome is not None:
            self.log.info("taken from an earlier run with the same code and inputs; its log: %s", outcome.log)
            view.store.commit(task, outcome)
        else:
            # Linux takes at most 128 KiB in one argument of a command; a worker is told of them otherwise.
            long = len(json.dumps(dict(task.parameters))) > 100_000
            with Workers(directory) if long else contextlib.nullcontext() as workers:
                runtime = workers.runtime(python) if workers else ProcessRuntime(python, directory)
                self._runtime = runtime
                outcome = launch(task, view.store, runtime, self.log.info)
        if outcome.state is not State.SUCCEEDED:
            raise AirflowException(outcome.error)
        if key and is_kept(outcome):
            cache.keep(key, task, outcome)
        artifacts = {name: artifact.to_dict() for name, artifact in outcome.artifacts.items()}
        self.mlflow_run = mlflow_run(artifacts)
        self.operator_extra_links = (MlflowRun(),) if self.mlflow_run else ()
        for name, value in {**outcome.parameters, **artifacts}.items():
            short = value if len(json.dumps(value)) <= XCOM_LIMIT else IN_STORE
            instance.xcom_push(key=name, value=short)
            if name in self.publishes:
                facts = {key: value[key] for key in ("uri", "digest")} if name in artifacts else {"value": short}
                context["outlet_events"][self.publishes[name]].extra = {"run_id": view.run.run_id, **facts}

    def _task(self) -> Task:
        from turnout.plan.task import make_task

        view = self._view
        step = view.step(self.task_id)
        settings = view.values.settings(step.kubernetes, view.iteration)
        timeout = settings.get("activeDeadlineSeconds")
        assert isinstance(self.inputs, dict)
        return make_task(
            step,
            self.inputs,
            view.run,
            iteration=view.iteration,
            attempt=view.instance.try_number,
            environment=_secrets().environment(settings, step.path),
            timeout=float(timeout) if timeout else None,
        )

    def on_kill(self) -> None:
        if self._runtime is not None:
            self._runtime.cancel()


class When(PlanOperator):
    """A gate: skipped, and with it what follows, unless a condition holds.

    Airflow's `SkipMixin` forgets what it skipped in mapped groups, up to 3.3 at least.

    Args:
        condition: a CEL expression over the names in `inputs`.
    """

    ui_color = "#f6efdb"

    def __init__(self, *, condition: str = "true", **kwargs: Any):
        super().__init__(**kwargs)
        self.condition = condition

    @property
    def node(self) -> str:
        return str(self.task_id).removesuffix("-when")

    def execute(self, context: Context) -> bool:
        from turnout.plan.model import Condition
        from turnout.plan.values import holds

        assert isinstance(self.inputs, dict)
        try:
            true = holds(Condition(self.condition, {}), self.inputs)
        except TurnoutError as error:
            raise AirflowFailException(f"{error} @ {self.task_id}") from error
        self.log.info("%s is %s, with %s", self.condition, str(true).lower(), self.inputs)
        if not true:
            context["ti"].xcom_push(key="return_value", value=False)
            raise AirflowSkipException(f"{self.condition} is false")
        return True


class End(PlanOperator):
    """The end of a group, with the state of all its steps together, whichever of them ran.

    It fails when one of them failed, and is skipped when the group was.

    Args:
        region: path of the group; empty for the whole run.
    """

    ui_color = "#f2f2f2"

    def __init__(self, *, region: str, **kwargs: Any):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.region = region

    def execute(self, context: Context) -> None:
        from turnout.runtime.contract import State

        state, failed = self._view.ended(self.region, self._view.iteration)
        if state is State.SKIPPED:
            raise AirflowSkipException("the whole group was skipped")
        if state is not State.SUCCEEDED:
            names = ", ".join(f"{step}{list(where) if where else ''}" for step, where in failed)
            raise AirflowFailException(f"failed: {names}" if names else "steps before it failed")


def _secrets() -> Secrets:
    from turnout.airflow.view import setting
    from turnout.runtime.secrets import Secrets

    path = setting("secrets", required=False)
    return Secrets.read(Path(path)) if path else Secrets()
