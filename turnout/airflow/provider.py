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
        "extra-links": ["turnout.airflow.links.MlflowRun"],
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
