"""The docker runtime: a step's command in a container of its image, by Airflow's DockerOperator.

Artifacts are staged by the worker into the attempt's directory, which the container sees at the same path;
so the Docker host must see the worker's files: it is this machine, or shares the directory with it.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.providers.docker.operators.docker import DockerOperator
from docker.errors import DockerException
from docker.types import DeviceRequest, Mount
from kubernetes.utils.quantity import parse_quantity

from turnout.errors import Fault, StepError
from turnout.execution.staging import open_to_all
from turnout.execution.store import local_path
from turnout.spec.contract import Task
from turnout.spec.deployment_spec import PipelineContainerSpec, ResourceSpec


class DockerRuntime:
    """Runs a task's command in a container.

    Args:
        settings: of the platform `kubernetes`, with their values filled in.
        connection: Airflow's connection with the registry's login; none when empty.
    """

    def __init__(self, task: Task, settings: Mapping[str, Any], connection: str = ""):
        self.task, self.settings, self.connection = task, settings, connection
        self._operator: DockerOperator | None = None
        self._cancelled = threading.Event()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        """As `turnout.execution.runtime.Runtime.run`."""
        workdir = log.parent
        open_to_all(workdir)
        operator = self._operator = docker_operator(
            self.task, self.settings, command, environment, workdir, self.connection
        )
        late, over = threading.Event(), threading.Event()

        def end() -> None:
            late.set()
            while not over.is_set():  # it may have to be made yet, or started
                with contextlib.suppress(DockerException, OSError):
                    self._stop()
                over.wait(0.5)

        timer = threading.Timer(timeout or 0, end)
        try:
            if self.settings.get("imagePullPolicy") == "Never" and not operator.cli.images(name=operator.image):
                raise StepError(str(Fault("the image is not here, and may not be pulled", operator.image)))
            if timeout:
                timer.start()
            # The function itself: Airflow warns of operators that are executed by operators.
            inspect.unwrap(type(operator).execute)(operator, {})
            return 0
        except (DockerException, OSError) as error:
            raise StepError(str(Fault(f"Docker cannot run the step: {error}", self.task.path))) from error
        except Exception as error:
            if operator.container is None:
                raise StepError(str(Fault(f"Docker cannot run the step: {error}", self.task.path))) from error
            if late.is_set():
                what = f"the step took longer than its time-out of {timeout:g} s, and was ended"
                raise StepError(what) from error
            if self._cancelled.is_set():
                raise StepError("the step was cancelled") from error
            state = operator.cli.inspect_container(operator.container["Id"])["State"]
            if state.get("OOMKilled"):
                raise StepError("the container was ended: out of memory") from error
            status = int(state["ExitCode"])
            return status if status <= 128 else 128 - status
        finally:
            over.set()
            timer.cancel()
            if operator.container is not None:
                log.write_bytes(operator.cli.logs(operator.container["Id"]))
                operator.cli.remove_container(operator.container["Id"], force=True)
                operator.container = None

    def cancel(self, grace: float = 5.0) -> None:
        """End the container: SIGTERM, and SIGKILL after `grace` seconds."""
        self._cancelled.set()
        self._stop(grace)

    def _stop(self, grace: float = 5.0) -> None:
        if self._operator is not None and self._operator.container is not None:
            self._operator.cli.stop(self._operator.container["Id"], timeout=int(grace))


def docker_operator(
    task: Task,
    settings: Mapping[str, Any],
    command: Sequence[str],
    environment: Mapping[str, str],
    workdir: Path,
    connection: str = "",
) -> DockerOperator:
    """The operator that runs a task's container.

    Args:
        command: the whole command, its placeholders filled in; the image's entry point plays no part.
        environment: variables, the values of secrets among them; Airflow's pages do not show them.
    """
    assert isinstance(task.executor, PipelineContainerSpec)
    metadata = settings.get("podMetadata", {})
    return DockerOperator(
        task_id=task.path.rpartition(".")[2],
        image=task.executor.image,
        entrypoint=list(command[:1]),
        command=list(command[1:]),
        private_environment=dict(environment),
        mounts=list(_mounts(task, settings, workdir)),
        mount_tmp_dir=False,
        user=_user(settings.get("securityContext", {})),
        force_pull=settings.get("imagePullPolicy") == "Always",
        shm_size=_bytes(settings.get("enabledSharedMemory", {}).get("size")),
        labels={**metadata.get("labels", {}), **metadata.get("annotations", {})} or None,
        docker_conn_id=connection or None,
        do_xcom_push=False,
        auto_remove="never",  # the runtime removes it, when it has the log
        **_resources(task.executor.resources),
    )


def _mounts(task: Task, settings: Mapping[str, Any], workdir: Path) -> Iterator[Mount]:
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
        raise StepError(str(Fault("Docker cannot tell whether the image's user is root", "runAsNonRoot", (), hint)))
    return f"{user or 0}:{group}" if group else str(user) if user else None


def _resources(resources: ResourceSpec | None) -> dict[str, Any]:
    if resources is None:
        return {}
    wanted: dict[str, Any] = {}
    if cpu := resources.resource_cpu_limit or resources.resource_cpu_request or resources.cpu_limit:
        wanted["cpus"] = float(parse_quantity(cpu))
    if memory := _bytes(resources.resource_memory_limit) or round(resources.memory_limit * 1_000_000_000):
        wanted["mem_limit"] = memory
    if accelerator := resources.accelerator:
        count = int(accelerator.resource_count or accelerator.count or 0)
        driver = "nvidia" if "nvidia" in (accelerator.resource_type or accelerator.type).lower() else ""
        if count:
            wanted["device_requests"] = [DeviceRequest(driver=driver, count=count, capabilities=[["gpu"]])]
    return wanted


def _bytes(quantity: str | None) -> int | None:
    """A Kubernetes quantity, such as `1Gi`, in bytes."""
    return int(parse_quantity(quantity)) if quantity else None
