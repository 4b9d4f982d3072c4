"""Submit a pipeline to an Airflow that has its DAG, by Airflow's REST API: a run, which is watched to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from turnout.errors import Fault, TrackError
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, StepResult, Watch
from turnout.spec.step_contract import Outcome, State
from turnout.tracks.registry import Server
from turnout.tracks.rest import Rest, time_of
from turnout.tracks.watched import watched

_RUN_STATES = {
    "queued": State.PENDING,
    "running": State.RUNNING,
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
}
_TASK_STATES = {
    "running": State.RUNNING,
    "restarting": State.RUNNING,
    "deferred": State.RUNNING,
    "up_for_retry": State.RUNNING,
    "up_for_reschedule": State.RUNNING,
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
    "upstream_failed": State.NOT_TRIGGERED,
    "skipped": State.SKIPPED,
    "removed": State.CANCELLED,
}
_PAGE = 100


def submit(plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch) -> RunResult:
    """Run a pipeline's DAG on an Airflow.

    Args:
        parameters: those that are not the pipeline's defaults.
        run_id: the id of the DAG run. A run of that id is watched, and not started again.

    Raises:
        TrackError: Airflow does not answer, refuses, or has no such DAG that could run.
    """
    api = _Api(server)
    dag = f"/dags/{quote(plan.name, safe='')}"
    if (found := api.get(dag)) is None:
        hint = f"turnout compile, and deploy {plan.stem}.py and {plan.stem}.yaml to its DAG folder"
        raise TrackError([Fault(f"Airflow has no DAG '{plan.name}'", server.host, hint=hint)])
    if found.get("is_paused"):
        hint = "unpause it in Airflow; a run of it would wait until then"
        raise TrackError([Fault(f"the DAG '{plan.name}' is paused", server.host, hint=hint)])
    api.run(dag, {"dag_run_id": run_id, "logical_date": None, "conf": dict(parameters)})
    url = f"{server.host.rstrip('/')}{dag}/runs/{quote(run_id, safe='')}"
    if not server.wait:
        return RunResult(plan.name, run_id, State.PENDING, [], path=url)
    run = _Run(api, plan, f"{dag}/dagRuns/{quote(run_id, safe='')}", run_id, url)
    return watched(run.look, watch, server.poll_s)


class _Api:
    def __init__(self, server: Server):
        import requests

        self._rest = Rest(
            requests.Session(), server.host, "Airflow's API server", "give a token: TURNOUT_TOKEN", server.poll_s
        )
        # With neither a token nor accounts (the simple auth manager, all admins), Airflow gives one to who asks.
        token = server.token or (self._rest.get("/auth/token", (401, 404, 405)) or {}).get("access_token")
        if token:
            self._rest.session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """What is at a path; None when nothing is."""
        return self._rest.get(f"/api/v2{path}")

    def run(self, dag: str, body: Mapping[str, Any]) -> None:
        """Start a run, unless there is one of its id."""
        self._rest.make(f"/api/v2{dag}/dagRuns", body)

    def all(self, path: str, field: str) -> Iterator[Any]:
        """The items of a list, page after page."""
        start = 0
        while found := self.get(f"{path}?limit={_PAGE}&offset={start}"):
            yield from found[field]
            start += _PAGE
            if start >= found["total_entries"]:
                return


class _Run:
    """A run of a plan, as Airflow tells it."""

    def __init__(self, api: _Api, plan: Plan, path: str, run_id: str, url: str):
        self.api, self.plan, self.path, self.run_id, self.url = api, plan, path, run_id, url
        self._errors: dict[tuple[str, int, int], str] = {}

    def look(self) -> RunResult:
        run = self.api.get(self.path) or {}
        state = _RUN_STATES.get(str(run.get("state")), State.PENDING)
        instances = list(self.api.all(f"{self.path}/taskInstances", "task_instances"))
        return RunResult(self.plan.name, self.run_id, state, self._steps(instances, run), path=self.url)

    def _steps(self, instances: list[dict[str, Any]], run: Mapping[str, Any]) -> list[StepResult]:
        """The steps of the plan among a run's task instances; gates and the like are not shown."""
        paths = {step.path for step in self.plan.steps()}
        began = time_of(run.get("start_date"))
        found = []
        for item in instances:
            if item["task_id"] not in paths:
                continue
            state = _TASK_STATES.get(item["state"] or "", State.PENDING)
            start = time_of(item.get("start_date"))
            step = StepResult(
                item["task_id"],
                (item["map_index"],) if item["map_index"] >= 0 else (),
                state,
                attempts=item.get("try_number") or 0,
                duration_s=item.get("duration") or 0.0,
                start_s=max(0.0, (start - began).total_seconds()) if start and began else 0.0,
                outcome=Outcome(state, item.get("try_number") or 1, {}, {}, log=_page(self.url, item))
                if state.finished
                else None,
                error=self._error(item) if state is State.FAILED else "",
                title=self.plan.title(item["task_id"]),
            )
            found.append((start is None, start or began, step))
        return [step for *_, step in sorted(found, key=lambda entry: (entry[0], str(entry[1])))]

    def _error(self, item: Mapping[str, Any]) -> str:
        """Why a task instance failed, from its log; that it did, where the log does not say it."""
        task, index, attempt = item["task_id"], item["map_index"], item.get("try_number") or 1
        if (task, index, attempt) not in self._errors:
            path = f"{self.path}/taskInstances/{quote(task, safe='')}/logs/{attempt}"
            log = self.api.get(f"{path}?full_content=true&map_index={index}") or {}
            told = [line["error_detail"] for line in log.get("content", ()) if _has_error(line)]
            if not told:  # yet, perhaps
                return "failed"
            self._errors[task, index, attempt] = str(told[-1][0]["exc_value"])
        return self._errors[task, index, attempt]


def _has_error(line: Any) -> bool:
    return isinstance(line, dict) and bool(line.get("error_detail"))


def _page(url: str, item: Mapping[str, Any]) -> str:
    """The address of a task instance's page, which has its log."""
    mapped = f"/mapped/{item['map_index']}" if item["map_index"] >= 0 else ""
    return f"{url}/tasks/{quote(item['task_id'], safe='')}{mapped}"
