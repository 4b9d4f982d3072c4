"""The operators of compiled DAG files: `Step` runs a step, `When` guards a group, `End` tells how one ended, and
`Outputs` what a run gives.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from turnout.airflow.base import PlanOperator
from turnout.airflow.expressions import Inputs
from turnout.airflow.links import MlflowRun, Results, mlflow_run
from turnout.errors import Fault, TurnoutError
from turnout.task_ids import group_of_gate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Asset, Context

    from turnout.airflow.runtimes import Process
    from turnout.plan.model import Plan, Source
    from turnout.spec.step_contract import Outcome, Task


class Step(PlanOperator):
    """A step of a compiled pipeline.

    Its outputs are XComs by their names: parameters as they are, artifacts as references.

    In a DAG written by hand, `Step(task_id="train", spec="training.yaml", inputs={...})` is one step of that pipeline,
    with inputs that are constants, values of any task of the DAG, or its parameters. An artifact is given by its URI,
    or as another step's output.

    Args:
        step: in a DAG written by hand, the path of the step in its pipeline; the task's own name when empty.
        publishes: assets by name of the output that updates them; the event tells the value, or where the
            artifact is, and what it was made of.
        asset_names: names of assets that hold the step's inputs in braces, by output: a run whose inputs are not the
            defaults updates another asset.
    """

    ui_color = "#e8eef7"
    operator_extra_links: tuple[MlflowRun | Results, ...] = (Results(), MlflowRun())

    def __init__(
        self,
        *,
        step: str = "",
        publishes: Mapping[str, Asset] | None = None,
        asset_names: Mapping[str, str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(outlets=list((publishes or {}).values()), **kwargs)
        self.step = ""
        if not self.spec_digest:
            self._place(step or str(self.task_id).removeprefix(f"{self.task_group.group_id}."))
        self.publishes, self.asset_names = dict(publishes or {}), dict(asset_names or {})
        if asset_names:
            from airflow.sdk import AssetAlias

            # Stands for the assets that only a run knows.
            self.outlets.append(AssetAlias(f"{self.dag_id}.{self.task_id}"))
        self._runtime: Process | None = None
        self._ran: tuple[Task, Outcome] | None = None

    def _place(self, step: str) -> None:
        """Make this a step of a pipeline, in a DAG that is written by hand. Raises TurnoutError when that cannot be."""
        from turnout.airflow import by_hand
        from turnout.plan.placed import step_of

        self.spec, self.spec_digest = by_hand.spec_beside(self.dag, self.spec)
        self.step = step
        assert isinstance(self.inputs, Inputs)
        found = step_of(by_hand.read(self.spec, self.spec_digest), step)
        by_hand.check_inputs(found, self.inputs.values, str(self.task_id))

    @property
    def by_hand(self) -> bool:
        """Whether the task is in a DAG that was written by hand."""
        return bool(self.step) or self.group is not None

    def placed(self, plan: Plan) -> Plan:
        from turnout.plan.placed import alone

        return alone(plan, self.step, str(self.task_id)) if self.step else super().placed(plan)

    def sources(self, inputs: Mapping[str, Any]) -> dict[str, Source]:
        # In a DAG written by hand they are not the plan's to say: Airflow gives them when the task runs.
        return {} if self.step else super().sources(inputs)

    def resolve(self, sources: Mapping[str, Source]) -> dict[str, Any]:
        if not self.step:
            return super().resolve(sources)
        from turnout.airflow import by_hand

        assert isinstance(self.inputs, Inputs)
        view = self._view
        try:
            values = {name: by_hand.value_now(value, view.context, view) for name, value in self.inputs.values.items()}
            return by_hand.as_artifacts(view.step(self.task_id), values, view)
        except TurnoutError as error:
            raise AirflowFailException(str(Fault(str(error), self.task_id))) from error

    def perform(self, context: Context) -> None:
        from turnout.execution.cache import Cache

        try:
            task, runtime = self._prepared()
            key = runtime.key(task)
            # Who clears a task wants it to run.
            outcome = Cache(self._view.store).find(key) if key and task.attempt == 1 else None
            if outcome is not None:
                self.log.info("taken from an earlier run with the same code and inputs; its log: %s", outcome.log)
                self._view.store.commit(task, outcome)
            else:
                outcome = runtime.run(task, context, self.log)
        except TurnoutError as error:
            # The same attempt would fail the same way: no retry.
            raise AirflowFailException(str(error)) from error
        self._finish(context, task, outcome, key)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Go on when the triggerer has seen the step's pod end; the name is KubernetesPodOperator's."""
        from turnout.airflow.runtimes import Kubernetes

        self.check_prepared()
        task, runtime = self._prepared()
        assert isinstance(runtime, Kubernetes)
        self._finish(context, task, runtime.resume(task, context, event, self.log), runtime.key(task))

    def _prepared(self) -> tuple[Task, Process]:
        from turnout.airflow import run_record
        from turnout.airflow.runtimes import make_runtime, other_code
        from turnout.plan.task import make_task

        view = self._view
        run_record.begin(view, Path(self.dag.fileloc).parent / self.spec, self.spec_digest, self.by_hand)
        step = view.step(self.task_id)
        runtime = self._runtime = make_runtime(view, step)
        timeout = runtime.settings.get("activeDeadlineSeconds")
        assert isinstance(self.inputs, dict)
        task = make_task(
            step,
            self.inputs,
            view.run,
            iteration=view.iteration,
            attempt=view.instance.try_number,
            environment=runtime.environment() | other_code(),
            timeout=float(timeout) if timeout else None,
            items=view.items,
        )
        return task, runtime

    def _finish(self, context: Context, task: Task, outcome: Outcome, key: str | None) -> None:
        """Make a step's outputs known, or fail as it did."""
        from turnout.execution.cache import Cache, is_kept
        from turnout.spec.step_contract import State

        view = self._view
        self._ran = task, outcome
        if outcome.other_code:
            self.log.warning("the step ran code other than the pipeline was compiled with; its results are not cached")
        if outcome.state is not State.SUCCEEDED:
            raise AirflowException(outcome.error)
        if key and is_kept(outcome):
            Cache(view.store).keep(key, task, outcome)
        artifacts = {name: artifact.to_dict() for name, artifact in outcome.artifacts.items()}
        self.mlflow_run = mlflow_run(artifacts)
        self.operator_extra_links = (Results(), MlflowRun()) if self.mlflow_run else (Results(),)
        for name, value in {**outcome.parameters, **artifacts}.items():
            short = _short(value)
            context["ti"].xcom_push(key=name, value=short)
        if self.publishes or self.asset_names:
            from turnout.airflow.assets import publish

            publish(context, view, task, outcome, self.publishes, self.asset_names, self.log)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The step's datasets, for the OpenLineage provider, which calls this where it is installed."""
        if self._ran is None:
            return None
        from turnout.airflow.openlineage import lineage

        return lineage(self._view, *self._ran)

    def on_kill(self) -> None:
        if self._runtime is not None:
            self._runtime.cancel()


def _short(value: Any) -> Any:
    """A value for XCom, which is Airflow's database; a longer one is in a record of the run."""
    from turnout.airflow.run_view import IN_STORE, XCOM_LIMIT

    return value if len(json.dumps(value)) <= XCOM_LIMIT else IN_STORE


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
        return group_of_gate(str(self.task_id))

    def perform(self, context: Context) -> bool:
        from turnout.plan.conditions import holds
        from turnout.plan.model import Condition

        assert isinstance(self.inputs, dict)
        try:
            true = holds(Condition(self.condition, {}), self.inputs)
        except TurnoutError as error:
            raise AirflowFailException(str(Fault(str(error), self.task_id))) from error
        told = getattr(getattr(self._view.nodes.get(self.node), "condition", None), "label", self.condition)
        self.log.info("%s is %s, with %s", told, str(true).lower(), self.inputs)
        if not true:
            context["ti"].xcom_push(key="return_value", value=False)
            raise AirflowSkipException(f"{told} is false")
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
        self.region = f"{self.group.group_id}.{region}" if region and self.group is not None else region

    def perform(self, context: Context) -> None:
        from turnout.spec.step_contract import State

        state, failed = self._view.ended(self.region, self._view.iteration)
        if state is State.SKIPPED:
            raise AirflowSkipException("the whole group was skipped")
        if state is not State.SUCCEEDED:
            names = ", ".join(self._view.label(step, where) for step, where in failed)
            raise AirflowFailException(f"failed: {names}" if names else "steps before it failed")


class Outputs(PlanOperator):
    """The outputs of a run: XComs by their names, and a record beside those of its steps.

    An output of a branch that did not run is not there; one that cannot be had is told in the log. After a failure
    there are those that there can be, as on the local track, and the task fails: it is one of the last, which make
    the state of the run.
    """

    ui_color = "#e8eef7"

    def __init__(self, **kwargs: Any):
        super().__init__(trigger_rule="all_done", **kwargs)

    def resolve(self, sources: Mapping[str, Source]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, source in sources.items():
            try:
                found |= self._view.values.resolve_all({name: source}, ())
            except TurnoutError as error:
                self.log.error("%s", Fault(str(error), name))
        return found

    def perform(self, context: Context) -> None:
        from turnout.plan.model import giving
        from turnout.spec.step_contract import State

        assert isinstance(self.inputs, dict)
        view = self._view
        if self.group is None:
            view.store.write_outputs(view.run, self.inputs)
        else:
            others = view.store.outputs(view.run)  # a DAG may have several groups
            named = {f"{self.group.group_id}.{name}": value for name, value in self.inputs.items()}
            view.store.write_outputs(view.run, others | named)
        for name, value in self.inputs.items():
            # Of a group, tasks that know nothing of Turnout take them.
            context["ti"].xcom_push(key=name, value=_short(value) if self.group is None else value)
        states = {path: self._view.ended(path, ())[0] for path in giving(self._view.plan)}
        if failed := [path for path, state in states.items() if state not in (State.SUCCEEDED, State.SKIPPED)]:
            count = f"{len(self.inputs)} of {len(self._view.plan.outputs)} outputs are there"
            raise AirflowFailException(f"{count}; failed: {', '.join(failed)}")
