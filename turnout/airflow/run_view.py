"""What a task can know about its run: the plan, its own iteration, the values there are, how others ended.

Values come from XCom and states from Airflow's database, both through the worker's API; what they mean is
the plan's to say.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from turnout import task_ids
from turnout.airflow.plans import read_plan
from turnout.airflow.provider import SECTION
from turnout.errors import ParameterError, StepError, TurnoutError
from turnout.execution.importer import artifact_at
from turnout.execution.store import ArtifactStore, with_workspace
from turnout.plan.model import Node, Region, Step
from turnout.plan.parameters import empty_value, with_data_interval
from turnout.plan.results import StepResult
from turnout.plan.values import Iteration, Values, parsed
from turnout.spec.form import combination_faults
from turnout.spec.json_schema import value_faults
from turnout.spec.placeholders import run_values
from turnout.spec.step_contract import Run, State
from turnout.spec.values import ABSENT

if TYPE_CHECKING:
    from airflow.sdk import Context

    from turnout.airflow.base import PlanOperator

XCOM_LIMIT = 48 * 1024
"""Bytes of JSON that an output may have in XCom, which is the scheduler's database."""

IN_STORE = {"turnout": "too long for XCom: in the step's record"}
"""What XCom holds for an output that is longer."""


class View:
    """A run as seen from one of its tasks."""

    def __init__(self, task: PlanOperator, context: Context):
        path, digest = str(Path(task.dag.fileloc).parent / task.spec), task.spec_digest
        self.plan = task.placed(read_plan(path, digest))
        self.group = task.group
        self.context, self.instance = context, context["ti"]
        self.store = ArtifactStore(setting("root"))
        self.nodes: dict[str, Node] = {region.path: region for region in self.plan.root.regions()}
        self.nodes |= {step.path: step for step in self.plan.steps()}
        self.parents = {node.path: region for region in self.plan.root.regions() for node in region.nodes}
        self.dag_id = str(task.dag_id)
        self.run = self._run()
        if self.group and task.trigger_rule == "all_done":
            self._check_started()
        self.values = Values(
            self.plan,
            self._parameters(self.group.given(context, self) if self.group else context["params"]),
            run_values(self.run, str(self.store.root)),
            outputs=_Outputs(self),  # type: ignore[arg-type]
            items=_Items(self),  # type: ignore[arg-type]
            statuses=_Statuses(self),  # type: ignore[arg-type]
            artifact_at=lambda *facts: artifact_at(self.store, *facts).to_dict(),
        )
        loop = task.get_closest_mapped_task_group()
        self.iteration: Iteration = ()
        if getattr(task, "step", "") and self.instance.map_index >= 0:  # mapped by hand
            self.iteration = (self.instance.map_index,)
        elif loop is not None:
            self.iteration = tuple(self.iterations(str(loop.group_id))[self.instance.map_index])
        self.items = self.item_labels(task.node, self.iteration)

    def item_labels(self, node: str, iteration: Iteration) -> tuple[str, ...]:
        """What the items of the loops around a node are called; where they cannot be had, another error tells it."""
        try:
            return self.values.item_labels(node, iteration)
        except (TurnoutError, LookupError):
            return ()

    def label(self, step: str, iteration: Iteration) -> str:
        """What a step of the run is called, in an iteration."""
        title, items = self.plan.title(step), self.item_labels(step, iteration)
        return StepResult(step, iteration, title=title, items=items).label

    def _run(self) -> Run:
        dag_run = self.context["dag_run"]
        date = getattr(dag_run, "logical_date", None)
        created = dag_run.run_after.isoformat()
        run = Run(self.dag_id, self.context["run_id"], created, date.isoformat() if date else "")
        return with_workspace(run, self.plan.config, self.store)

    def _parameters(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the run's parameters. Raises ParameterError when some do not go together."""
        schemas = {name: dict(item.schema) for name, item in self.plan.parameters.items()}
        given = {name: params.get(name, item.default) for name, item in self.plan.parameters.items()}
        given = {name: empty_value(schemas[name]) if value is None else value for name, value in given.items()}
        faults = combination_faults(schemas, given, self.plan.name)
        interval_names = self.plan.document.platform_config("airflow").get("data_interval", ())
        # Airflow has checked all but these, which the form may not have.
        for name in interval_names:
            faults += value_faults(given[name], schemas[name], f"{self.plan.name}.{name}")
        if faults:
            raise ParameterError(faults)
        if not interval_names:
            return given
        dag_run = self.context["dag_run"]
        start, end = dag_run.data_interval_start, dag_run.data_interval_end
        # A run that was started by hand or by an asset may have no interval, or one of no length.
        interval = (start, end) if start and end and start < end else None
        return with_data_interval(given, self.plan.airflow, dag_run.run_after, interval)

    def step(self, path: str) -> Step:
        """A step of the plan.

        Raises:
            TurnoutError: there is none of that path.
        """
        node = self.nodes.get(path)
        if not isinstance(node, Step):
            steps = tuple(step.path for step in self.plan.steps())
            raise TurnoutError(f"no step '{path}'", where=self.plan.name, available=steps)
        return node

    # --- loops: an iteration is one index for each loop, an instance of a mapped task has one index ---------

    def loops(self, path: str) -> list[str]:
        """The loops around a node, outermost first."""
        regions = (region for region in self.plan.root.regions() if region.loop)
        return [region.path for region in regions if path.startswith(f"{region.path}.")]

    @functools.cache  # noqa: B019 - a view lives as long as its task
    def iterations(self, loop: str) -> list[Iteration]:
        """All iterations of a loop, in the order of the instances of the tasks in it."""
        task = task_ids.iterations(loop) if self.loops(loop) else task_ids.items(loop)
        found = self.instance.xcom_pull(task_ids=task, map_indexes=-1)
        return [tuple(item) for item in found or ()]

    def map_index(self, path: str, iteration: Iteration) -> int | None:
        """The instance of a node's task that is an iteration of it; None when there is none."""
        loops = self.loops(path)
        if not loops:
            return -1
        found = self.iterations(loops[-1])
        wanted = iteration[: len(loops)]
        return found.index(wanted) if wanted in found else None

    # --- values ---------------------------------------------------------------------------------------------

    def output(self, step: str, name: str, iteration: Iteration) -> Any:
        """An output of a step; ABSENT when there is none."""
        index = self.map_index(step, iteration)
        if index is None:
            return ABSENT
        if iteration == self.iteration[: len(iteration)]:
            value = self.instance.xcom_pull(task_ids=step, key=name, map_indexes=index)
        else:
            every = self._all_outputs(step, name)
            value = every[index] if every else None
        if value == IN_STORE:
            outcome = self.store.outcome(self.run, step, iteration)
            artifacts = {key: item.to_dict() for key, item in outcome.artifacts.items()} if outcome else {}
            value = {**outcome.parameters, **artifacts}.get(name) if outcome else None
        return ABSENT if value is None else value

    @functools.cache  # noqa: B019
    def _all_outputs(self, step: str, name: str) -> list[Any]:
        """An output of all iterations of a step, in one request where no iteration lacks it."""
        count = len(self.iterations(self.loops(step)[-1]))
        every = self.instance.xcom_pull(task_ids=[step], key=name) or []
        if len(every) == count and None not in every:
            return list(every)
        return [self.instance.xcom_pull(task_ids=step, key=name, map_indexes=index) for index in range(count)]

    # --- states ---------------------------------------------------------------------------------------------

    def ended(self, path: str, iteration: Iteration) -> tuple[State, list[tuple[str, Iteration]]]:
        """How a step or all of a region ended, and the steps that failed in it."""
        states = self._states(path, iteration)
        failed = [at for at, state in states.items() if state == "failed"]
        if failed:
            return State.FAILED, failed
        if "upstream_failed" in states.values():
            return State.NOT_TRIGGERED, []
        skipped = set(states.values()) == {"skipped"} and not self._asked_inside(path, states)
        return State.SKIPPED if skipped else State.SUCCEEDED, []

    def _states(self, path: str, iteration: Iteration) -> dict[tuple[str, Iteration], str]:
        """Airflow's states of the tasks of a step or region, its gate among them, by task and iteration."""
        node = self.nodes[path]
        tasks = [path]
        if isinstance(node, Region):
            tasks = [*([task_ids.gate(path)] if node.guarded else []), *_tasks(node)]
        run_id = self.run.run_id
        known = self.instance.get_task_states(dag_id=self.dag_id, task_ids=tasks, run_ids=[run_id])[run_id]
        return {
            (task, where): str(known[key])
            for task in tasks
            for where, key in self._instances(task, iteration)
            if key in known
        }

    def _asked_inside(self, path: str, states: Mapping[tuple[str, Iteration], str]) -> bool:
        """Whether a gate inside a region was asked.

        Then the region did start, and all that is in it was skipped by the answers; without, it was skipped itself.
        """
        gates = [at for at in states if task_ids.is_gate(at[0], self.nodes) and at[0] != task_ids.gate(path)]
        return any(self.opened(task_ids.group_of_gate(task), where) is not None for task, where in gates)

    def opened(self, region: str, iteration: Iteration) -> bool | None:
        """Whether the gate of a region let it start; None when it was not asked."""
        index = self.map_index(region, iteration)
        if index is None:
            return None
        found: bool | None = self.instance.xcom_pull(
            task_ids=task_ids.gate(region), key="return_value", map_indexes=index
        )
        return found

    def _check_started(self) -> None:
        """Keep a task from its work that starts whatever has failed, when its pipeline, a group, did not start at all.

        Raises:
            AirflowSkipException: what is before the group was skipped.
            AirflowFailException: it failed.
        """
        first = list(_first(self.plan.root))
        known = self.instance.get_task_states(dag_id=self.dag_id, task_ids=first, run_ids=[self.run.run_id])
        states = {state for state in known[self.run.run_id].values() if state is not None}
        gates = (task_ids.group_of_gate(task) for task in first if task_ids.is_gate(task, self.nodes))
        if not states <= {"upstream_failed", "skipped"} or any(self.opened(gate, ()) is not None for gate in gates):
            return
        if "upstream_failed" in states:
            raise AirflowFailException("the pipeline did not start: what it waits for has failed")
        raise AirflowSkipException("the pipeline did not start: what it waits for was skipped")

    def _instances(self, task: str, iteration: Iteration) -> Iterator[tuple[Iteration, str]]:
        """The iterations of a task under one of something around it, and their keys among the states."""
        loops = self.loops(task)
        found = self.iterations(loops[-1]) if loops else []
        if not found:
            yield (), task
        for index, where in enumerate(found):
            if where[: len(iteration)] == iteration:
                yield where, f"{task}_{index}"

    def status(self, path: str, iteration: Iteration) -> dict[str, Any]:
        """KFP's PipelineTaskFinalStatus of a step or region."""
        state, failed = self.ended(path, iteration)
        name = self.nodes[path].key or self.plan.name
        resource = self.values.run[".pipeline_job_resource_name"]
        status: dict[str, Any] = {
            "state": state.value,
            "pipelineJobResourceName": resource,
            "pipelineTaskName": name,
        }
        if state not in (State.SUCCEEDED, State.SKIPPED):
            outcomes = (self.store.outcome(self.run, step, where) for step, where in failed)
            message = "\n".join(outcome.error for outcome in outcomes if outcome)
            status["error"] = {"code": 9, "message": message or "The DAG failed because some tasks failed."}
        return status


class _Outputs:
    """The outputs of steps, as `Values` reads them."""

    def __init__(self, view: View):
        self.view = view

    def get(self, key: tuple[str, Iteration], default: Any = None) -> _OutputsOf:
        return _OutputsOf(self.view, *key)


class _OutputsOf:
    def __init__(self, view: View, step: str, iteration: Iteration):
        self.view, self.step, self.iteration = view, step, iteration

    def get(self, name: str, default: Any = None) -> Any:
        return self.view.output(self.step, name, self.iteration)


class _Items:
    """The items of loops, as `Values` reads them."""

    def __init__(self, view: View):
        self.view = view

    def __getitem__(self, key: tuple[str, Iteration]) -> list[Any]:
        loop, iteration = key
        region = self.view.nodes[loop]
        assert isinstance(region, Region)
        assert region.loop
        return items_of(self.view.values.resolve(region.loop.items, iteration))

    def get(self, key: tuple[str, Iteration], default: Any = ()) -> Any:
        loop, iteration = key
        depth = len(iteration)
        return default if not any(item[:depth] == iteration for item in self.view.iterations(loop)) else self[key]


class _Statuses:
    """How things ended, as `Values` reads it."""

    def __init__(self, view: View):
        self.view = view

    def __getitem__(self, key: tuple[str, Iteration]) -> Mapping[str, Any]:
        return self.view.status(*key)


def items_of(value: Any) -> list[Any]:
    """What a loop goes over: a list, or the text of one in JSON.

    Raises:
        StepError: it is something else.
    """
    value = parsed(value) if isinstance(value, str) else value
    if not isinstance(value, list):
        raise StepError(f"the loop's items are not a list: {value!r:.80}")
    return value


def _first(region: Region) -> Iterator[str]:
    """The ids of the tasks of a region that wait for none in it."""
    for node in region.nodes:
        if node.after:
            continue
        if not isinstance(node, Region):
            yield node.path
        elif node.guarded:
            yield task_ids.gate(node.path)
        elif node.loop:
            yield task_ids.items(node.path)
        else:
            yield from _first(node)


def _tasks(region: Region) -> Iterator[str]:
    """The ids of all tasks in a region whose failure is the region's."""
    if region.loop:
        yield task_ids.items(region.path)
    for node in region.nodes:
        if isinstance(node, Region):
            if node.guarded:
                yield task_ids.gate(node.path)
            yield from _tasks(node)
        else:
            yield node.path


def setting(name: str, *, required: bool = True) -> str:
    """An option of the `[turnout]` section of Airflow's configuration."""
    value = conf.get(SECTION, name, fallback="") or ""
    if required and not value:
        variable = f"AIRFLOW__{SECTION.upper()}__{name.upper()}"
        raise TurnoutError(
            f"[{SECTION}] {name} is not set", where="the Airflow configuration", hint=f"or set {variable}"
        )
    return str(value)
