"""What Turnout takes from inside Airflow, since no public module has it. No other file does.

`tests/airflow/test_internals.py` names each, and the versions in which it was seen: an Airflow that moves one is told
there. What is heavy to import is imported when it is asked for.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext
from airflow.sdk.definitions._internal.expandinput import DictOfListsExpandInput
from airflow.sdk.definitions.param import DagParam
from airflow.sdk.definitions.taskgroup import MappedTaskGroup

__all__ = ["DagParam", "DictOfListsExpandInput", "MappedTaskGroup", "TaskGroupContext", "may_read_runs", "timetables"]

SEEN_IN = ("3.3.2",)
"""The versions of Airflow in which all of it was seen."""


def timetables() -> tuple[type, ...]:
    """The base classes of timetables: the SDK's, and that of plugins."""
    from airflow.timetables.base import Timetable

    return BaseTimetable, Timetable


def may_read_runs() -> Any:
    """What a page of the API server depends on whose path has a `dag_id`: who asks may see that DAG's runs."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE)
