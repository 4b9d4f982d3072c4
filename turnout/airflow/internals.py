"""What Turnout takes from inside Airflow, since no public module has it. No other file does.

`tests/airflow/test_internals.py` names each, and the versions in which it was seen: an Airflow that moves one is told
there. What is heavy to import is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.definitions._internal.contextmanager import TaskGroupContext
from airflow.sdk.definitions._internal.expandinput import DictOfListsExpandInput
from airflow.sdk.definitions.param import DagParam
from airflow.sdk.definitions.taskgroup import MappedTaskGroup

__all__ = ["DagParam", "DictOfListsExpandInput", "MappedTaskGroup", "TaskGroupContext", "timetables"]

SEEN_IN = ("3.3.2",)
"""The versions of Airflow in which all of it was seen."""


def timetables() -> tuple[type, ...]:
    """The base classes of timetables: the SDK's, and that of plugins."""
    from airflow.timetables.base import Timetable

    return BaseTimetable, Timetable


def reader() -> Any:
    """What a page of the API server depends on that is for everybody who has logged in; it gives the user."""
    from airflow.api_fastapi.core_api.security import get_user

    return get_user


def reader_of_dag() -> Any:
    """What a page of the API server depends on that has a `dag_id`: its reader may see that DAG's runs and values."""
    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
    from fastapi import Depends, Request

    def reader(request: Request, dag_id: str, user: Any) -> Any:
        for entity in _entities():
            requires_access_dag("GET", entity, dag_id)(request, user)
        return user

    # As objects: FastAPI looks names up in the module, which does not load these.
    reader.__annotations__ |= {"request": Request, "dag_id": str, "user": Annotated[Any, Depends(get_user)]}
    return reader


def readable_dags(user: Any) -> set[str]:
    """The ids of all DAGs whose runs and values a user may see."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
    from airflow.models.dag import DagModel

    manager = get_auth_manager()
    dag_ids = sorted(manager.get_authorized_dag_ids(user=user, method="GET"))
    teams = DagModel.get_dag_id_to_team_name_mapping(dag_ids)

    def may(dag_id: str) -> bool:
        details = DagDetails(id=dag_id, team_name=teams.get(dag_id))
        return all(
            manager.is_authorized_dag(method="GET", access_entity=entity, details=details, user=user)
            for entity in _entities()
        )

    return set(filter(may, dag_ids))


def _entities() -> tuple[Any, ...]:
    """What of a DAG the pages tell."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    return DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM


def modules_of_tasks(dag_id: str) -> set[str] | None:
    """The modules of a DAG's operators, as it was last parsed; None when there is no such DAG."""
    from airflow.models.serialized_dag import SerializedDagModel

    found = SerializedDagModel.get(dag_id)
    if found is None:
        return None
    tasks = (found.data or {}).get("dag", {}).get("tasks", ())
    return {str(task.get("__var", task).get("_task_module", "")) for task in tasks}


def dag_run(dag_id: str, run_id: str) -> Mapping[str, Any] | None:
    """`state`, `start_date`, `end_date` and `conf` of a run; None when Airflow has none."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    columns = DagRun.state, DagRun.start_date, DagRun.end_date, DagRun.conf
    with create_session() as session:
        found = session.query(*columns).filter(DagRun.dag_id == dag_id, DagRun.run_id == run_id).one_or_none()
        return dict(found._mapping) if found else None


def task_instances(dag_id: str, run_id: str) -> list[Mapping[str, Any]]:
    """`task_id`, `map_index`, `state`, `try_number`, `start_date`, `end_date` and `operator` of a run's tasks."""
    from airflow.models.taskinstance import TaskInstance as Task
    from airflow.utils.session import create_session

    columns = (
        Task.task_id, Task.map_index, Task.state, Task.try_number, Task.start_date, Task.end_date, Task.operator
    )  # fmt: skip
    with create_session() as session:
        found = session.query(*columns).filter(Task.dag_id == dag_id, Task.run_id == run_id)
        return [dict(row._mapping) for row in found.order_by(Task.start_date, Task.task_id, Task.map_index)]


def returned(dag_id: str, run_id: str, task_ids: Collection[str]) -> dict[str, Any]:
    """What those tasks of a run, of which none is mapped, have returned."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(XComModel).filter(
            XComModel.dag_id == dag_id,
            XComModel.run_id == run_id,
            XComModel.key == "return_value",
            XComModel.map_index == -1,
            XComModel.task_id.in_(task_ids),
        )
        return {row.task_id: XComModel.deserialize_value(row) for row in found}
