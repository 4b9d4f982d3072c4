"""The pages that the plugin adds to Airflow's API server. Each is for who may see the DAG that it tells of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from turnout.airflow import internals
from turnout.airflow.frame import OTHERS, App, framed, guarded
from turnout.airflow.known_run import KnownRun, known_run
from turnout.airflow.overviews import compare_document, dag_document, models_document
from turnout.airflow.run_view import setting
from turnout.airflow.shown import nothing_page, others_page, run_document, step_document, waiting_page
from turnout.errors import TurnoutError
from turnout.execution.own_files import NotOpened, OwnFiles, in_time
from turnout.execution.run_summaries import run_details, run_summaries
from turnout.execution.store import ArtifactStore
from turnout.plan.run_summary import RunSummary
from turnout.plan.values import Iteration
from turnout.reports.page import page
from turnout.spec.step_contract import Artifact, Run

AGAIN_S = 15
"""Seconds after which the page of a run that goes on is loaded again."""

PATIENCE_OF_ALL_S = 30.0
"""Seconds that reading the records of all runs may take."""

MOST_COMPARED = 10
"""Runs on one page of a comparison: more do not fit side by side."""

LARGEST_DOWNLOAD = 2**30
"""Bytes; what is larger is fetched from the store itself."""

LARGEST_PAGE = 20 * 10**6
"""Bytes of a report that is shown by itself."""

_OURS = "turnout.airflow."
"""The modules of the operators of DAGs that Turnout has compiled."""


def make_app() -> App:
    """The pages. There is no description of them to read, and none without a user who may."""
    app = FastAPI(title="Turnout", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for kind, handler in ((HTTPException, _http_error), (RequestValidationError, _bad_address), (Exception, _fault)):
        app.add_exception_handler(kind, handler)
    of_dag = [Depends(internals.reader_of_dag())]
    pages: dict[str, Callable[..., Response | str]] = {
        "run": run_page,
        "step": step_page,
        "artifact": artifact,
        "dag": dag_page,
        "compare": compare_page,
    }
    for name, made in pages.items():
        app.get(f"/{name}", response_class=HTMLResponse, response_model=None, dependencies=of_dag)(made)
    reader = internals.reader()

    @app.get("/models", response_class=HTMLResponse)
    def models(user: Any = Depends(reader)) -> str:  # noqa: B008 - how FastAPI is told
        """The entry of the navigation: the models of the DAGs that its reader may see."""
        return framed(models_document(_summaries(), internals.readable_dags(user)))

    return guarded(app)


def run_page(dag_id: str, run_id: str) -> str:
    """The tab of a run: its story."""
    files = _files(dag_id, run_id)
    run = _known(files)
    if any(step.outcome for step in run.steps):
        return framed(run_document(run, files), AGAIN_S * run.going_on)
    _check_ours(dag_id)
    if not run.tasks:
        raise HTTPException(404, f"{dag_id} has no run {run_id}, or nothing of it has begun")
    return framed(waiting_page(run), AGAIN_S)


def step_page(dag_id: str, run_id: str, task_id: str, map_index: str = "", iteration: str = "") -> str:
    """The tab of a task: its part."""
    files = _files(dag_id, run_id)
    run = _known(files)
    # A task that is not mapped has no number: Airflow leaves the place for one as it is.
    number = int(map_index) if map_index.removeprefix("-").isdecimal() else -1
    step = run.step(task_id, number, _iteration(iteration))
    if step is not None:
        return framed(step_document(run, files, step), AGAIN_S * (not step.state.finished))
    _check_ours(dag_id)
    return framed(nothing_page(run, task_id), AGAIN_S * run.going_on)


def dag_page(dag_id: str, metric: str = "") -> str:
    """The tab of a DAG: its runs side by side."""
    runs = _summaries(dag_id)
    if not runs:
        _check_ours(dag_id)
    return framed(dag_document(dag_id, runs, metric))


def compare_page(dag_id: str, run: Annotated[Sequence[str], Query()] = ()) -> str:
    """Runs of a DAG compared; they are named in the order in which they began."""
    store = _store()
    chosen = list(dict.fromkeys(run))[:MOST_COMPARED]
    known = {item.run_id: item for item in _summaries(dag_id)}
    if missing := [name for name in chosen if name not in known]:
        raise HTTPException(404, f"{dag_id} has no run {missing[0]} that has left anything")
    runs = sorted((known[name] for name in chosen), key=lambda item: item.started)
    try:
        details = in_time(lambda: [run_details(store, item) for item in runs], PATIENCE_OF_ALL_S)
    except (NotOpened, TimeoutError) as why:
        raise HTTPException(503, f"the runs cannot be read: {why or 'the artifact store does not answer'}") from why
    return framed(compare_document(dag_id, details))


def artifact(dag_id: str, run_id: str, task_id: str, output: str, iteration: str = "", keep: bool = False) -> Response:
    """What a step has made: a page or text to look at, anything else, or when it is to be kept, as a file."""
    files = _files(dag_id, run_id)
    step = _known(files).step(task_id, iteration=_iteration(iteration))
    found = step.outcome.artifacts.get(output) if step and step.outcome else None
    if found is None:
        raise HTTPException(404, f"{task_id} has no artifact {output}")
    kind = found.type.removeprefix("system.")
    if kind not in ("HTML", "Markdown") or keep:
        return _download(files, found, {"HTML": ".html", "Markdown": ".md"}.get(kind, ""))
    content = files.read(found.uri, LARGEST_PAGE)
    if isinstance(content, str):
        raise HTTPException(404, f"{output} is not shown: {content}")
    return Response(content if kind == "HTML" else _markdown(content, output), media_type="text/html", headers=OTHERS)


def _markdown(content: bytes, title: str) -> bytes:
    from markdown_it import MarkdownIt

    text = MarkdownIt("js-default").render(content.decode(errors="replace"))
    whole = page(title, [])
    return whole.replace("</body>", f"{text}</body>").encode()


def _download(files: OwnFiles, found: Artifact, suffix: str) -> Response:
    size = files.size(found.uri)
    if isinstance(size, str):
        raise HTTPException(404, f"{found.name} cannot be had: {size}. It is at {found.uri}")
    if size > LARGEST_DOWNLOAD:
        raise HTTPException(413, f"{found.name} has {size / 10**9:.1f} GB, too much for this way. It is at {found.uri}")
    name = PurePosixPath(found.uri).name
    name = name if "." in name else f"{name}{suffix}"
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Length": str(size),
        "Content-Encoding": "identity",  # not packed on the way: files mostly are already
        **OTHERS,
    }
    chunks = files.chunks(found.uri, size)
    try:
        first = next(chunks, b"")
    except NotOpened as why:
        raise HTTPException(404, f"{found.name} cannot be had: {why}") from why
    return StreamingResponse(_all_of(first, chunks), media_type="application/octet-stream", headers=headers)


def _all_of(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _store() -> ArtifactStore:
    store = ArtifactStore(setting("root"))
    store.forget_listings()
    return store


def _files(dag_id: str, run_id: str) -> OwnFiles:
    return OwnFiles(_store(), Run(dag_id, run_id, ""))


def _summaries(dag_id: str = "") -> list[RunSummary]:
    store = _store()
    try:
        return in_time(lambda: run_summaries(store, dag_id), PATIENCE_OF_ALL_S)
    except (NotOpened, TimeoutError) as why:
        raise HTTPException(503, f"the runs cannot be listed: {why or 'the artifact store does not answer'}") from why


def _known(files: OwnFiles) -> KnownRun:
    try:
        return known_run(files)
    except NotOpened as why:
        raise HTTPException(503, f"{why}") from why


def _check_ours(dag_id: str) -> None:
    """Tell a reader whose DAG is not ours so, in the place of a page without anything."""
    modules = internals.modules_of_tasks(dag_id)
    if modules is not None and not any(module.startswith(_OURS) for module in modules):
        raise _NotOurs(dag_id)


class _NotOurs(HTTPException):
    def __init__(self, dag_id: str):
        super().__init__(200, dag_id)


def _iteration(text: str) -> Iteration:
    parts = text.split(".") if text else []
    return tuple(int(part) for part in parts if part.isdecimal())


_TITLES = {
    400: "This address is not complete",
    401: "Please log in to Airflow",
    403: "You may not see this",
    404: "There is nothing here",
}


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, _NotOurs):
        return HTMLResponse(framed(others_page(str(error.detail))))
    title = _TITLES.get(error.status_code, "This cannot be shown")
    text = "" if error.status_code in (401, 403) else str(error.detail)
    whole = framed(page(title, [], verdict=text or title, good=False))
    return HTMLResponse(whole, error.status_code, headers=error.headers)


def _bad_address(request: Request, error: Exception) -> Response:
    return HTMLResponse(framed(page(_TITLES[400], [])), 400)


def _fault(request: Request, error: Exception) -> Response:
    """A page for what went wrong; what it was is in the API server's log, and in the page only if it is ours to say."""
    text = str(error) if isinstance(error, TurnoutError) else "the API server's log says why"
    return HTMLResponse(framed(page("This cannot be shown", [], verdict=text, good=False)), 500)
