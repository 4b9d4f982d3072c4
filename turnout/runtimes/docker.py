"""The docker runtime: a step's command in a container of its image, by Docker's own SDK.

Artifacts are staged on this machine into the attempt's directory, which the container sees at the same path; so the
Docker host must see this machine's files: it is this machine, or shares the directory with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.errors import Fault, StepError, TrackError
from turnout.execution.secrets import Secrets
from turnout.execution.staging import open_to_all
from turnout.execution.store import ArtifactStore
from turnout.extras import hint_for
from turnout.plan.support import EACH_TIME, IN_AN_IMAGE, KEPT, Support, lowered, refused
from turnout.runtimes import process
from turnout.runtimes.claims import ClaimAttempt, EngineClaims, is_claim
from turnout.runtimes.container import Container, container_of
from turnout.runtimes.settings import DOCKER
from turnout.runtimes.steps import Attempt, CommandAttempt, key_in_image, lines_of
from turnout.spec.deployment_spec import AcceleratorConfig, PipelineContainerSpec, ResourceSpec
from turnout.spec.pipeline_spec import CachingOptions
from turnout.spec.requirements import required
from turnout.spec.step_contract import Task

_DECLARED = lowered("from the file of declared secrets: [turnout] secrets")
_ELSEWHERE = lowered("says where a pod runs; the container runs on the worker's Docker host")
_NO_FILES = refused(
    "would leave secrets in files of the Docker host; pass them as variables, or run on Kubernetes", "never"
)

_LIMITS = lowered("the memory limit as it is; processors as shares of the host's")
_DEVICES = lowered("a request for so many of the host's devices")

SUPPORT: dict[str, Support] = {
    **process.SUPPORT,
    "PipelineContainerSpec.image": KEPT,
    "component.requirements": IN_AN_IMAGE,
    "component.packages_to_install": EACH_TIME,
    "PipelineContainerSpec.resources": KEPT,
    **{f"ResourceSpec.{item.name}": _LIMITS for item in dataclasses.fields(ResourceSpec)},
    **{f"AcceleratorConfig.{item.name}": _DEVICES for item in dataclasses.fields(AcceleratorConfig)},
    "kubernetes.secretAsEnv": _DECLARED,
    "kubernetes.configMapAsEnv": _DECLARED,
    "kubernetes.secretAsVolume": _NO_FILES,
    "kubernetes.configMapAsVolume": _NO_FILES,
    "kubernetes.pvcMount": lowered("the Docker volume of the claim's name"),
    "kubernetes.CreatePVC": lowered("makes a Docker volume, without a limit"),
    "kubernetes.DeletePVC": lowered("removes the Docker volume of the claim's name"),
    "kubernetes.emptyDirMounts": lowered("a volume of its own; in memory where it says so"),
    "kubernetes.genericEphemeralVolume": lowered("a volume of its own, without a limit"),
    "kubernetes.enabledSharedMemory": lowered("the container's shared memory"),
    "kubernetes.imagePullPolicy": KEPT,
    "kubernetes.imagePullSecret": lowered("the registry's login is the Docker connection's"),
    "kubernetes.podMetadata": lowered("labels and annotations are the container's labels"),
    "kubernetes.securityContext": lowered("the container's user and group"),
    "kubernetes.initContainers": refused("one container is a step here; make it a step, or run on Kubernetes"),
    "kubernetes.podResourceClaims": refused("Docker has no claims; ask for accelerators, or run on Kubernetes"),
    "kubernetes.fieldPathAsEnv": refused(
        "a container has no pod whose fields it could read; run on Kubernetes", "never"
    ),
    **dict.fromkeys(
        ("kubernetes.nodeSelector", "kubernetes.tolerations", "kubernetes.nodeAffinity", "kubernetes.podAffinity"),
        _ELSEWHERE,
    ),
}
"""What becomes of a step's settings in a container of Docker."""

SETTINGS = DOCKER

_BUILD = "the component has requirements of its own; build the image that holds them: turnout build"

LABEL = "turnout.task"
"""A container's label with the digest of its task, by which a later attempt finds what a killed runner has left."""

_TIMEOUT_S = 60
"""What one request to the engine may take; streams and waits have no limit."""


@dataclass(frozen=True)
class Login:
    """A login at a registry of images, beside those in the Docker client's own configuration."""

    registry: str
    user: str
    password: str = field(repr=False)
    email: str = ""
    reauth: bool = True


@dataclass(frozen=True)
class Engine:
    """The Docker engine that runs containers.

    Attributes:
        host: its address; as Docker's own client finds it when empty.
    """

    host: str = ""
    login: Login | None = None

    def client(self) -> Any:
        """A client of the engine, logged in.

        Raises:
            DockerException, OSError: the engine does not answer, or refuses the login.
        """
        import docker

        given = docker.utils.kwargs_from_env()
        if self.host:
            given["base_url"] = self.host
        client = docker.APIClient(**given, timeout=_TIMEOUT_S)
        if login := self.login:
            client.login(
                username=login.user,
                password=login.password,
                registry=login.registry,
                email=login.email or None,
                reauth=login.reauth,
            )
        return client

    def check(self) -> None:
        """See whether the engine answers. Raises TrackError when it does not, or its SDK is not installed."""
        where = self.host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            from docker.errors import DockerException
        except ImportError as error:
            raise TrackError([Fault("Docker's SDK is not installed", where, (), hint_for(error))]) from error
        try:
            self.client().ping()
        except (DockerException, OSError) as error:
            hint = "start Docker, or name its address: --setting docker_host=..., or the variable DOCKER_HOST"
            raise TrackError([Fault(f"Docker's engine does not answer: {error}", where, (), hint)]) from error


class Containers:
    """Runs a run's steps as containers of a Docker host; see `turnout.runtimes.steps.StepRunner`."""

    def __init__(self, settings: Mapping[str, str], store: ArtifactStore):
        self.engine, self.store = Engine(settings["docker_host"]), store

    def check(self) -> None:
        self.engine.check()

    def started(
        self, keep: int | None, commands: Iterable[Sequence[str]] = ()
    ) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def prepare(self, container: PipelineContainerSpec, on_line: Callable[[str], None]) -> None:
        """Get the image of a component that has one of its own."""
        if not required(container):
            return
        from docker.errors import DockerException

        image = container.image
        try:
            client = self.engine.client()
            if not client.images(name=image):
                _pull(client, image, "IfNotPresent", on_line)
        except (DockerException, OSError) as error:
            raise StepError(
                f"the image of the component's requirements cannot be had: {error}", where=image, hint=_BUILD
            ) from error
        except StepError as error:
            raise StepError(error.faults[0].what, where=image, hint=_BUILD) from error

    def environment(self, secrets: Secrets, settings: Mapping[str, Any], step: str) -> dict[str, str]:
        return secrets.environment(settings, step)

    def key(self, task: Task, caching: CachingOptions | None) -> str | None:
        return key_in_image(task, caching)

    def attempt(self, task: Task, settings: Mapping[str, Any]) -> Attempt:
        if is_claim(task):
            return ClaimAttempt(task, self.store, EngineClaims(self.engine.client))
        return CommandAttempt(task, self.store, DockerRuntime(task, settings, self.engine))


class DockerRuntime:
    """Runs a task's command in a container.

    Args:
        settings: of the platform `kubernetes`, with their values filled in.
    """

    def __init__(self, task: Task, settings: Mapping[str, Any], engine: Engine = Engine()):
        self.task, self.settings, self.engine = task, settings, engine
        self._running: tuple[Any, str] | None = None
        self._cancelled, self._late = threading.Event(), threading.Event()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        """As `turnout.execution.runtime.Runtime.run`."""
        from docker.errors import DockerException

        open_to_all(log.parent)
        container = container_of(self.task, self.settings, command, environment, log.parent)
        timer = threading.Timer(timeout or 0, self._end_late)
        try:
            if timeout:
                timer.start()
            client = self.engine.client()
            _pull(client, container.image, container.pull_policy, on_line)
            self._remove_left(client)
            identity = client.create_container(**_arguments(client, container, self._mark()))["Id"]
            try:
                self._running = (client, identity)
                return self._follow(client, identity, on_line, timeout)
            finally:
                self._running = None
                log.write_bytes(client.logs(identity))
                client.remove_container(identity, v=True, force=True)
        except (DockerException, OSError) as error:
            raise StepError(f"Docker cannot run the step: {error}", where=self.task.path) from error
        finally:
            timer.cancel()

    def _follow(self, client: Any, identity: str, on_line: Callable[[str], None], timeout: float | None) -> int:
        """Start a container, pass on its lines, and tell how it ended."""
        if not self._must_end():
            client.start(identity)
            if self._must_end():  # since it was asked; whoever wanted it found nothing to end
                client.stop(identity, timeout=0)
            for line in lines_of(client.logs(identity, stream=True, follow=True)):
                on_line(line)
            client.wait(identity)
        if self._late.is_set():
            raise StepError(f"the step took longer than its time-out of {timeout:g} s, and was ended")
        if self._cancelled.is_set():
            raise StepError("the step was cancelled")
        state = client.inspect_container(identity)["State"]
        if state.get("OOMKilled"):
            raise StepError("the container was ended: out of memory")
        status = int(state["ExitCode"])
        return status if status <= 128 else 128 - status

    def cancel(self, grace: float = 5.0) -> None:
        """End the container: SIGTERM, and SIGKILL after `grace` seconds."""
        self._cancelled.set()
        self._stop(grace)

    def _end_late(self) -> None:
        self._late.set()
        self._stop(5.0)

    def _must_end(self) -> bool:
        return self._cancelled.is_set() or self._late.is_set()

    def _stop(self, grace: float) -> None:
        from docker.errors import DockerException

        if (running := self._running) is not None:
            client, identity = running
            with contextlib.suppress(DockerException, OSError):  # it may have ended of itself
                client.stop(identity, timeout=int(grace))

    def _mark(self) -> str:
        run = self.task.run
        facts = "\0".join([run.pipeline, run.run_id, run.create_time, self.task.path, *map(str, self.task.iteration)])
        return hashlib.sha256(facts.encode()).hexdigest()

    def _remove_left(self, client: Any) -> None:
        """Remove the container of an earlier attempt whose runner was killed: it writes where this one will."""
        for left in client.containers(all=True, filters={"label": f"{LABEL}={self._mark()}"}):
            client.remove_container(left["Id"], v=True, force=True)


def _pull(client: Any, image: str, policy: str, on_line: Callable[[str], None]) -> None:
    """Pull an image where its policy says so. Raises StepError when it cannot be had."""
    if policy != "Always" and client.images(name=image):
        return
    if policy == "Never":
        raise StepError("the image is not here, and may not be pulled", where=image)
    on_line(f"pulling {image}")
    for event in client.pull(image, stream=True, decode=True):
        if "error" in event:
            raise StepError(f"the image cannot be pulled: {event['error']}", where=image)


def _arguments(client: Any, container: Container, mark: str) -> dict[str, Any]:
    """The arguments of the SDK's `create_container`."""
    host = client.create_host_config(
        mounts=container.mounts,
        cpu_shares=round(container.cpus * 1024),
        mem_limit=container.mem_limit,
        shm_size=container.shm_size,
        device_requests=container.device_requests,
    )
    return {
        "image": container.image,
        "entrypoint": container.entrypoint,
        "command": container.command,
        "environment": container.environment,
        "user": container.user,
        "labels": {**container.labels, LABEL: mark},
        "host_config": host,
    }
