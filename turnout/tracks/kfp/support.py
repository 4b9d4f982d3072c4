"""What the KFP track does with each fact of a pipeline: the YAML says it, and KFP's server acts on it."""

from __future__ import annotations

from turnout.plan.support import EACH_TIME, IN_AN_IMAGE, KEPT, Support, lowered, refused
from turnout.plan.support_table import FIELDS
from turnout.runtimes import process
from turnout.spec.airflow_facts import FACTS

_RECURRING = lowered("KFP keeps schedules on its server: create a recurring run")

SUPPORT: dict[str, Support] = {
    **dict.fromkeys(FIELDS, KEPT),
    **{name: KEPT for name in process.SUPPORT if name.startswith("kubernetes.")},
    "component.requirements": IN_AN_IMAGE,
    "component.packages_to_install": EACH_TIME,
    # kubeflow/pipelines issue 11979, and resolve.go of KFP's driver.
    "TaskInputParameterSpec.task_final_status": lowered(
        "KFP says COMPLETE or FAILED, and no error; RUNNING when a step under a condition or in a loop has ended so"
    ),
    # A further key of the platform document, which KFP's server accepts.
    **{f"airflow.{name}": lowered("written for Airflow; KFP's server does not look at it") for name in FACTS},
    "airflow.schedule": _RECURRING,
    "airflow.timezone": _RECURRING,
    "airflow.start_date": _RECURRING,
    "airflow.end_date": _RECURRING,
    "airflow.catchup": _RECURRING,
    "airflow.max_active_runs": _RECURRING,
    "airflow.triggered_by": _RECURRING,
    "airflow.data_interval": lowered("its parameters are given by who starts the run, or by the recurring run"),
}

VERTEX = "vertex"
"""The runtime of KFP's pipelines that is Vertex AI Pipelines."""

_NO_CLUSTER = refused("nobody's cluster runs a step of Vertex AI: leave it out, or submit to KFP", "never")
_NO_SCHEDULE = lowered("make a schedule of the job in Vertex AI, which knows time zones")
_NO_VOLUME = refused("steps of Vertex AI share no volume: pass artifacts", "never")

_NOTHING_LEFT = lowered("nothing of a job is left to remove")

# Sources: Google's "Migrate from Kubeflow Pipelines to Vertex AI Pipelines" (no volumes of Kubernetes: data is in Cloud
# Storage) and the reference of the REST resource pipelineJobs, which takes a PipelineSpec and no platform document.
VERTEX_SUPPORT: dict[str, Support] = {
    **SUPPORT,
    "TaskInputParameterSpec.task_final_status": KEPT,
    **{name: _NO_CLUSTER for name in SUPPORT if name.startswith(("kubernetes.", "KubernetesWorkspaceConfig."))},
    **{name: _NO_VOLUME for name in SUPPORT if name.startswith("WorkspaceConfig.")},
    **{name: _NO_SCHEDULE for name, support in SUPPORT.items() if support is _RECURRING},
    **{name: _NOTHING_LEFT for name in SUPPORT if name.startswith("PipelineConfig.resource_ttl")},
    "PipelineConfig.workspace": _NO_VOLUME,
    "PipelineConfig.active_deadline_seconds": refused("jobs have no deadline there: give steps time-outs", "notyet"),
    "ImporterSpec.download_to_workspace": _NO_VOLUME,
}
"""What Vertex AI Pipelines does with each fact."""
