"""The Airflow plugin: tabs with the results of runs, tasks and DAGs, for who may see them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from turnout.airflow import run_record
from turnout.airflow.addresses import PREFIX, route

_TASKS_NEED = ("turnout.airflow.operators", "turnout.airflow.loops", "turnout.airflow.runtimes", "turnout.plan.link")

_CHART = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%23{}' "
    "stroke-width='1.5'%3E%3Cpath d='M3 20h18M6 20v-5h3v5M11 20V10h3v10M16 20V5h3v15'/%3E%3C/svg%3E"
)
_ICONS = {"icon": _CHART.format("7c8da5")}
"""Bars of a chart, in a colour that is seen by day, by night and where the entry is chosen."""


class _Lazy:
    """The pages, made when the first is asked for: plugins are loaded by every task, too."""

    _app: Callable[..., Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from turnout.airflow.pages import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


def _tab(destination: str, href: str, name: str = "Results") -> dict[str, Any]:
    """A tab of Airflow's page of a run, a task or a DAG, or an entry of its navigation."""
    return {
        "name": name,
        "href": f"{PREFIX.lstrip('/')}/{href}",
        "destination": destination,
        "url_route": route(destination),
    }


class TurnoutPlugin(AirflowPlugin):  # type: ignore[misc]
    name = "turnout"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Load what every task of a compiled DAG needs: in the scheduler, whose LocalExecutor forks the tasks."""
        if sys.argv[1:2] == ["scheduler"]:
            for module in _TASKS_NEED:
                importlib.import_module(module)

    # Airflow fills in the ids, encoded; the addresses are relative to its own, which may have a path.
    external_views = [
        _tab("dag", "dag?dag_id={DAG_ID}"),
        _tab("dag_run", "run?dag_id={DAG_ID}&run_id={RUN_ID}"),
        _tab("task_instance", "step?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"),
        _tab("nav", "models", "Models") | {"nav_top_level": True, **_ICONS},
    ]
    listeners = [run_record]
    fastapi_apps = [{"app": _Lazy(), "url_prefix": PREFIX, "name": "Turnout"}]
