"""The pages of all runs of a DAG, and of all models, as documents."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from turnout.airflow.addresses import dag_address, run_address
from turnout.execution.store import segment
from turnout.plan.comparison import RunDetails, compared
from turnout.plan.run_summary import RunSummary
from turnout.reports.compare import compare_page
from turnout.reports.models import models_page
from turnout.reports.page import Form, Link, page
from turnout.reports.runs import runs_page


def dag_document(dag_id: str, runs: Sequence[RunSummary], metric: str = "") -> str:
    """The page of the runs of a DAG side by side.

    Args:
        metric: that decides which run is the best; that by which they were judged when empty.
    """
    return runs_page(
        dag_id,
        runs,
        run_link=lambda run: run_address(dag_id, run.run_id),
        metric=metric,
        by_metric=lambda name: dag_address(dag_id, name),
        compare=Form("compare", "Compare the chosen runs", {"dag_id": dag_id}) if len(runs) > 1 else None,
    )


def compare_document(dag_id: str, details: Sequence[RunDetails]) -> str:
    """The page of runs of a DAG compared, the first with each of the others."""
    back = Link("All runs", dag_address(dag_id))
    if len(details) < 2:
        return page("Choose two or more runs", [], verdict="One run cannot be compared", good=None, links=[back])
    return compare_page(compared(details), run_link=lambda run: run_address(dag_id, run.run_id), links=[back])


def models_document(runs: Sequence[RunSummary], readable: Collection[str]) -> str:
    """The page of the models that runs of some DAGs have made, serve and check.

    Args:
        runs: all under the root.
        readable: ids of the DAGs whose runs may be told of.
    """
    # A run of which no record has been kept goes by the name of its directory.
    ids = {segment(dag_id): dag_id for dag_id in readable}
    mine = [run for run in runs if segment(run.pipeline) in ids]
    servers = {
        event.model: run.mlflow.get("tracking_uri", "").rstrip("/")
        for run in mine
        for event in run.versions
        if run.mlflow.get("tracking_uri", "").startswith(("http://", "https://"))
    }

    def version(model: str, number: str) -> str:
        return f"{servers[model]}/#/models/{model}/versions/{number}" if model in servers else ""

    return models_page(
        mine, run_link=lambda run: run_address(ids[segment(run.pipeline)], run.run_id), version_link=version
    )
