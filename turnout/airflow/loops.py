"""Loops: a mapped task group whose tasks have one instance for each item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException

from turnout import task_ids
from turnout.airflow.base import ITEM, PlanOperator
from turnout.airflow.expressions import Collected, Item
from turnout.airflow.internals import DictOfListsExpandInput, MappedTaskGroup, TaskGroupContext
from turnout.errors import Fault, TurnoutError

if TYPE_CHECKING:
    from airflow.sdk import Context


class Items(PlanOperator):
    """What a loop goes over: gives the indices of its iterations, for Airflow to map the loop's tasks over.

    Args:
        items: a list, or an expression of one.
    """

    ui_color = "#efe6f5"

    def __init__(self, *, items: Any, **kwargs: Any):
        super().__init__(inputs={"items": items}, **kwargs)

    @property
    def node(self) -> str:
        return task_ids.loop_of_items(str(self.task_id))

    def perform(self, context: Context) -> list[list[int]]:
        from turnout.airflow.run_view import items_of

        assert isinstance(self.inputs, dict)
        try:
            count = len(items_of(self.inputs.get("items")))
        except TurnoutError as error:
            raise AirflowFailException(str(Fault(str(error), self.task_id))) from error
        _check_length(count, self.task_id)
        self.log.info("%d iterations", count)
        return [[*self._view.iteration, index] for index in range(count)]


class Iterations(PlanOperator):
    """All iterations of a loop in a loop: Airflow can map over one list only."""

    ui_color = "#efe6f5"

    def __init__(self, **kwargs: Any):
        super().__init__(trigger_rule="all_done", **kwargs)

    def perform(self, context: Context) -> list[list[int]]:
        loop = task_ids.loop_of_iterations(str(self.task_id))
        lists = context["ti"].xcom_pull(task_ids=[task_ids.items(loop)]) or []
        found = [iteration for items in lists for iteration in items or ()]
        _check_length(len(found), self.task_id)
        self.log.info("%d iterations", len(found))
        return found


@attrs.define(repr=False, init=False)
class Loop(MappedTaskGroup):  # type: ignore[misc]
    """The tasks of a loop, each with one instance for each item, which is called by it.

    Airflow cannot nest mapped task groups: a loop in a loop becomes a group beside the outer one, with one
    instance for each pair of items. What fails for one item leaves the others alone.

    Args:
        group_id: name of the loop.
        over: its `Items`.
        parallelism: how many instances of each task in it may run at once; 0: no limit.
        group_display_name: its name for people.
    """

    # Beside the outer loop, a group's name is a path, whose dots Airflow does not allow in a name.
    _group_id: str | None = attrs.field(alias="group_id", default=None)

    def __init__(self, group_id: str, over: Items, parallelism: int = 0, group_display_name: str = ""):
        around = parent = TaskGroupContext.get_current()
        outer = list(around.iter_mapped_task_groups())
        if outer:
            parent = outer[-1].parent_group
            group_id = around.child_id(group_id).removeprefix(f"{parent.group_id}." if parent.group_id else "")
            every = Iterations(task_id=task_ids.iterations(group_id), task_group=parent)
            every.set_upstream(over)
        most = {"max_active_tis_per_dagrun": parallelism} if parallelism else {}
        self.__attrs_init__(  # type: ignore[call-arg]
            group_id=group_id,
            group_display_name=group_display_name,
            parent_group=parent,
            default_args={"map_index_template": ITEM} | most,
            expand_input=DictOfListsExpandInput({"iteration": every.output if outer else over.output}),
        )

    @property
    def item(self) -> Item:
        """The item that an instance is for."""
        return Item(self)

    def collect(self, value: Any) -> Collected:
        """The values in all iterations, as a list."""
        return Collected(self, value)


def _check_length(count: int, where: str) -> None:
    most = conf.getint("core", "max_map_length")
    if count > most:
        what = f"{count:,} iterations, more than the {most:,} that Airflow is set to"
        raise AirflowFailException(str(Fault(what, where, (), "raise [core] max_map_length, or loop over less")))
