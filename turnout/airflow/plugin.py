"""The Airflow plugin: a page with the results of a run, for who may see its DAG."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/turnout"

_TASKS_NEED = ("turnout.airflow.operators", "turnout.airflow.loops", "turnout.airflow.runtimes", "turnout.plan.link")


def results_address(dag_id: str, run_id: str) -> str:
    """The address of a run's results, on the API server."""
    return f"{PREFIX}/results/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def make_app() -> FastAPI:
    """The pages."""
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse

    from turnout.airflow.internals import may_read_runs
    from turnout.airflow.run_view import setting
    from turnout.execution.store import ArtifactStore
    from turnout.plan.results import StepResult
    from turnout.reports.run import results_page
    from turnout.spec.step_contract import Run

    app = FastAPI(title="Turnout")
    allowed = Depends(may_read_runs())

    @app.get("/results/{dag_id}/{run_id}", response_class=HTMLResponse, dependencies=[allowed])
    def results(dag_id: str, run_id: str) -> HTMLResponse:
        store, run = ArtifactStore(setting("root")), Run(dag_id, run_id, "")
        found = store.outcomes(run)
        if not found:
            raise HTTPException(404, f"no step of {dag_id} {run_id} has ended")
        steps = [StepResult.of(step, iteration, outcome) for (step, iteration), outcome in found.items()]
        steps.sort(key=lambda step: step.outcome.ended if step.outcome else "")
        # Reports are others' pages: they are shown in frames, and nothing on this one runs.
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'"
        return HTMLResponse(
            results_page(dag_id, run_id, steps, store.outputs(run)), headers={"Content-Security-Policy": policy}
        )

    return app


class _Lazy:
    """The pages, made when the first is asked for: plugins are loaded by every task, too."""

    _app: Callable[..., Awaitable[None]] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._app = self._app or make_app()
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
