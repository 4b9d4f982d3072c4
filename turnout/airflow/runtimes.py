"""How the deployment runs steps: `[turnout] runtime`, and the options of each.

A runtime prepares what is to run, and runs it. What it starts it can also end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.airflow.provider import SECTION
from turnout.airflow.run_view import View, setting
from turnout.errors import StepError, TrackError, TurnoutError
from turnout.execution.cache import fingerprint_with_outside
from turnout.execution.executor import OTHER_CODE
from turnout.execution.launcher import launch, now
from turnout.execution.runtime import Runtime
from turnout.execution.secrets import Secrets
from turnout.plan.model import Step
from turnout.runtimes import docker, kubernetes
from turnout.runtimes.claims import ClaimAttempt, ClusterClaims, EngineClaims, is_claim
from turnout.runtimes.process import ProcessRuntime, asked_in, prepared
from turnout.runtimes.shared import SharedRuntime
from turnout.runtimes.steps import key_in_image
from turnout.spec.deployment_spec import ImporterSpec
from turnout.spec.step_contract import Outcome, State, Task

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context


class Process:
    """Steps are processes of the worker, in the components' environment."""

    def __init__(self, view: View, step: Step, settings: Mapping[str, Any]):
        self.view, self.step, self.settings = view, step, settings
        self._running: Runtime | None = None

    def environment(self) -> dict[str, str]:
        """Variables of the step: from secrets and config maps, and the address of a Spark cluster."""
        path = setting("secrets", required=False)
        declared = (Secrets.read(Path(path)) if path else Secrets()).environment(self.settings, self.step.path)
        return {**_spark_address(setting("spark_conn_id", required=False)), **declared}

    def key(self, task: Task) -> str | None:
        """The task's fingerprint; None when its results are not kept."""
        python = asked_in(task, setting("python"), _directory())
        return fingerprint_with_outside(task, self.step.caching, self._shared(python), _directory() or ".")

    def run(self, task: Task, context: Context, log: logging.Logger) -> Outcome:
        """Run one attempt. Raises TurnoutError when another would fail the same way."""
        try:
            python, task = prepared(task, setting("python"), log.info, _directory())
        except StepError as error:  # such as an index that does not answer now: another attempt may do better
            outcome = Outcome(State.FAILED, task.attempt, started=now(), ended=now(), error=str(error))
            return self.view.store.commit(task, outcome)
        self._running = runtime = self._shared(python)
        return launch(task, self.view.store, runtime, log.info)

    @staticmethod
    def _shared(python: str) -> SharedRuntime:
        given = setting("keep_warm")
        try:
            return SharedRuntime(python, _directory(), float(given))
        except ValueError as error:
            raise TurnoutError(f"'{given}' is no number of seconds", where=f"[{SECTION}] keep_warm") from error

    def cancel(self) -> None:
        """End what runs."""
        if self._running is not None:
            self._running.cancel()


def _directory() -> str | None:
    return setting("directory", required=False) or None


def _spark_address(connection_id: str) -> dict[str, str]:
    """Variables that name the Spark of a connection.

    Raises:
        TurnoutError: it wants drivers in the cluster.
    """
    if not connection_id:
        return {}
    from airflow.sdk import Connection

    connection = Connection.get(connection_id)
    if connection.extra_dejson.get("deploy-mode", "client") != "client":
        what, hint = "a step is its own driver, and runs with the worker", "leave deploy-mode out of the connection"
        raise TurnoutError(what, where=f"the connection {connection_id}", hint=hint)
    address = f"{connection.host}:{connection.port}" if connection.port else connection.host
    return {"SPARK_REMOTE" if address.startswith("sc://") else "SPARK_MASTER": address}


class _Container(Process):
    """Steps run in images: this machine has neither their code nor what they look at."""

    def key(self, task: Task) -> str | None:
        return key_in_image(task, self.step.caching)


class Docker(_Container):
    """Steps are containers of the worker's Docker host."""

    def run(self, task: Task, context: Context, log: logging.Logger) -> Outcome:
        engine = docker.Engine(setting("docker_host", required=False), _login())
        if is_claim(task):
            return ClaimAttempt(task, self.view.store, EngineClaims(engine.client)).run(log.info)
        runtime = docker.DockerRuntime(task, self.settings, engine)
        self._running = runtime
        return launch(task, self.view.store, runtime, log.info)


def _login() -> docker.Login | None:
    """The registry's login, from Airflow's Docker connection; None when no connection is named.

    Raises:
        TurnoutError: the connection names no registry or no user.
    """
    name = setting("docker_conn_id", required=False)
    if not name:
        return None
    from airflow.sdk import Connection

    connection = Connection.get(name)
    if not connection.host or not connection.login:
        raise TurnoutError("a Docker connection needs a host and a login", where=f"the connection {name}")
    extra = connection.extra_dejson
    return docker.Login(
        registry=f"{connection.host}:{connection.port}" if connection.port else connection.host,
        user=connection.login,
        password=connection.password or "",
        email=extra.get("email") or "",
        reauth=str(extra.get("reauth", True)).lower() in ("y", "yes", "t", "true", "on", "1"),
    )


class Kubernetes(_Container):
    """Steps are pods. The worker leaves a pod alone while it runs."""

    _operator: Any = None

    def environment(self) -> dict[str, str]:
        return {}  # the pod refers to them

    def run(self, task: Task, context: Context, log: logging.Logger) -> Outcome:
        if isinstance(task.executor, ImporterSpec):
            return launch(task, self.view.store, ProcessRuntime(), log.info)
        if is_claim(task):
            return ClaimAttempt(task, self.view.store, ClusterClaims(self._client)).run(log.info)
        self.view.store.clear_attempt(task)
        self._operator = self._made(task)
        return self._ended(task, lambda: self._operator.execute_async(context), log)

    def resume(self, task: Task, context: Context, event: dict[str, Any], log: logging.Logger) -> Outcome:
        """The outcome of a pod that the triggerer has seen end."""
        self._operator = self._made(task)
        return self._ended(task, lambda: self._operator.trigger_reentry(context=context, event=event), log)

    def _ended(self, task: Task, wait: Any, log: logging.Logger) -> Outcome:
        from airflow.sdk.exceptions import AirflowException

        error = "the pod ended without an outcome"
        try:
            wait()
        except AirflowException as failure:
            error = str(failure)
        store = self.view.store
        outcome = store.outcome(task.run, task.path, task.iteration)
        if outcome is None or outcome.attempt != task.attempt:
            outcome = Outcome(State.FAILED, task.attempt, ended=now(), error=error)
            store.commit(task, outcome)
        return outcome

    def cancel(self) -> None:
        if self._operator is not None:
            self._operator.on_kill()

    def _made(self, task: Task) -> Any:
        from turnout.airflow.kubernetes import pod_operator

        return pod_operator(task, self.settings, self.view.store, *self._cluster())

    def _client(self) -> tuple[Any, str]:
        from turnout.airflow.kubernetes import client_of

        return client_of(*self._cluster())

    @staticmethod
    def _cluster() -> tuple[kubernetes.Cluster, str]:
        """The cluster, and Airflow's connection to it."""
        given = {item.name: setting(item.name, required=item.default is None) for item in kubernetes.SETTINGS}
        return kubernetes.Cluster.of(given), setting("kubernetes_conn_id", required=False) or "kubernetes_default"


_RUNTIMES: dict[str, type[Process]] = {"process": Process, "docker": Docker, "kubernetes": Kubernetes}


def other_code() -> dict[str, str]:
    """The variable that tells a step what to do if its code is not that which the pipeline was compiled with.

    Raises:
        TurnoutError: the setting is neither empty nor one of its words.
    """
    given = setting("other_code", required=False)
    if given not in ("", "error", "warning"):
        raise TurnoutError(
            f"'{given}' is not an answer", where=f"[{SECTION}] other_code", available=("error", "warning")
        )
    return {OTHER_CODE: given or ("warning" if _runtime_name() == "process" else "error")}


def _runtime_name() -> str:
    return setting("runtime", required=False) or "process"


def make_runtime(view: View, step: Step) -> Process:
    """The runtime that the deployment has chosen, for a step.

    Raises:
        TrackError: there is no such runtime, or the pipeline asks for what it cannot do.
    """
    from turnout.tracks.airflow import runtime_faults

    name = _runtime_name()
    if found := runtime_faults(view.plan, name):
        raise TrackError(found)
    return _RUNTIMES[name](view, step, view.values.settings(step.kubernetes, view.iteration))
