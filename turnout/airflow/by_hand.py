"""What DAGs written by hand need: values of any of Airflow's tasks as inputs, and checks when they are parsed."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import XComArg

from turnout.airflow.internals import DagParam
from turnout.errors import Fault, PlanError, StepError, TurnoutError, did_you_mean
from turnout.execution.importer import artifact_at

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context

    from turnout.airflow.run_view import View
    from turnout.plan.model import Plan, Source, Step

HINT = "give what JSON has: texts, numbers, true and false, lists, dicts; for data, the URI of where it is"


def spec_beside(dag: DAG, spec: str) -> tuple[str, str]:
    """The path of a pipeline's YAML, from the directory of the DAG's file on, and its digest.

    Raises:
        TurnoutError: it cannot be read.
    """
    from turnout.spec.document import digest

    path = Path(dag.fileloc).parent / spec
    try:
        return str(path), digest(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "turnout compile writes it: deploy it beside the DAG file, or give an absolute path"
        raise TurnoutError(f"the pipeline cannot be read: {reason}", where=str(path), hint=hint) from error


def read(path: str, digest: str) -> Plan:
    """The plan of a YAML. Raises TurnoutError when it is none, or what Airflow cannot run is in it."""
    from turnout.airflow.plans import read_plan
    from turnout.airflow.run_view import setting
    from turnout.tracks.airflow import faults_in_group

    plan = read_plan(path, digest)
    if faults := faults_in_group(plan, setting("runtime", required=False) or None):
        raise PlanError(faults)
    return plan


# --- inputs of a step -------------------------------------------------------------------------------------


def check_inputs(step: Step, inputs: Mapping[str, Any], where: str) -> None:
    """Hold the inputs that a step is given in a DAG against its component.

    Raises:
        PlanError: unknown and missing names, constants that do not fit, all of them.
    """
    from turnout.spec.json_schema import convert
    from turnout.spec.pipeline_spec import ComponentInputsSpec
    from turnout.spec.values import ABSENT

    declared = step.component.input_definitions or ComponentInputsSpec()
    names = (*declared.parameters, *declared.artifacts)
    faults = [unknown(name, where, names) for name in inputs if name not in names]
    for name, item in declared.parameters.items():
        if name not in inputs:
            if not item.is_optional and item.default_value is ABSENT:
                faults.append(missing(name, where))
        elif not is_late(inputs[name]):
            try:
                convert(inputs[name], item.parameter_type)
            except ValueError as error:
                faults.append(Fault(str(error), f"{where}.{name}"))
    faults += [missing(name, where) for name, item in declared.artifacts.items() if _lacks(name, item, inputs)]
    if any(True for _ in _sources(step.kubernetes)):
        hint = "make its pipeline a task group: task_group(...)"
        faults.append(Fault("the step's settings need values of its pipeline", where, hint=hint))
    if faults:
        raise PlanError(faults)


def _lacks(name: str, item: Any, inputs: Mapping[str, Any]) -> bool:
    return name not in inputs and not item.is_optional


def _sources(settings: Any) -> Iterator[Source]:
    """What a step's settings take from elsewhere in its pipeline."""
    from turnout.plan.model import Constant, Source

    if isinstance(settings, Mapping | list):
        for item in settings.values() if isinstance(settings, Mapping) else settings:
            yield from _sources(item)
    elif isinstance(settings, Source) and not isinstance(settings, Constant):
        yield settings


def unknown(name: str, where: str, names: Sequence[str]) -> Fault:
    """That there is no input of a name."""
    return Fault(f"no input '{name}'", where, tuple(names), did_you_mean(name, names))


def missing(name: str, where: str) -> Fault:
    """That an input is not given which has no default."""
    return Fault(f"input '{name}' is not given, and has no default", where, hint=f'inputs={{"{name}": ...}}')


# --- values of other tasks --------------------------------------------------------------------------------


def is_late(value: Any) -> bool:
    """Whether a value is known only when a task runs: it is, or has in it, a task's or a parameter of the DAG."""
    if isinstance(value, XComArg | DagParam):
        return True
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple | set) else ()
    return any(map(is_late, inside))


def value_now(value: Any, context: Context, view: View) -> Any:
    """A value that tasks and parameters of the DAG may be in, as JSON has it.

    Raises:
        StepError: it is something that JSON has not, or a task has not given it.
    """
    if isinstance(value, XComArg | DagParam):
        return plain(_looked_up(value, context, view))
    if isinstance(value, Mapping):
        return {key: value_now(item, context, view) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [value_now(item, context, view) for item in value]
    return plain(value)


def _looked_up(value: Any, context: Context, view: View) -> Any:
    from airflow.sdk.exceptions import AirflowException

    from turnout.airflow.run_view import IN_STORE

    try:
        found = value.resolve(context)
    except (AirflowException, RuntimeError) as error:
        raise StepError(f"there is no value: {error}", hint="did the task that gives it succeed?") from error
    if found == IN_STORE:
        ((task, key),) = value.iter_references()
        outcome = view.store.outcome(view.run, task.task_id, ())
        artifacts = {name: item.to_dict() for name, item in outcome.artifacts.items()} if outcome else {}
        return {**outcome.parameters, **artifacts}.get(key) if outcome else None
    return found


def plain(value: Any) -> Any:
    """A value of Python as JSON has it: sequences as lists, times and paths as texts.

    Raises:
        StepError: JSON has no such thing.
    """
    if value is None or isinstance(value, str | bool | int | float):
        json.dumps(value, allow_nan=True)
        return value
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    raise StepError(f"a {type(value).__name__} cannot be an input", hint=HINT)


def uris(value: Any) -> Any:
    """Where artifacts are: of a reference, as tasks give them, its URI."""
    if isinstance(value, list):
        return [uris(item) for item in value]
    return value.get("uri") if isinstance(value, Mapping) else value


def as_artifacts(step: Step, values: Mapping[str, Any], view: View) -> dict[str, Any]:
    """The values of a step's inputs, of which artifacts may be URIs.

    Raises:
        StepError: at a path of this machine is nothing.
    """
    declared = step.component.input_definitions

    def artifact(name: str, kind: str, value: Any) -> Any:
        if isinstance(value, list):
            return [artifact(name, kind, item) for item in value]
        return artifact_at(view.store, name, kind, value).to_dict() if isinstance(value, str) else value

    kinds = {
        name: (item.artifact_type.schema_title if item.artifact_type else None) or "system.Artifact"
        for name, item in (declared.artifacts if declared else {}).items()
    }
    return {name: artifact(name, kinds[name], value) if name in kinds else value for name, value in values.items()}
