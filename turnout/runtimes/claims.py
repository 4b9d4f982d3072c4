"""CreatePVC and DeletePVC of kfp-kubernetes: no containers, but claims of volumes, which KFP's driver makes.

Source: `createPVC` and `deletePVC` in `backend/src/v2/driver/k8s.go` of KFP 2.17. Beside that, a claim has a label that
says which step of which run made it: what an attempt made that was interrupted is its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from turnout.errors import StepError, TurnoutError
from turnout.execution.launcher import now
from turnout.execution.store import ArtifactStore
from turnout.spec.command import CREATE_PVC, DELETE_PVC
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.step_contract import Outcome, State, Task

LABEL = "turnout-claim"
"""The label that says which step of which run made it."""

_REQUEST_S = 30.0
_ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")


@dataclass(frozen=True)
class Claim:
    """A claim of a volume.

    Attributes:
        mark: the value of its label.
        size: a quantity of Kubernetes, such as `5Gi`.
        storage_class: None is the cluster's default; empty is none.
        volume_name: a volume that is there already.
        data_source: what the volume begins with: a snapshot, or another claim.
    """

    name: str
    mark: str
    access_modes: tuple[str, ...]
    size: str
    storage_class: str | None = None
    volume_name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    data_source: Mapping[str, str] = field(default_factory=dict)


class Claims(Protocol):
    """Where claims are made and removed. Both raise StepError when it cannot be done."""

    def create(self, claim: Claim) -> None: ...

    def delete(self, name: str) -> None: ...


def is_claim(task: Task) -> bool:
    """Whether a task is one of kfp-kubernetes' components that are no containers."""
    return isinstance(task.executor, PipelineContainerSpec) and task.executor.image in (CREATE_PVC, DELETE_PVC)


def claim_of(task: Task, store: ArtifactStore) -> Claim:
    """What a task of CreatePVC asks for.

    A claim without a name of its own has one that is made from its step and run, and not from chance as on KFP.

    Raises:
        StepError: two names, or an access mode that there is not.
    """
    given = task.parameters
    run = task.run
    facts = [str(store.root), run.pipeline, run.run_id, run.create_time, task.path, *map(str, task.iteration)]
    mark = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:40]
    name, suffix = given.get("pvc_name") or "", given.get("pvc_name_suffix") or ""
    if name and suffix:
        raise StepError("a claim has a name, or a suffix of one, not both", where=f"{task.path}.pvc_name")
    modes = tuple(map(str, given["access_modes"]))
    if unknown := [mode for mode in modes if mode not in _ACCESS_MODES]:
        raise StepError(f"no access mode '{unknown[0]}'", where=f"{task.path}.access_modes", available=_ACCESS_MODES)
    return Claim(
        name=name or f"{uuid.UUID(hex=mark[:32])}{suffix}",
        mark=mark,
        access_modes=modes,
        size=given["size"],
        storage_class=given.get("storage_class_name"),
        volume_name=given.get("volume_name") or "",
        annotations=given.get("annotations") or {},
        data_source=given.get("data_source") or {},
    )


@dataclass(frozen=True, eq=False)
class ClaimAttempt:
    """An attempt of CreatePVC or DeletePVC; see `turnout.runtimes.steps.Attempt`."""

    task: Task
    store: ArtifactStore
    claims: Claims

    def run(self, on_line: Callable[[str], None]) -> Outcome:
        started, task = now(), self.task
        assert isinstance(task.executor, PipelineContainerSpec)
        place = self.store.clear_attempt(task)
        outcome = Outcome(State.SUCCEEDED, task.attempt, started=started, log=str(place / "log.txt"))
        try:
            if task.executor.image == CREATE_PVC:
                claim = claim_of(task, self.store)
                self.claims.create(claim)
                told = f"made the claim {claim.name}"
                outcome = dataclasses.replace(outcome, parameters={"name": claim.name})
            else:
                self.claims.delete(task.parameters["pvc_name"])
                told = f"removed the claim {task.parameters['pvc_name']}"
        except TurnoutError as error:
            told = str(error)
            outcome = dataclasses.replace(outcome, state=State.FAILED, error=told)
        on_line(told)
        (place / "log.txt").write_text(f"{told}\n")
        return self.store.commit(task, dataclasses.replace(outcome, ended=now()))

    def cancel(self, grace: float = 5.0) -> None:
        """One request is under way, at most; it ends by itself."""


@dataclass(frozen=True)
class ClusterClaims:
    """PersistentVolumeClaims of a cluster.

    Attributes:
        client: gives the API, and the namespace.
    """

    client: Callable[[], tuple[Any, str]]

    def create(self, claim: Claim) -> None:
        def make(api: Any, namespace: str) -> None:
            from kubernetes.client.exceptions import ApiException

            try:
                api.create_namespaced_persistent_volume_claim(namespace, manifest(claim), _request_timeout=_REQUEST_S)
            except ApiException as error:
                if error.status != 409:
                    raise
                there = api.read_namespaced_persistent_volume_claim(claim.name, namespace, _request_timeout=_REQUEST_S)
                if (there.metadata.labels or {}).get(LABEL) != claim.mark:
                    raise StepError("there is a claim of that name already", where=claim.name) from error

        self._ask(make, "made", claim.name)

    def delete(self, name: str) -> None:
        def remove(api: Any, namespace: str) -> None:
            api.delete_namespaced_persistent_volume_claim(name, namespace, _request_timeout=_REQUEST_S)

        self._ask(remove, "removed", name)

    def _ask(self, act: Callable[[Any, str], None], done: str, name: str) -> None:
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config.config_exception import ConfigException
        from urllib3.exceptions import HTTPError

        try:
            act(*self.client())
        except ApiException as error:
            why = "there is none" if error.status == 404 else error.body or error.reason
            raise StepError(f"the claim cannot be {done}: {why}", where=name) from error
        except (ConfigException, HTTPError, OSError) as error:
            raise StepError(f"the claim cannot be {done}: the cluster does not answer: {error}", where=name) from error


def manifest(claim: Claim) -> dict[str, Any]:
    """A claim as the cluster's API takes it."""
    spec: dict[str, Any] = {
        "accessModes": list(claim.access_modes),
        "resources": {"requests": {"storage": claim.size}},
    }
    if claim.storage_class is not None:
        spec["storageClassName"] = claim.storage_class
    if claim.volume_name:
        spec["volumeName"] = claim.volume_name
    if claim.data_source:
        spec["dataSource"] = dict(claim.data_source)
    metadata = {"name": claim.name, "labels": {LABEL: claim.mark}, "annotations": dict(claim.annotations)}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


@dataclass(frozen=True)
class EngineClaims:
    """Volumes of a Docker engine, by the claims' names. They have no limit, and whoever mounts one may write.

    Attributes:
        client: gives the engine's API.
    """

    client: Callable[[], Any]

    def create(self, claim: Claim) -> None:
        from docker.errors import DockerException, NotFound

        if claim.volume_name or claim.data_source:
            what = "Docker makes no volume from another"
            raise StepError(what, where=claim.name, hint="leave out volume_name and data_source, or run on Kubernetes")
        try:
            client = self.client()
            try:
                there = client.inspect_volume(claim.name)
            except NotFound:
                labels = {**claim.annotations, LABEL: claim.mark}
                client.create_volume(claim.name, labels=labels)
            else:
                if (there.get("Labels") or {}).get(LABEL) != claim.mark:
                    raise StepError("there is a volume of that name already", where=claim.name)
        except (DockerException, OSError) as error:
            raise StepError(f"the volume cannot be made: {error}", where=claim.name) from error

    def delete(self, name: str) -> None:
        from docker.errors import DockerException, NotFound

        try:
            self.client().remove_volume(name)
        except NotFound as error:
            raise StepError("the volume cannot be removed: there is none", where=name) from error
        except (DockerException, OSError) as error:
            raise StepError(f"the volume cannot be removed: {error}", where=name) from error
