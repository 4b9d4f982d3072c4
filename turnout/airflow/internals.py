"""What Turnout takes from inside Airflow, since no public module has it. No other file does.

`tests/airflow/test_internals.py` names each, and the versions in which it was seen: an Airflow that moves one is told
there. What is heavy to import is imported when it is asked for.
"""

from __future__ import annotations

from typing import Annotated, Any

from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext
from airflow.sdk.definitions._internal.expandinput import DictOfListsExpandInput
from airflow.sdk.definitions.param import DagParam
from airflow.sdk.definitions.taskgroup import MappedTaskGroup

__all__ = ["DagParam", "DictOfListsExpandInput", "MappedTaskGroup", "TaskGroupContext", "reader_of_dag", "timetables"]

SEEN_IN = ("3.3.2",)
"""The versions of Airflow in which all of it was seen."""


def timetables() -> tuple[type, ...]:
    """The base classes of timetables: the SDK's, and that of plugins."""
    from airflow.timetables.base import Timetable

    return BaseTimetable, Timetable


def reader_of_dag() -> Any:
    """What a page of the API server depends on that has a `dag_id`: its reader may see that DAG's runs and values."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
    from fastapi import Depends, Request

    def reader(request: Request, dag_id: str, user: Any) -> Any:
        for entity in (DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM):
            requires_access_dag("GET", entity, dag_id)(request, user)
        return user

    # As objects: FastAPI looks names up in the module, which does not load these.
    reader.__annotations__ |= {"request": Request, "dag_id": str, "user": Annotated[Any, Depends(get_user)]}
    return reader
