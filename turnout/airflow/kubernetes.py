"""The kubernetes runtime: a step in a pod, by Airflow's KubernetesPodOperator, deferred while the pod runs.

The pod stages its own artifacts and commits its own outcome (`turnout.execution.staging`); the worker only
makes it, and reads how it ended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

from turnout.airflow.pod import BASE, LAUNCHER, manifest
from turnout.errors import Fault, StepError
from turnout.execution.launcher import ERROR_FILE, command_of, contract_of
from turnout.execution.staging import SHARED, write_task
from turnout.execution.store import ArtifactStore
from turnout.spec.contract import Task
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.placeholders import resolve_text, task_values


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where pods run, and how: the deployment's options.

    Attributes:
        connection: Airflow's connection to the cluster.
        namespace: of the pods; the connection's, or the template's, when empty.
        launcher_image: image with Turnout and the store's libraries, for the containers that stage.
        template: a pod to start from; see `turnout.airflow.pod`.
        shared: directory that the containers of a pod share.
    """

    connection: str
    namespace: str
    launcher_image: str
    template: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shared: str = SHARED


def read_template(path: str) -> dict[str, Any]:
    """A pod's template from a YAML file; empty for no file. Raises StepError when it is not one."""
    if not path:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise StepError(str(Fault(f"the pod template cannot be read: {error}", path))) from error
    if not isinstance(content, dict) or content.get("kind", "Pod") != "Pod":
        raise StepError(str(Fault("the pod template is not a Pod", path)))
    return content


def pod_operator(
    task: Task, settings: Mapping[str, Any], store: ArtifactStore, cluster: Cluster
) -> KubernetesPodOperator:
    """The operator that runs a task's pod; the task is left in the store for it.

    Raises:
        StepError: pods could not see the store.
    """
    assert isinstance(task.executor, PipelineContainerSpec)
    _check_reach(store, cluster)
    container, shared = task.executor, PurePosixPath(cluster.shared)
    place = store.attempt_path(task)
    contract, values = contract_of(task, store, str(place), Path(shared)), task_values(task, str(store.root))
    environment = {item.name: resolve_text(item.value, task.parameters, values) for item in container.env}
    pod = manifest(
        settings,
        image=container.image,
        command=command_of(container, contract, values, Path(shared)),
        environment={**environment, **task.environment, ERROR_FILE: str(shared / ".launcher" / "error.txt")},
        resources=container.resources,
        task=write_task(task, store, place),
        shared=cluster.shared,
        launcher_image=cluster.launcher_image,
        template=cluster.template,
    )
    return KubernetesPodOperator(
        task_id=task.path.rpartition(".")[2],
        name="-".join([task.run.pipeline, *task.path.rpartition(".")[2:]])[:50].lower().replace("_", "-"),
        full_pod_spec=PodGenerator.deserialize_model_dict(pod),
        kubernetes_conn_id=cluster.connection or None,
        namespace=cluster.namespace or None,
        deferrable=True,
        do_xcom_push=False,
        # A pod of an earlier attempt would commit that attempt's outcome.
        durable=False,
        # Before the image is there a pod has not started, and images of this trade are large.
        startup_timeout_seconds=1800,
        poll_interval=2,
    )


def _check_reach(store: ArtifactStore, cluster: Cluster) -> None:
    if not store.is_local:
        return
    containers = {item["name"]: item for item in cluster.template.get("spec", {}).get("containers", [])}
    root = PurePosixPath(str(store.root))
    mounts = (
        [item["mountPath"] for item in containers.get(name, {}).get("volumeMounts", [])] for name in (BASE, LAUNCHER)
    )
    if not all(any(root.is_relative_to(path) for path in paths) for paths in mounts):
        hint = "name an object store, or mount the directory in the template's containers 'base' and 'launcher'"
        raise StepError(str(Fault("pods cannot see the artifact store", f"[turnout] root = {root}", (), hint)))
