"""The kubernetes runtime: a step in a pod, by Kubernetes' own client.

The pod stages its own artifacts and commits its own outcome (`turnout.execution.staging`); this side only makes it,
follows it, and reads how it ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from turnout.errors import Fault, StepError, TrackError
from turnout.execution.launcher import ERROR_FILE, command_of, contract_of, now
from turnout.execution.secrets import Secrets
from turnout.execution.staging import SHARED, write_task
from turnout.execution.store import ArtifactStore
from turnout.plan.support import EACH_TIME, IN_AN_IMAGE, KEPT, Support, refused
from turnout.runtimes import process
from turnout.runtimes.claims import ClaimAttempt, ClusterClaims, is_claim
from turnout.runtimes.pod import BASE, LAUNCHER, kfp_metadata, manifest
from turnout.runtimes.settings import KUBERNETES, LAUNCHER_IMAGE, missing
from turnout.runtimes.steps import Attempt, CommandAttempt, key_in_image, lines_of
from turnout.spec.deployment_spec import AcceleratorConfig, ImporterSpec, PipelineContainerSpec, ResourceSpec
from turnout.spec.pipeline_spec import CachingOptions
from turnout.spec.placeholders import resolve_text, task_values
from turnout.spec.step_contract import Outcome, State, Task

SUPPORT: dict[str, Support] = {
    **process.SUPPORT,
    **{kind: KEPT for kind in process.SUPPORT if kind.startswith("kubernetes.")},
    "PipelineContainerSpec.image": KEPT,
    "component.requirements": IN_AN_IMAGE,
    "component.packages_to_install": EACH_TIME,
    "PipelineContainerSpec.resources": KEPT,
    **{f"ResourceSpec.{item.name}": KEPT for item in dataclasses.fields(ResourceSpec)},
    **{f"AcceleratorConfig.{item.name}": KEPT for item in dataclasses.fields(AcceleratorConfig)},
    "PipelineConfig.workspace": refused(
        "pods share no directory; mount a claim with kfp.kubernetes.mount_pvc", "notimpl"
    ),
}
"""What becomes of a step's settings in a pod."""

SETTINGS = KUBERNETES

STARTUP_S = 1800
"""Before the image is there a pod has not started, and images of this trade are large."""

_LABEL = "turnout-task"
_POLL_S = 1.0
_REQUEST_S = 30.0
_SILENCE_S = 120.0
_HOPELESS = {
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
}
"""Reasons for which a container waits that waiting does not cure."""


@dataclass(frozen=True)
class Cluster:
    """Where pods run, and how.

    Attributes:
        namespace: of the pods; the connection's, or the template's, when empty.
        launcher_image: image with Turnout and the store's libraries, for the containers that stage.
        template: a pod to start from; see `turnout.runtimes.pod`.
        shared: directory that the containers of a pod share.
        kube_config: file that tells how to reach the cluster; empty: as kubectl finds it, or from within a pod.
        kube_context: context in that file; its current one when empty.
    """

    namespace: str
    launcher_image: str
    template: Mapping[str, Any] = field(default_factory=dict)
    shared: str = SHARED
    kube_config: str = ""
    kube_context: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> Cluster:
        """From the runtime's settings.

        Raises:
            TrackError: one that is needed is missing.
            StepError: the template is not one.
        """
        if not settings["launcher_image"]:
            raise TrackError([missing(LAUNCHER_IMAGE, "kubernetes")])
        return cls(
            namespace=settings["namespace"],
            launcher_image=settings["launcher_image"],
            template=read_template(settings["pod_template"]),
            kube_config=settings["kube_config"],
            kube_context=settings["kube_context"],
        )

    def client(self) -> tuple[Any, str]:
        """The API of pods, and the namespace for ours.

        Raises:
            ConfigException, OSError: nothing tells how to reach a cluster.
        """
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException

        configuration = client.Configuration()
        file, context = self.kube_config or None, self.kube_context or None
        try:
            config.load_kube_config(file, context, configuration, persist_config=False)
            current = config.list_kube_config_contexts(file)[1]["context"] if not context else {}
        except ConfigException:
            if file or context:
                raise
            config.load_incluster_config(client_configuration=configuration)
            current = {"namespace": Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text()}
        asked = self.namespace or self.template.get("metadata", {}).get("namespace")
        return client.CoreV1Api(client.ApiClient(configuration)), asked or current.get("namespace") or "default"

    def check(self) -> None:
        """See whether the cluster answers and shows us its pods. Raises TrackError when not."""
        where = self.kube_config or "the cluster"
        try:
            from kubernetes.client.exceptions import ApiException
            from kubernetes.config.config_exception import ConfigException
            from urllib3.exceptions import HTTPError
        except ImportError as error:
            what = "Kubernetes' client is not installed"
            raise TrackError([Fault(what, where, (), "pip install kubernetes")]) from error
        hint = "name the file that tells how to reach it: --setting kube_config=..., or the variable KUBECONFIG"
        try:
            api, namespace = self.client()
            api.list_namespaced_pod(namespace, limit=1, _request_timeout=_REQUEST_S)
        except ApiException as error:
            what = f"the cluster refuses to show its pods: {error.status} {error.reason}"
            raise TrackError([Fault(what, f"namespace {namespace}", (), "ask for the right to make pods")]) from error
        except (ConfigException, HTTPError, OSError) as error:
            raise TrackError([Fault(f"no Kubernetes cluster answers: {error}", where, (), hint)]) from error


def read_template(path: str) -> dict[str, Any]:
    """A pod's template from a YAML file; empty for no file. Raises StepError when it is not one."""
    if not path:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise StepError(f"the pod template cannot be read: {error}", where=path) from error
    if not isinstance(content, dict) or content.get("kind", "Pod") != "Pod":
        raise StepError("the pod template is not a Pod", where=path)
    return content


def pod_name(task: Task) -> str:
    """The name that a task's pod starts with."""
    return "-".join([task.run.pipeline, *task.path.rpartition(".")[2:]])[:50].lower().replace("_", "-")


def pod_of(task: Task, settings: Mapping[str, Any], store: ArtifactStore, cluster: Cluster) -> dict[str, Any]:
    """The manifest of a task's pod; the task is left in the store for it.

    Args:
        settings: of the platform `kubernetes`, with their values filled in.

    Raises:
        StepError: pods could not see the store.
    """
    assert isinstance(task.executor, PipelineContainerSpec)
    check_reach(store, cluster)
    container, shared = task.executor, PurePosixPath(cluster.shared)
    place = store.attempt_path(task)
    contract, values = contract_of(task, store, str(place), Path(shared)), task_values(task, str(store.root))
    environment = {item.name: resolve_text(item.value, task.parameters, values) for item in container.env}
    return manifest(
        settings,
        image=container.image,
        command=command_of(container, contract, values, Path(shared)),
        environment={**environment, **task.environment, ERROR_FILE: str(shared / ".launcher" / "error.txt")},
        resources=container.resources,
        task=write_task(task, store, place),
        shared=cluster.shared,
        launcher_image=cluster.launcher_image,
        template=cluster.template,
        metadata=kfp_metadata(task.run),
    )


def check_reach(store: ArtifactStore, cluster: Cluster) -> None:
    """See whether pods can reach the store: not a directory of this machine, unless the template mounts it.

    Raises:
        StepError: they cannot.
    """
    if not store.is_local:
        return
    containers = {item["name"]: item for item in cluster.template.get("spec", {}).get("containers", [])}
    root = PurePosixPath(str(store.root))
    mounts = (
        [item["mountPath"] for item in containers.get(name, {}).get("volumeMounts", [])] for name in (BASE, LAUNCHER)
    )
    if not all(any(root.is_relative_to(path) for path in paths) for paths in mounts):
        hint = "name an object store, or mount the directory in the template's containers 'base' and 'launcher'"
        raise StepError("pods cannot see the artifact store", where=f"root = {root}", hint=hint)


class Pods:
    """Runs a run's steps as pods of a cluster; see `turnout.runtimes.steps.StepRunner`."""

    def __init__(self, settings: Mapping[str, str], store: ArtifactStore):
        self.cluster, self.store = Cluster.of(settings), store

    def check(self) -> None:
        check_reach(self.store, self.cluster)
        self.cluster.check()

    def started(
        self, keep: int | None, commands: Iterable[Sequence[str]] = ()
    ) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def prepare(self, container: PipelineContainerSpec, on_line: Callable[[str], None]) -> None:
        """Nothing: whether there is an image, the cluster's nodes know."""

    def environment(self, secrets: Secrets, settings: Mapping[str, Any], step: str) -> dict[str, str]:
        return {}  # the pod refers to them

    def key(self, task: Task, caching: CachingOptions | None) -> str | None:
        return key_in_image(task, caching)

    def attempt(self, task: Task, settings: Mapping[str, Any]) -> Attempt:
        if isinstance(task.executor, ImporterSpec):
            return CommandAttempt(task, self.store, process.ProcessRuntime())
        if is_claim(task):
            return ClaimAttempt(task, self.store, ClusterClaims(self.cluster.client))
        return PodAttempt(task, settings, self.store, self.cluster)


class PodAttempt:
    """One attempt of a step, in a pod of its own."""

    def __init__(self, task: Task, settings: Mapping[str, Any], store: ArtifactStore, cluster: Cluster):
        self.task, self.settings, self.store, self.cluster = task, settings, store, cluster
        self._cancelled = threading.Event()
        self._grace = 5.0

    def run(self, on_line: Callable[[str], None]) -> Outcome:
        """As `turnout.runtimes.steps.Attempt.run`."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config.config_exception import ConfigException
        from urllib3.exceptions import HTTPError

        task, store, started = self.task, self.store, now()
        store.clear_attempt(task)
        try:
            error = self._run(on_line)
        except ApiException as failure:
            error = str(Fault(f"the cluster refuses the pod: {failure.body or failure.reason}", task.path))
        except (ConfigException, HTTPError, OSError) as failure:
            error = str(Fault(f"the cluster does not answer: {failure}", task.path))
        outcome = None if self._cancelled.is_set() else store.outcome(task.run, task.path, task.iteration)
        if outcome is None or outcome.attempt != task.attempt:
            outcome = Outcome(State.FAILED, task.attempt, started=started, ended=now(), error=error)
            store.commit(task, outcome)
        return outcome

    def cancel(self, grace: float = 5.0) -> None:
        """End the pod: SIGTERM, and SIGKILL after `grace` seconds."""
        self._grace = grace
        self._cancelled.set()

    def _run(self, on_line: Callable[[str], None]) -> str:
        """Run the pod to its end; why it left no outcome, if it leaves none."""
        pod = pod_of(self.task, self.settings, self.store, self.cluster)
        api, namespace = self.cluster.client()
        mark = self._mark()
        self._remove_left(api, namespace, f"{_LABEL}={mark}")
        name = f"{re.sub('[^a-z0-9-]', '-', pod_name(self.task))}-{uuid.uuid4().hex[:8]}"
        metadata = pod.setdefault("metadata", {})
        metadata |= {"name": name, "namespace": namespace, "labels": {**metadata.get("labels", {}), _LABEL: mark}}
        api.create_namespaced_pod(namespace, pod, _request_timeout=_REQUEST_S)
        ended = threading.Event()
        log = threading.Thread(target=_follow, args=(api, namespace, name, ended, on_line), daemon=True)
        log.start()
        try:
            return self._wait(api, namespace, name)
        finally:
            ended.set()
            log.join(_REQUEST_S)
            _delete(api, namespace, name, int(self._grace) if self._cancelled.is_set() else 0)

    def _wait(self, api: Any, namespace: str, name: str) -> str:
        """Wait until a pod has ended; why it left no outcome, if it leaves none."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        latest, heard = time.monotonic() + STARTUP_S, time.monotonic()
        while not self._cancelled.wait(_POLL_S):
            try:
                status = _status(api, namespace, name)
            except (ApiException, HTTPError, OSError):  # an API server may be away for a while; the pod runs on
                if time.monotonic() - heard > _SILENCE_S:
                    raise
                continue
            heard = time.monotonic()
            if status is None:
                return "the pod was deleted while it ran"
            if status.phase in ("Succeeded", "Failed"):
                why = ": ".join(filter(None, [status.reason, status.message]))
                return f"the pod ended without an outcome{f': {why}' if why else ''}"
            for item in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]:
                waiting = item.state.waiting if item.state else None
                if waiting is not None and waiting.reason in _HOPELESS:
                    return f"the pod's container '{item.name}' cannot start: {waiting.reason}: {waiting.message or ''}"
            if status.phase == "Pending" and time.monotonic() > latest:
                return f"the pod did not start within {STARTUP_S} s"
        return "the step was cancelled"

    def _mark(self) -> str:
        """A label's value that says whose pod it is: labels take 63 characters."""
        run = self.task.run
        facts = [str(self.store.root), run.pipeline, run.run_id, self.task.path, *map(str, self.task.iteration)]
        return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:40]

    @staticmethod
    def _remove_left(api: Any, namespace: str, selector: str) -> None:
        """Remove the pod of an earlier attempt whose runner was killed: it would commit that attempt's outcome."""
        for left in api.list_namespaced_pod(namespace, label_selector=selector, _request_timeout=_REQUEST_S).items:
            _delete(api, namespace, left.metadata.name, 1)  # with 0, nobody would wait for its containers to end


def _status(api: Any, namespace: str, name: str) -> Any:
    """A pod's status; None when there is no such pod."""
    from kubernetes.client.exceptions import ApiException

    try:
        return api.read_namespaced_pod(name, namespace, _request_timeout=_REQUEST_S).status
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def _delete(api: Any, namespace: str, name: str, grace: int) -> None:
    """Delete a pod, and wait until it is gone."""
    from kubernetes.client.exceptions import ApiException

    try:
        api.delete_namespaced_pod(name, namespace, grace_period_seconds=grace, _request_timeout=_REQUEST_S)
    except ApiException as error:
        if error.status != 404:
            raise
    latest = time.monotonic() + grace + _REQUEST_S
    while _status(api, namespace, name) is not None and time.monotonic() < latest:
        time.sleep(_POLL_S / 5)


def _follow(api: Any, namespace: str, name: str, ended: threading.Event, on_line: Callable[[str], None]) -> None:
    """Pass on what a pod's own container prints, until the pod has ended and all has been read."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    last = ""
    while True:
        over, before = ended.is_set(), last
        # Before the container has started there is no log; and a long stream may break off.
        with contextlib.suppress(ApiException, HTTPError, OSError):
            stream = api.read_namespaced_pod_log(
                name, namespace, container=BASE, follow=not over, timestamps=True, _preload_content=False
            )
            for line in lines_of(stream.stream()):
                last, _, text = line.partition(" ")
                if last > before:  # a stream that begins anew begins at the first line
                    on_line(text)
        if over:
            return
        ended.wait(_POLL_S)
