"""What Airflow is told of this provider."""

from __future__ import annotations

from typing import Any

from turnout.runtimes.settings import Setting, all_settings

SECTION = "turnout"

_OWN = (
    Setting("root", "URI under which runs keep their artifacts and records.", "s3://bucket/turnout", default=None),
    Setting(
        "runtime",
        "How steps run: as processes of the worker (process), as containers of its Docker host (docker), or as pods "
        "(kubernetes).",
        "kubernetes",
        default="process",
    ),
    Setting("docker_conn_id", "Docker connection with the registry's login, for the docker runtime.", "docker_default"),
    Setting(
        "kubernetes_conn_id",
        "Connection to the cluster, for the kubernetes runtime.",
        "kubernetes_default",
        default="kubernetes_default",
    ),
    Setting(
        "spark_conn_id",
        "Spark connection, whose cluster steps use unless the pipeline names another. Their processes or containers "
        "are the drivers.",
        "spark_default",
    ),
    Setting(
        "other_code",
        "What becomes of a step whose code is not that which its pipeline was compiled with: it fails before its work "
        "(error), or it runs, its log and the page of results say so, and its results are not cached (warning). When "
        "empty: error with docker and kubernetes, warning with process.",
        "error",
    ),
    Setting(
        "keep_warm",
        "With the process runtime, seconds that a process which has loaded the steps' libraries waits for the next "
        "step. Steps are forked from it, and start faster. 0: each step starts a Python of its own.",
        "600",
        default="60",
    ),
    Setting("secrets", "YAML file that stands for a cluster's secrets and config maps.", "/etc/turnout/secrets.yaml"),
)
"""What only Airflow is told; the settings of the runtimes come beside them."""


def get_provider_info() -> dict[str, Any]:
    """The provider's description, with the options of its configuration section."""
    return {
        "package-name": "turnout",
        "name": "Turnout",
        "description": "Runs Kubeflow pipelines, compiled to DAG files.",
        "extra-links": ["turnout.airflow.links.MlflowRun", "turnout.airflow.links.Results"],
        "config": {
            SECTION: {
                "description": "How and where the steps of compiled pipelines run.",
                "options": {setting.name: _option(setting) for setting in (*_OWN, *all_settings())},
            }
        },
    }


def _option(setting: Setting) -> dict[str, Any]:
    """An option as Airflow's schema of providers has it."""
    return {
        "description": setting.description,
        "version_added": "0.1.0",
        "type": "string",
        "example": setting.example,
        "default": setting.default,
    }
