"""An auth manager of Airflow's in which each user may see some DAGs: `reader-of-NAME` those that begin with NAME."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

HIDDEN = "without-values"
"""A user who may see all DAGs, and no XCom."""


class AuthByDag(SimpleAuthManager):  # type: ignore[misc]
    """Airflow's own, with rights by DAG."""

    def is_authorized_dag(self, *, method: str, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        if user.username == HIDDEN:
            return access_entity is None or access_entity.value != "XCOM"
        dag_id = details.id if details else None
        return bool(dag_id and dag_id.startswith(user.username.removeprefix("reader-of-")))


def user(name: str) -> SimpleAuthManagerUser:
    return SimpleAuthManagerUser(username=name, role="viewer")
