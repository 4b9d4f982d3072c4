"""`on_airflow`: facts of a step that only Airflow uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnout.errors import DefinitionError, Fault
from turnout.spec.airflow_facts import Asset, Notifier, StepFacts, class_faults, facts_to_json
from turnout.spec.assets import field_faults

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
    reads: Sequence[Asset] = (),
    publishes: Mapping[str, Asset] | None = None,
    on_failure: Sequence[Notifier] = (),
) -> PipelineTask:
    """Say how Airflow should run a step. Other tracks do not use it.

    Args:
        task: the step: what a component returns when a pipeline calls it.
        pool: name of the Airflow pool whose slots the step takes.
        pool_slots: how many slots it takes.
        priority: priority weight among tasks that wait for a slot; a higher one starts sooner.
        queue: queue of the workers that may run it, if the executor has queues.
        executor: name of the executor that runs it, if several are configured.
        owner: who is responsible for it.
        max_active: how many instances of the step may run at once, over all runs.
        reads: assets that the step reads, in the place of those that its component names.
        publishes: assets to update when the step succeeds, by the name of the output that each stands for; in the
            place of those that its component names.
        on_failure: whom to notify when it has failed and has no retries left.

    Returns:
        The same step.

    Raises:
        DefinitionError: the step does not have such an output or input, or a notifier's path is not valid.
    """
    faults = [
        Fault(f"no output '{name}'", task.name, tuple(task.outputs))
        for name in publishes or {}
        if name not in task.outputs
    ]
    faults += field_faults([*reads, *(publishes or {}).values()], task.inputs, task.name)
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
        reads=tuple(reads),
        publishes=dict(publishes or {}),
        on_failure=tuple(on_failure),
    )
    task.platform_config["airflow"] = facts_to_json(facts)
    return task
