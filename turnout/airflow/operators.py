"""The operators of compiled DAG files: `Step` runs a step, `When` guards a group, `End` tells how one ended."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, SkipMixin, conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from turnout.airflow.provider import SECTION
from turnout.errors import Fault, TurnoutError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from turnout.plan.model import Plan
    from turnout.runtime.process import ProcessRuntime
    from turnout.runtime.secrets import Secrets

XCOM_LIMIT = 48 * 1024
"""Bytes of JSON that an output may have in XCom, which is the scheduler's database."""


class OneOf:
    """The first of several outputs that there is: of whichever branch ran.

    Args:
        options: task id and name of each output.
    """

    def __init__(self, *options: tuple[str, str]):
        self.options = options

    def __repr__(self) -> str:
        return f"OneOf({', '.join(map(repr, self.options))})"

    def value(self, context: Context) -> Any:
        found = (context["ti"].xcom_pull(task_ids=task, key=key) for task, key in self.options)
        return next((value for value in found if value is not None), None)


class _Values(BaseOperator):  # type: ignore[misc]
    """An operator whose `inputs` are values or references to values, never Jinja templates.

    What a user types, or a step returns, is data: it is passed on as it is, whatever braces it holds.
    """

    template_fields: Sequence[str] = ("inputs",)

    def __init__(self, *, inputs: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.inputs = dict(inputs or {})

    def render_template(self, content: Any, context: Context, *args: Any, **kwargs: Any) -> Any:
        if isinstance(content, OneOf):
            return content.value(context)
        return content if isinstance(content, str) else super().render_template(content, context, *args, **kwargs)


class Step(_Values):
    """A step of a compiled pipeline.

    Its outputs are XComs by their names: parameters as they are, artifacts as references.

    Args:
        inputs: values, parameters of the run (`dag.param("name")`) and outputs of other steps
            (`other.output["name"]`), by input name.
        texts: inputs that are texts with KFP placeholders in them, filled in from `inputs`.
        spec: name of the pipeline's YAML file beside the DAG file.
        spec_digest: digest of the YAML that the DAG file was compiled with.
    """

    ui_color = "#e8eef7"

    def __init__(self, *, spec: str, spec_digest: str, texts: Mapping[str, str] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.spec, self.spec_digest, self.texts = spec, spec_digest, dict(texts or {})
        self._runtime: ProcessRuntime | None = None

    def execute(self, context: Context) -> None:
        from turnout.plan.task import make_task
        from turnout.runtime.cache import Cache, fingerprint_with_outside, is_kept
        from turnout.runtime.contract import Run, State
        from turnout.runtime.environments import prepare
        from turnout.runtime.launcher import launch
        from turnout.runtime.placeholders import resolve_text, run_values, step_values
        from turnout.runtime.process import ProcessRuntime
        from turnout.runtime.store import ArtifactStore, with_workspace
        from turnout.spec.deployment_spec import PipelineContainerSpec

        try:
            plan = _plan(str(Path(self.dag.fileloc).parent / self.spec), self.spec_digest)
            steps = {step.path: step for step in plan.steps()}
            if self.task_id not in steps:
                raise TurnoutError(str(Fault(f"no step '{self.task_id}'", self.spec, tuple(steps))))
            step = steps[self.task_id]
            store = ArtifactStore(_setting("root"))
            dag_run, instance = context["dag_run"], context["ti"]
            logical_date = getattr(dag_run, "logical_date", None)
            run = Run(
                plan.name,
                context["run_id"],
                dag_run.run_after.isoformat(),
                logical_date.isoformat() if logical_date else "",
            )
            run = with_workspace(run, plan.config, store)
            facts = run_values(run, str(store.root))
            facts |= step_values(step.path, (), facts)
            values = self.inputs | {name: resolve_text(text, self.inputs, facts) for name, text in self.texts.items()}
            settings = _constants(step.kubernetes)
            timeout = settings.get("activeDeadlineSeconds")
            task = make_task(
                step,
                values,
                run,
                attempt=instance.try_number,
                environment=_secrets().environment(settings, step.path),
                timeout=float(timeout) if timeout else None,
            )
            python, directory = _setting("python"), _setting("directory", required=False) or None
            key = fingerprint_with_outside(task, step.caching, ProcessRuntime(python, directory), directory or ".")
            if isinstance(task.executor, PipelineContainerSpec):
                python, command = prepare(task.executor.command, python, self.log.info)
                task = dataclasses.replace(task, executor=dataclasses.replace(task.executor, command=command))
            self._runtime = ProcessRuntime(python, directory)
        except TurnoutError as error:
            # The same attempt would fail the same way: no retry.
            raise AirflowFailException(str(error)) from error
        cache = Cache(store)
        # Who clears a task wants it to run.
        outcome = cache.find(key) if key and instance.try_number == 1 else None
        if outcome is not None:
            self.log.info("taken from an earlier run with the same code and inputs; its log: %s", outcome.log)
            store.commit(task, outcome)
        else:
            outcome = launch(task, store, self._runtime, self.log.info)
        if outcome.state is not State.SUCCEEDED:
            raise AirflowException(outcome.error)
        if key and is_kept(outcome):
            cache.keep(key, task, outcome)
        artifacts = {name: artifact.to_dict() for name, artifact in outcome.artifacts.items()}
        for name, value in {**outcome.parameters, **artifacts}.items():
            size = len(json.dumps(value))
            if size > XCOM_LIMIT:
                what = f"output '{name}' has {size:,} bytes of JSON, more than the {XCOM_LIMIT:,} that XCom should hold"
                raise AirflowFailException(str(Fault(what, self.task_id, (), "return it as an artifact")))
            instance.xcom_push(key=name, value=value)

    def on_kill(self) -> None:
        if self._runtime is not None:
            self._runtime.cancel()


class When(_Values, SkipMixin):  # type: ignore[misc]
    """A gate: skips what follows unless a condition holds.

    Args:
        condition: a CEL expression over the names in `inputs`.
    """

    ui_color = "#f6efdb"

    def __init__(self, *, condition: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.condition = condition

    def execute(self, context: Context) -> bool:
        from turnout.plan.model import Condition
        from turnout.plan.values import holds

        try:
            true = holds(Condition(self.condition, {}), self.inputs)
        except TurnoutError as error:
            raise AirflowFailException(f"{error} @ {self.task_id}") from error
        self.log.info("%s is %s, with %s", self.condition, str(true).lower(), self.inputs)
        if not true:
            self.skip(ti=context["ti"], tasks=self.get_direct_relatives(upstream=False))
        return true


class End(BaseOperator):  # type: ignore[misc]
    """The end of a group of steps, with the state of all of them together, whichever of them ran.

    It fails when one of them failed, is skipped when the group was, and gives KFP's
    PipelineTaskFinalStatus as its output `status`.

    Args:
        tasks: task ids of the steps inside, and of the gates of groups inside.
        gate: task id of the group's own gate.
    """

    ui_color = "#f2f2f2"

    def __init__(self, *, tasks: Sequence[str], gate: str = "", spec: str = "", spec_digest: str = "", **kwargs: Any):
        super().__init__(trigger_rule="all_done", **kwargs)
        self.tasks, self.gate = list(tasks), gate

    def execute(self, context: Context) -> None:
        from turnout.runtime.contract import Run
        from turnout.runtime.store import ArtifactStore

        instance, run_id = context["ti"], context["run_id"]
        ids = [*self.tasks, *([self.gate] if self.gate else [])]
        found = instance.get_task_states(dag_id=self.dag.dag_id, task_ids=ids, run_ids=[run_id])[run_id]
        failed = [step for step in ids if found.get(step) in ("failed", "upstream_failed")]
        shut = bool(self.gate) and not instance.xcom_pull(task_ids=self.gate, key="return_value")
        skipped = shut or set(found.values()) == {"skipped"}
        status = {
            "state": "FAILED" if failed else "SKIPPED" if skipped else "SUCCEEDED",
            "pipelineJobResourceName": f"{self.dag.dag_id}/{run_id}",
            "pipelineTaskName": self.task_id.rpartition(".")[2].removesuffix("-end"),
        }
        if failed:
            store, run = ArtifactStore(_setting("root")), Run(self.dag.dag_id, run_id, "")
            outcomes = [store.outcome(run, step) for step in failed]
            message = "\n".join(outcome.error for outcome in outcomes if outcome) or "steps failed"
            status["error"] = {"code": 9, "message": message}
        instance.xcom_push(key="status", value=status)
        if failed:
            raise AirflowFailException(f"failed: {', '.join(step for step in failed if found[step] == 'failed')}")
        if skipped:
            raise AirflowSkipException("the whole group was skipped")


@functools.lru_cache(maxsize=8)
def _plan(path: str, digest: str) -> Plan:
    from turnout.plan.link import link
    from turnout.spec.document import digest as digest_of
    from turnout.spec.document import read

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        hint = "deploy the .yaml together with the .py file"
        raise TurnoutError(str(Fault(f"the pipeline cannot be read: {error.strerror}", path, (), hint))) from error
    if digest_of(text) != digest:
        hint = "run turnout compile, and deploy both files"
        raise TurnoutError(str(Fault("not the pipeline that the DAG file was compiled with", path, (), hint)))
    return link(read(text, where=path))


def _secrets() -> Secrets:
    from turnout.runtime.secrets import Secrets

    path = _setting("secrets", required=False)
    return Secrets.read(Path(path)) if path else Secrets()


def _constants(value: Any) -> Any:
    """A step's settings, in which the compiler has allowed no other sources than constants."""
    from turnout.plan.model import Constant

    if isinstance(value, list):
        return [_constants(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _constants(item) for key, item in value.items()}
    return value.value if isinstance(value, Constant) else value


def _setting(name: str, *, required: bool = True) -> str:
    value = conf.get(SECTION, name, fallback="") or ""
    if required and not value:
        variable = f"AIRFLOW__{SECTION.upper()}__{name.upper()}"
        raise TurnoutError(
            str(Fault(f"[{SECTION}] {name} is not set", "the Airflow configuration", (), f"or set {variable}"))
        )
    return str(value)
