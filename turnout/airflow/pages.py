"""The pages that the plugin adds to Airflow's API server. Each is for who may see the DAG that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse

from turnout.airflow.internals import reader_of_dag
from turnout.airflow.run_view import setting
from turnout.execution.own_files import NotOpened, OwnFiles
from turnout.execution.store import ArtifactStore
from turnout.plan.results import StepResult
from turnout.reports.run import results_page
from turnout.spec.step_contract import Run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request, Response

HEADERS = {
    # Nothing on a page runs or is fetched from elsewhere; reports are others' pages, and in frames of their own.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",  # Airflow's own tabs
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


def make_app() -> FastAPI:
    """The pages. There is no description of them to read, and none without a user who may."""
    app = FastAPI(title="Turnout", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    allowed = Depends(reader_of_dag())

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/run", response_class=HTMLResponse, dependencies=[allowed])
    def run_page(dag_id: str, run_id: str) -> str:
        store, run = ArtifactStore(setting("root")), Run(dag_id, run_id, "")
        files = OwnFiles(store, run)
        try:
            found = files.in_time(lambda: store.outcomes(run))
            outputs = files.in_time(lambda: store.outputs(run))
        except NotOpened as why:
            raise HTTPException(503, str(why)) from why
        if not found:
            raise HTTPException(404, f"no step of {dag_id} {run_id} has ended")
        steps = [StepResult.of(step, iteration, outcome) for (step, iteration), outcome in found.items()]
        steps.sort(key=lambda step: step.outcome.ended if step.outcome else "")
        return results_page(dag_id, run_id, steps, files.read, outputs)

    return app
