"""A step's pod by Airflow's KubernetesPodOperator, deferred while the pod runs.

The pod is that of `turnout.runtimes.kubernetes`. The operator stays, because of what it gives in Airflow: the triggerer
waits for the pod, so that no worker is held; the pod has the labels that Airflow's own tools look for; and the cluster
is that of a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

from turnout.execution.store import ArtifactStore
from turnout.runtimes.kubernetes import STARTUP_S, Cluster, pod_name, pod_of
from turnout.spec.step_contract import Task


def pod_operator(
    task: Task, settings: Mapping[str, Any], store: ArtifactStore, cluster: Cluster, connection: str = ""
) -> KubernetesPodOperator:
    """The operator that runs a task's pod; the task is left in the store for it.

    Args:
        connection: Airflow's connection to the cluster; empty: none.

    Raises:
        StepError: pods could not see the store.
    """
    return KubernetesPodOperator(
        task_id=task.path.rpartition(".")[2],
        name=pod_name(task),
        full_pod_spec=PodGenerator.deserialize_model_dict(pod_of(task, settings, store, cluster)),
        kubernetes_conn_id=connection or None,
        config_file=cluster.kube_config or None,
        cluster_context=cluster.kube_context or None,
        namespace=cluster.namespace or None,
        deferrable=True,
        do_xcom_push=False,
        # A pod of an earlier attempt would commit that attempt's outcome.
        durable=False,
        startup_timeout_seconds=STARTUP_S,
        poll_interval=2,
    )


def client_of(cluster: Cluster, connection: str = "") -> tuple[Any, str]:
    """The API of a connection's cluster, and the namespace for what is ours."""
    hook = KubernetesHook(
        conn_id=connection or None,
        config_file=cluster.kube_config or None,
        cluster_context=cluster.kube_context or None,
    )
    asked = cluster.namespace or cluster.template.get("metadata", {}).get("namespace")
    return hook.core_v1_client, asked or hook.get_namespace() or "default"
