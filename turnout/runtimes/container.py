"""A step as a container of Docker, from the step's settings.

Source of the settings: `KubernetesExecutorConfig` in `kubernetes_executor_config.proto` of kfp-kubernetes 2.17; they
come here with their values filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.errors import StepError
from turnout.execution.store import local_path
from turnout.spec.deployment_spec import PipelineContainerSpec, ResourceSpec
from turnout.spec.step_contract import Task


@dataclass(frozen=True)
class Container:
    """A container as Docker's API takes it.

    Attributes:
        environment: variables, the values of secrets among them; not shown.
        mounts, device_requests: Docker's own types.
        cpus: processors, in shares of the host's.
        mem_limit, shm_size: bytes; the engine's own when None.
        pull_policy: Kubernetes' word: Always, IfNotPresent, Never; empty is IfNotPresent.
    """

    image: str
    entrypoint: list[str]
    command: list[str]
    environment: dict[str, str] = field(repr=False)
    mounts: list[Any]
    user: str | None = None
    cpus: float = 1.0
    mem_limit: int | None = None
    shm_size: int | None = None
    device_requests: list[Any] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    pull_policy: str = ""


def container_of(
    task: Task, settings: Mapping[str, Any], command: Sequence[str], environment: Mapping[str, str], workdir: Path
) -> Container:
    """The container of a task.

    Args:
        command: the whole command, its placeholders filled in; the image's entry point plays no part.
    """
    assert isinstance(task.executor, PipelineContainerSpec)
    metadata = settings.get("podMetadata", {})
    return Container(
        image=task.executor.image,
        entrypoint=list(command[:1]),
        command=list(command[1:]),
        environment=dict(environment),
        mounts=list(_mounts(task, settings, workdir)),
        user=_user(settings.get("securityContext", {})),
        shm_size=_bytes(settings.get("enabledSharedMemory", {}).get("size")),
        labels={**metadata.get("labels", {}), **metadata.get("annotations", {})},
        pull_policy=settings.get("imagePullPolicy", ""),
        **_resources(task.executor.resources),
    )


def _mounts(task: Task, settings: Mapping[str, Any], workdir: Path) -> Iterator[Any]:
    from docker.types import Mount

    yield Mount(str(workdir), str(workdir), type="bind")
    inputs = {local_path(artifact.uri) for artifacts in task.artifacts.values() for artifact in artifacts}
    for path in sorted(path for path in inputs if path and Path(path).exists()):
        yield Mount(path, path, type="bind", read_only=True)
    if task.run.workspace:
        yield Mount(task.run.workspace, task.run.workspace, type="bind")
    for entry in settings.get("pvcMount", ()):
        name = entry.get("pvcNameParameter") or entry.get("constant")
        yield Mount(entry["mountPath"], str(name), type="volume", subpath=entry.get("subPath") or None)
    for entry in settings.get("emptyDirMounts", ()):
        if entry.get("medium") == "Memory":
            yield Mount(entry["mountPath"], None, type="tmpfs", tmpfs_size=_bytes(entry.get("sizeLimit")))
        else:
            yield Mount(entry["mountPath"], None, type="volume")
    for entry in settings.get("genericEphemeralVolume", ()):
        yield Mount(entry["mountPath"], None, type="volume")


def _user(context: Mapping[str, Any]) -> str | None:
    """Docker's `user:group`.

    Raises:
        StepError: the image's own user must not be root, and Docker cannot say whether it is.
    """
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if context.get("runAsNonRoot") and not int(user or 0):
        hint = "name the user: kfp.kubernetes.set_security_context(run_as_user=...)"
        raise StepError("Docker cannot tell whether the image's user is root", where="runAsNonRoot", hint=hint)
    return f"{user or 0}:{group}" if group else str(user) if user else None


def _resources(resources: ResourceSpec | None) -> dict[str, Any]:
    if resources is None:
        return {}
    wanted: dict[str, Any] = {}
    if cpu := resources.resource_cpu_limit or resources.resource_cpu_request or resources.cpu_limit:
        wanted["cpus"] = _number(cpu)
    if memory := _bytes(resources.resource_memory_limit) or round(resources.memory_limit * 1_000_000_000):
        wanted["mem_limit"] = memory
    if accelerator := resources.accelerator:
        from docker.types import DeviceRequest

        count = int(accelerator.resource_count or accelerator.count or 0)
        driver = "nvidia" if "nvidia" in (accelerator.resource_type or accelerator.type).lower() else ""
        if count:
            wanted["device_requests"] = [DeviceRequest(driver=driver, count=count, capabilities=[["gpu"]])]
    return wanted


def _number(quantity: str | float) -> float:
    """A Kubernetes quantity, such as `1Gi` or `500m`, as a number."""
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(quantity))


def _bytes(quantity: str | None) -> int | None:
    """A Kubernetes quantity in bytes."""
    return int(_number(quantity)) if quantity else None
