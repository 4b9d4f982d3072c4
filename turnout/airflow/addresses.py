"""Where the pages are, as links from one of them to another, and to Airflow's own."""

from __future__ import annotations

from urllib.parse import quote, urlencode

PREFIX = "/turnout"


def run_address(dag_id: str, run_id: str) -> str:
    """The page of a run, from a page of ours. Ids are in the query: they may have any characters."""
    return f"run?{urlencode({'dag_id': dag_id, 'run_id': run_id})}"


def step_address(dag_id: str, run_id: str, step: str, iteration: tuple[int, ...] = ()) -> str:
    """The page of a step."""
    return f"step?{urlencode(_step(dag_id, run_id, step, iteration))}"


def artifact_address(dag_id: str, run_id: str, step: str, iteration: tuple[int, ...], output: str) -> str:
    """What a step has made: as a page where it is one, else as a file to keep."""
    return f"artifact?{urlencode({**_step(dag_id, run_id, step, iteration), 'output': output})}"


def dag_address(dag_id: str, metric: str = "") -> str:
    """The page of all runs of a DAG, judged by a metric."""
    return f"dag?{urlencode({'dag_id': dag_id, **({'metric': metric} if metric else {})})}"


def airflow_run(dag_id: str, run_id: str) -> str:
    """Airflow's page of a run, from a page of ours."""
    return f"../dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def airflow_task(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """Airflow's page of a task with its log, from a page of ours."""
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{airflow_run(dag_id, run_id)}/tasks/{quote(task_id, safe='')}{mapped}"


def route(destination: str) -> str:
    """The last part of the address of a tab of Airflow's, from what it is a tab of."""
    return f"turnout-{destination.replace('_', '-')}"


def results_tab(dag_id: str, run_id: str) -> str:
    """The tab with a run's results, from Airflow's base address: its pages may have a path before them."""
    return f"{airflow_run(dag_id, run_id).removeprefix('../')}/plugin/{route('dag_run')}"


def _step(dag_id: str, run_id: str, step: str, iteration: tuple[int, ...]) -> dict[str, str]:
    found = {"dag_id": dag_id, "run_id": run_id, "task_id": step}
    return {**found, "iteration": ".".join(map(str, iteration))} if iteration else found
