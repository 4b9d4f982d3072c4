"""Events of assets: which asset a step has updated, and what it is now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from turnout.plan.lineage import ancestors
from turnout.spec.airflow_facts import Asset as Named
from turnout.spec.assets import named
from turnout.spec.step_contract import Artifact, Outcome, Task

if TYPE_CHECKING:
    import logging

    from airflow.sdk import Context

    from turnout.airflow.run_view import View

_MOST = 1000
"""Characters of JSON that a fact of an event may have: it is for people, and in Airflow's database."""

_OF_DATA = ("source", "revision", "interval", "newest", "rows", "data_digest")
"""What `ingest` says of what it read."""


def publish(
    context: Context,
    view: View,
    task: Task,
    outcome: Outcome,
    assets: Mapping[str, Asset],
    names: Mapping[str, str],
    log: logging.Logger,
) -> None:
    """Say in the events of a task's assets what they are now. An output that is an empty text has updated nothing.

    Args:
        assets: those of a run by the pipeline's defaults, by output.
        names: by output, those names that hold the step's inputs. A run with other values updates another asset, and
            not that of the defaults.
    """
    inputs = given_to(task)
    for output in dict.fromkeys([*assets, *names]):
        asset = assets.get(output)
        nothing = outcome.parameters.get(output) == ""
        actual = named(Named(names[output]), inputs) if output in names and not nothing else None
        if nothing or (output in names and (asset is None or actual is None or actual.name != asset.name)):
            if asset is not None:
                # Airflow makes an event for each outlet that a task has when it ends. The list is the DAG's, too.
                running = context["ti"].task
                running.outlets = [
                    item for item in running.outlets if isinstance(item, AssetAlias) or item.name != asset.name
                ]
            asset = _asset(actual.name, log) if actual else None
            if asset is not None and output in outcome.outputs:
                (alias,) = (item for item in context["ti"].task.outlets if isinstance(item, AssetAlias))
                context["outlet_events"][alias].add(asset, extra=event_facts(view, task, outcome, output))
        elif asset is not None and output in outcome.outputs:
            context["outlet_events"][asset].extra = event_facts(view, task, outcome, output)


def given_to(task: Task) -> dict[str, Any]:
    """The parameters of a step by name, with the defaults of those that it was not given."""
    declared = task.component.input_definitions
    defaults = {name: item.default_value for name, item in (declared.parameters if declared else {}).items()}
    return {**defaults, **task.parameters}


def _asset(name: str, log: logging.Logger) -> Asset | None:
    try:
        return Asset(name=name)
    except ValueError as error:
        log.warning("no event of an asset: '%s' cannot be the name of one: %s", name, error)
        return None


def event_facts(view: View, task: Task, outcome: Outcome, output: str) -> dict[str, Any]:
    """What is known of an output: where or what it is, the step's other values, the data and the metrics behind it."""
    facts: dict[str, Any] = {"run_id": view.run.run_id}
    if artifact := outcome.artifacts.get(output):
        facts |= {"uri": artifact.uri, "digest": artifact.digest}
        facts |= {key: value for key, value in artifact.metadata.items() if _is_short(value)}
    else:
        value = outcome.parameters[output]
        facts["value"] = value if _is_short(value) else "longer: in the step's record"
    facts |= {key: value for key, value in outcome.parameters.items() if key != output and _is_short(value)}
    data: dict[str, Any] = {}
    metrics: dict[str, Any] = _numbers(task.path, outcome)
    for step in ancestors(view.plan, task.path, conditions=True):
        iteration = view.iteration[: len(view.loops(step.path))]
        if len(iteration) < len(view.loops(step.path)) or not (
            made := view.store.outcome(view.run, step.path, iteration)
        ):
            continue
        for item in made.artifacts.values():
            if source := item.metadata.get("source"):
                known = {key: item.metadata[key] for key in _OF_DATA if item.metadata.get(key)}
                data.setdefault(source, known)
        metrics |= _numbers(step.path, made)
    return facts | ({"data": list(data.values())} if data else {}) | ({"metrics": metrics} if metrics else {})


def _numbers(path: str, outcome: Outcome) -> dict[str, float]:
    """The numbers that a step has logged, as `STEP.METRIC`."""
    return {
        f"{path.rpartition('.')[2]}.{name}": value
        for artifact in outcome.artifacts.values()
        if _is_metrics(artifact)
        for name, value in artifact.metadata.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _is_metrics(artifact: Artifact) -> bool:
    return artifact.type in ("system.Metrics", "system.ClassificationMetrics")


def _is_short(value: Any) -> bool:
    return len(json.dumps(value, default=str)) <= _MOST
