"""What a step of a pipeline says to Airflow alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnout.errors import DefinitionError, Fault
from turnout.spec.airflow_facts import Asset, Notifier, StepFacts, class_faults, facts_to_json

if TYPE_CHECKING:
    from kfp.dsl import PipelineTask


def on_airflow(
    task: PipelineTask,
    *,
    pool: str | None = None,
    pool_slots: int | None = None,
    priority: int | None = None,
    queue: str | None = None,
    executor: str | None = None,
    owner: str | None = None,
    max_active: int | None = None,
    publishes: Mapping[str, Asset] | None = None,
    on_failure: Sequence[Notifier] = (),
) -> PipelineTask:
    """Say how Airflow should run a step; other tracks have no use for it.

    Args:
        task: the step, as calling its component gave it.
        pool: name of an Airflow pool whose slots the step takes.
        pool_slots: how many of them.
        priority: among tasks that wait for a slot; higher is sooner.
        queue: of workers, where the executor knows queues.
        executor: name of the executor that runs it, where several are configured.
        owner: who answers for it.
        max_active: how many instances of the step may run at once, over all runs.
        publishes: assets by name of the output that updates them when the step succeeds.
        on_failure: who is told when it fails for good.

    Returns:
        The same step.

    Raises:
        DefinitionError: an output that the step does not have, or a notifier that cannot be one.
    """
    faults = [
        Fault(f"no output '{name}'", task.name, tuple(task.outputs))
        for name in publishes or {}
        if name not in task.outputs
    ]
    faults += [fault for notifier in on_failure for fault in class_faults(notifier.path, task.name)]
    if faults:
        raise DefinitionError(faults)
    facts = StepFacts(
        pool=pool,
        pool_slots=pool_slots,
        priority=priority,
        queue=queue,
        executor=executor,
        owner=owner,
        max_active=max_active,
        publishes=dict(publishes or {}),
        on_failure=tuple(on_failure),
    )
    task.platform_config["airflow"] = facts_to_json(facts)
    return task
