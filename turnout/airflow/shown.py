"""The pages of a run of Airflow, and of a task in it, as documents."""

from __future__ import annotations

from turnout.airflow.addresses import (
    airflow_run,
    airflow_task,
    artifact_address,
    dag_address,
    run_address,
    step_address,
)
from turnout.airflow.known_run import KnownRun
from turnout.execution.own_files import OwnFiles
from turnout.plan.results import StepResult
from turnout.reports.page import Link, Section, page
from turnout.reports.run.document import run_page
from turnout.reports.run.shown import Links, ShownRun
from turnout.reports.run.step import step_page


def run_document(run: KnownRun, files: OwnFiles) -> str:
    """The page of a run."""
    return run_page(_shown(run, files))


def step_document(run: KnownRun, files: OwnFiles, step: StepResult) -> str:
    """The page of a step."""
    return step_page(_shown(run, files), step)


def _shown(run: KnownRun, files: OwnFiles) -> ShownRun:
    ids = run.record["pipeline"], run.record["run_id"]
    links = Links(
        step=lambda step: step_address(*ids, step.name, step.iteration),
        log=lambda step: airflow_task(*ids, step.name, run.map_index(step)),
        artifact=lambda step, name, artifact: artifact_address(*ids, step.name, step.iteration, name),
        around=[Link("All runs", dag_address(ids[0])), Link("The run in Airflow", airflow_run(*ids))],
        run=run_address(*ids),
    )
    return ShownRun(run.record, run.steps, files.read, links, run.plan)


def waiting_page(run: KnownRun) -> str:
    """The page of a run of which no step has ended yet: how far its tasks are."""
    ids = run.record["pipeline"], run.record["run_id"]
    rows = [
        (Link(_name(task), airflow_task(*ids, task["task_id"], task["map_index"])), str(task["state"] or "waiting"))
        for task in run.tasks
    ]
    text = "This page is made again by itself. What the steps leave will be here: verdicts, metrics, reports."
    sections = [
        Section("Tasks", text, ["task", "state"], rows),
        Section("", columns=["", ""], rows=[("in Airflow", Link("the run", airflow_run(*ids)))]),
    ]
    return page(" ".join(ids), sections, verdict="No step has ended yet", good=True)


def _name(task: object) -> str:
    assert isinstance(task, dict)
    return f"{task['task_id']}[{task['map_index']}]" if task["map_index"] >= 0 else str(task["task_id"])


def nothing_page(run: KnownRun, task_id: str) -> str:
    """The page of a task that is no step of the pipeline."""
    ids = run.record["pipeline"], run.record["run_id"]
    text = (
        "It is no step of the pipeline, or was not seen yet. Airflow needs tasks beside the steps: gates, which let "
        "a branch start or not, the items of loops, and ends, which give a group its state. They leave no results."
    )
    rows = [("the run", Link("in Airflow", airflow_run(*ids)))]
    return page(task_id, [Section("This task leaves no results", text, ["", ""], rows)])


def others_page(dag_id: str) -> str:
    """The page of a DAG that Turnout has not compiled."""
    text = (
        "These pages tell what pipelines of Turnout have come to: verdicts, metrics, reports, models. To have them for "
        "a pipeline of yours, write it with @component and @pipeline, then compile it into Airflow's folder of DAGs:"
    )
    sections = [Section("How to", text, ["", ""], [("compile", "turnout compile my_pipeline.py --out dags")])]
    return page(dag_id, sections, verdict="This DAG was not made by Turnout", good=True)
