"""The Airflow plugin: a page with the results of a run, for who may see its DAG."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/turnout"

_TASKS_NEED = ("turnout.airflow.operators", "turnout.airflow.loops", "turnout.airflow.runtimes", "turnout.plan.link")


def results_address(dag_id: str, run_id: str) -> str:
    """The address of a run's results, on the API server."""
    return f"{PREFIX}/run?{urlencode({'dag_id': dag_id, 'run_id': run_id})}"


class _Lazy:
    """The pages, made when the first is asked for: plugins are loaded by every task, too."""

    _app: Callable[..., Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from turnout.airflow.pages import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


class TurnoutPlugin(AirflowPlugin):  # type: ignore[misc]
    name = "turnout"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Load what every task of a compiled DAG needs: in the scheduler, whose LocalExecutor forks the tasks."""
        if sys.argv[1:2] == ["scheduler"]:
            for module in _TASKS_NEED:
                importlib.import_module(module)

    fastapi_apps = [{"app": _Lazy(), "url_prefix": PREFIX, "name": "Turnout"}]
