"""What Airflow is told of this provider."""

from __future__ import annotations

from typing import Any

SECTION = "turnout"


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
                "options": {
                    "root": {
                        "description": "URI under which runs keep their artifacts and records.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://bucket/turnout",
                        "default": None,
                    },
                    "python": {
                        "description": "Interpreter of the components' environment, in which steps run.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/components/bin/python",
                        "default": None,
                    },
                    "directory": {
                        "description": "Working directory of steps; the worker's own when empty.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/project",
                        "default": "",
                    },
                    "runtime": {
                        "description": "How steps run: as processes of the worker (process), as containers of "
                        "its Docker host (docker), or as pods (kubernetes).",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "kubernetes",
                        "default": "process",
                    },
                    "docker_conn_id": {
                        "description": "Docker connection with the registry's login, for the docker runtime.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "docker_default",
                        "default": "",
                    },
                    "kubernetes_conn_id": {
                        "description": "Connection to the cluster, for the kubernetes runtime.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "kubernetes_default",
                        "default": "kubernetes_default",
                    },
                    "namespace": {
                        "description": "Namespace of the pods; the connection's when empty.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "ml",
                        "default": "",
                    },
                    "launcher_image": {
                        "description": "Image with Turnout and the store's libraries, whose containers stage "
                        "the artifacts of pods.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "registry.example.com/turnout:0.1.0",
                        "default": None,
                    },
                    "pod_template": {
                        "description": "YAML file of a pod to start from. Its container `launcher` says more of "
                        "those that stage (credentials, volumes), its container `base` of the step's own.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/etc/turnout/pod.yaml",
                        "default": "",
                    },
                    "spark_conn_id": {
                        "description": "Spark connection, whose cluster steps use unless the pipeline names another. "
                        "Their processes or containers are the drivers.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "spark_default",
                        "default": "",
                    },
                    "secrets": {
                        "description": "YAML file that stands for a cluster's secrets and config maps.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/etc/turnout/secrets.yaml",
                        "default": "",
                    },
                },
            }
        },
    }
