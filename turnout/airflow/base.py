"""What the operators of compiled DAG files have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from turnout.airflow.expressions import Inputs, source, waits_for
from turnout.airflow.groups import PipelineGroup
from turnout.errors import Fault, TurnoutError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from turnout.airflow.run_view import View
    from turnout.plan.model import Plan, Source


ITEM = "{{ loop_item | default('') }}"
"""The template of what Airflow calls an instance of a task in a loop: what the items are called that it works on."""

LONGEST_LABEL = 250
"""Letters that Airflow's database has for it."""


class PlanOperator(BaseOperator):  # type: ignore[misc]
    """A task of a compiled DAG: its inputs are values or expressions, never Jinja templates.

    What a user types, or a step returns, is data: it is passed on as it is, whatever braces it holds. A task
    waits for the tasks whose outputs it takes; what lies outside its loop, the loop itself waits for.

    Args:
        inputs: constants, parameters of the run (`dag.param("name")`), outputs of other tasks
            (`other.output["name"]`) and expressions, by input name.
        spec: name of the pipeline's YAML file beside the DAG file.
        spec_digest: digest of the YAML that the DAG file was compiled with; empty in one written by hand.
    """

    template_fields: Sequence[str] = ("inputs",)
    _refusal: AirflowException | None = None

    def __init__(self, *, spec: str, spec_digest: str = "", inputs: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.spec, self.spec_digest = spec, spec_digest
        self.inputs: Inputs | dict[str, Any] = Inputs(inputs or {})
        here = _loop(self)
        for value in (inputs or {}).values():
            self.set_upstream([task for task in waits_for(value) if _loop(task) == here])

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Put the values of the inputs in their place, as Airflow's page of the task will show them.

        What keeps the task from running is told by `execute`: Airflow's page folds away what a task says before that.
        """
        assert isinstance(self.inputs, Inputs)
        try:
            self._prepare(context, self.sources(self.inputs.values))
        except AirflowException as error:
            self._refusal, self.inputs = error, {}

    def execute(self, context: Context) -> Any:
        self.check_prepared()
        return self.perform(context)

    def perform(self, context: Context) -> Any:
        """What the task does."""
        raise NotImplementedError

    def check_prepared(self) -> None:
        """Raises what has kept the task from running."""
        if self._refusal is not None:
            raise self._refusal

    def sources(self, inputs: Mapping[str, Any]) -> dict[str, Source]:
        """Where the values of the inputs come from."""
        return {name: source(value) for name, value in inputs.items()}

    def placed(self, plan: Plan) -> Plan:
        """The plan as it stands in this task's DAG: in one that was written by hand, inside a group of it."""
        from turnout.plan.placed import inside

        return inside(plan, str(self.group.group_id)) if self.group is not None else plan

    @property
    def group(self) -> PipelineGroup | None:
        """The group, in a DAG that was written by hand, that the task's pipeline is."""
        return next((item for item in _groups(self) if isinstance(item, PipelineGroup)), None)

    def _prepare(self, context: Context, sources: Mapping[str, Source]) -> None:
        self._view = self.view(context)
        context["loop_item"] = ", ".join(self._view.items)[:LONGEST_LABEL]
        self._check_open()
        self.inputs = self.resolve(sources)

    def resolve(self, sources: Mapping[str, Source]) -> dict[str, Any]:
        """The values of the inputs; without those that nothing has produced.

        Raises:
            AirflowFailException: one cannot be had; trying again does not help.
        """
        try:
            return self._view.values.resolve_all(sources, self._view.iteration, self.node)
        except TurnoutError as error:
            raise AirflowFailException(str(Fault(str(error), self.task_id))) from error

    @property
    def node(self) -> str:
        """Path of the plan's node that this is a task of."""
        return str(self.task_id)

    def view(self, context: Context) -> View:
        """The run as seen from this task.

        Raises:
            AirflowFailException: the pipeline's YAML is not that of this file; trying again does not help.
        """
        from turnout.airflow.run_view import View

        try:
            return View(self, context)
        except TurnoutError as error:
            raise AirflowFailException(str(error)) from error

    def _check_open(self) -> None:
        """Skip a task that Airflow starts though something before it was skipped, or the group around it."""
        view = self._view
        node, parent = view.nodes.get(self.node), view.parents.get(self.node)
        if node is None:
            return
        if node.always and parent and parent.guarded and not view.opened(parent.path, view.iteration):
            raise AirflowSkipException("the group around it did not start")
        if self.trigger_rule == "none_failed":
            from turnout.spec.step_contract import State

            for other in node.after:
                if view.ended(other, view.iteration)[0] is State.SKIPPED:
                    raise AirflowSkipException(f"{other} was skipped")


def _groups(task: BaseOperator) -> Iterator[Any]:
    """The groups around a task, the innermost first."""
    group = task.task_group
    while group is not None:
        yield group
        group = group.parent_group


def _loop(task: BaseOperator) -> str | None:
    """The loop that a task is in."""
    group = task.get_closest_mapped_task_group()
    return str(group.group_id) if group is not None else None
