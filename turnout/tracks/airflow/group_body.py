"""The tasks of a pipeline as the body of a task group, for a DAG that is written by hand."""

from __future__ import annotations

from turnout.plan.model import Plan
from turnout.tracks.airflow.arguments import asset_arguments, step_arguments
from turnout.tracks.airflow.dag_file import DagFile, imports
from turnout.tracks.airflow.ends import ends_in_parts
from turnout.tracks.airflow.python_source import literal


class GroupBody(DagFile):
    """The text of a function `fill(group)` that makes a pipeline's tasks in a group, and of `DEFAULTS` for them all.

    What a pipeline says of a DAG, its schedule and its tags, is for the DAG around the group to say.
    """

    holder = "group"

    def __init__(self, plan: Plan):
        super().__init__(plan, "", "")
        # The DAG around it has the schedule: an interval that is not given is looked up when a task runs.
        self.interval = ()
        # Who waits for the group must not be skipped with a branch of it.
        self.ends |= {""} if ends_in_parts(plan.root) else set()

    def text(self) -> str:
        defaults = step_arguments(self.facts.steps) | asset_arguments(self.facts.steps, {})
        text = f"DEFAULTS = {literal(defaults, 0)}\n\n\ndef fill(group):\n{self.body()}"
        return f"{imports(text)}\n\n{text}"
