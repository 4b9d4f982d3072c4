"""Links on the page of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class MlflowRun(BaseOperatorLink):  # type: ignore[misc]
    """The MLflow run that a step has logged to, where MLflow has a server."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        return str(getattr(operator, "mlflow_run", ""))


class Results(BaseOperatorLink):  # type: ignore[misc]
    """The run's tab of results, which tells what its steps have come to."""

    name = "Results of the run"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        from turnout.airflow.addresses import results_tab

        return results_tab(ti_key.dag_id, ti_key.run_id)


def mlflow_run(artifacts: Mapping[str, Mapping[str, Any]]) -> str:
    """The address of the run that a step's artifacts tell of; empty when there is none to look at.

    Args:
        artifacts: references to artifacts, by output.
    """
    for artifact in artifacts.values():
        facts = artifact["metadata"]
        server = str(facts.get("mlflow_tracking_uri", ""))
        if server.startswith(("http://", "https://")) and facts.get("mlflow_run_id"):
            experiment = facts.get("mlflow_experiment_id", 0)
            return f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{facts['mlflow_run_id']}"
    return ""
