"""The process runtime: a step's command as a process group of this machine, in a chosen environment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import Fault, StepError, TrackError
from turnout.execution.cache import fingerprint_with_outside
from turnout.execution.environments import inherited, prepare
from turnout.execution.launcher import launch
from turnout.execution.runtime import Runtime
from turnout.execution.secrets import Secrets
from turnout.execution.store import ArtifactStore
from turnout.plan.support import KEPT, Support, lowered, refused
from turnout.plan.support_table import FIELDS
from turnout.runtimes import supervisor
from turnout.runtimes.leftovers import mark
from turnout.runtimes.settings import PROCESS
from turnout.runtimes.steps import Attempt
from turnout.spec.command import OUTSIDE
from turnout.spec.deployment_spec import AcceleratorConfig, PipelineContainerSpec, ResourceSpec
from turnout.spec.pipeline_spec import CachingOptions
from turnout.spec.step_contract import Outcome, Task

_POLL_S = 0.2
_PATIENCE_S = 15.0
_LONGEST_LINE = 2**16

_NO_VOLUME = refused("a process has no volumes; pass data as artifacts, or use the pipeline's workspace", "never")
_NO_POD = lowered("says where a pod runs; the process runs here")
_MACHINE = lowered("a process has the whole machine")
_ACCELERATORS = lowered("a process has what accelerators the machine has")
_NOTHING_LEFT = lowered("a process leaves no resources behind")
_DIRECTORY = lowered("the workspace is a directory of the run")
_DECLARED = lowered("from the file of declared secrets: --secrets, or Airflow's [turnout] secrets")

SUPPORT: dict[str, Support] = {
    **FIELDS,
    "PipelineContainerSpec.image": lowered("the command runs in an environment of this machine"),
    "PipelineContainerSpec.resources": _MACHINE,
    **{f"ResourceSpec.{item.name}": _MACHINE for item in dataclasses.fields(ResourceSpec)},
    **{f"AcceleratorConfig.{item.name}": _ACCELERATORS for item in dataclasses.fields(AcceleratorConfig)},
    "PipelineConfig.resource_ttl_on_completion": _NOTHING_LEFT,
    "PipelineConfig.resource_ttl_on_success": _NOTHING_LEFT,
    "PipelineConfig.resource_ttl_on_failure": _NOTHING_LEFT,
    "WorkspaceConfig.size": _DIRECTORY,
    "WorkspaceConfig.kubernetes": _DIRECTORY,
    "KubernetesWorkspaceConfig.pvc_spec_patch": _DIRECTORY,
    "kubernetes.activeDeadlineSeconds": KEPT,
    "kubernetes.secretAsEnv": _DECLARED,
    "kubernetes.configMapAsEnv": _DECLARED,
    "kubernetes.nodeSelector": _NO_POD,
    "kubernetes.tolerations": _NO_POD,
    "kubernetes.nodeAffinity": _NO_POD,
    "kubernetes.podAffinity": _NO_POD,
    "kubernetes.imagePullPolicy": lowered("no image is pulled"),
    "kubernetes.imagePullSecret": lowered("no image is pulled"),
    "kubernetes.podMetadata": lowered("a process has no labels"),
    "kubernetes.securityContext": lowered("a process runs as the user who runs Turnout"),
    "kubernetes.enabledSharedMemory": lowered("a process has the machine's shared memory"),
    "kubernetes.secretAsVolume": _NO_VOLUME,
    "kubernetes.configMapAsVolume": _NO_VOLUME,
    "kubernetes.pvcMount": _NO_VOLUME,
    "kubernetes.CreatePVC": _NO_VOLUME,
    "kubernetes.DeletePVC": _NO_VOLUME,
    "kubernetes.emptyDirMounts": _NO_VOLUME,
    "kubernetes.genericEphemeralVolume": _NO_VOLUME,
    "component.requirements": lowered("an environment on top of the components', made once and kept"),
    "component.packages_to_install": lowered("an environment of its own, made once and kept"),
    "kubernetes.initContainers": refused("a process has no containers before or beside it; make it a step", "never"),
    "kubernetes.podResourceClaims": refused("a process claims no devices; it has those of the machine", "never"),
    "kubernetes.fieldPathAsEnv": refused("a process has no pod whose fields it could read", "never"),
}
"""What becomes of a step's settings in a process."""

SETTINGS = PROCESS


class Processes:
    """Runs a run's steps as processes of this machine; see `turnout.runtimes.steps.StepRunner`."""

    def __init__(self, settings: Mapping[str, str], store: ArtifactStore):
        self.python, self.directory = settings["python"] or sys.executable, settings["directory"] or str(Path.cwd())
        self.store = store
        self._keep: int | None = None

    def check(self) -> None:
        interpreter(self.python)
        if not Path(self.directory).is_dir():
            raise TrackError([Fault("the working directory of steps does not exist", self.directory)])

    @contextlib.contextmanager
    def started(self, keep: int | None, commands: Iterable[Sequence[str]] = ()) -> Iterator[object]:
        self._keep = keep
        yield self

    def runtime(self, python: str) -> Runtime:
        """What runs one command, in the environment of an interpreter."""
        return ProcessRuntime(python, self.directory, self._keep)

    def prepare(self, container: PipelineContainerSpec, on_line: Callable[[str], None]) -> None:
        prepare(container, self.python, on_line, self.directory)

    def environment(self, secrets: Secrets, settings: Mapping[str, Any], step: str) -> dict[str, str]:
        return secrets.environment(settings, step)

    def key(self, task: Task, caching: CachingOptions | None) -> str | None:
        python = asked_in(task, self.python, self.directory)
        return fingerprint_with_outside(task, caching, self.runtime(python), self.directory)

    def attempt(self, task: Task, settings: Mapping[str, Any]) -> Attempt:
        return _ProcessAttempt(self, task)


class _ProcessAttempt:
    """An attempt in an environment that has what the step would install."""

    def __init__(self, steps: Processes, task: Task):
        self.steps, self.task = steps, task
        self._cancelled = threading.Event()
        self._runtime: Runtime | None = None

    def run(self, on_line: Callable[[str], None]) -> Outcome:
        python, task = prepared(self.task, self.steps.python, on_line, self.steps.directory)
        runtime = self._runtime = self.steps.runtime(python)
        if self._cancelled.is_set():
            runtime.cancel()
        return launch(task, self.steps.store, runtime, on_line)

    def cancel(self, grace: float = 5.0) -> None:
        self._cancelled.set()
        if self._runtime is not None:
            self._runtime.cancel(grace)


def prepared(task: Task, python: str, on_line: Callable[[str], None], directory: str | None = None) -> tuple[str, Task]:
    """The interpreter of a task's environment, and the task without what has been installed there.

    Args:
        python: the interpreter of the components' environment.
        directory: the working directory of steps; this process's when None.

    Raises:
        StepError: what the task asks for, or would install, cannot be installed.
    """
    container = task.executor
    if not isinstance(container, PipelineContainerSpec):
        return python, task
    python, container = prepare(container, python, on_line, directory)
    return python, dataclasses.replace(task, executor=container)


def asked_in(task: Task, python: str, directory: str | None) -> str:
    """The interpreter that tells what a task looks at beside its inputs: of its own environment, if it has one.

    Raises:
        StepError: that cannot be made.
    """
    looks = isinstance(task.executor, PipelineContainerSpec) and OUTSIDE in task.executor.args
    return prepared(task, python, lambda line: None, directory)[0] if looks else python


class ProcessRuntime:
    """Starts a process for each command.

    Args:
        python: the interpreter of the environment to run in. Its directory comes first on the PATH, so
            that `turnout`, `python3` and the environment's other commands are that environment's.
        directory: the working directory of the command; this process's when None.
        keep: a descriptor that is held open until nothing of the command lives.
    """

    def __init__(self, python: str = sys.executable, directory: str | None = None, keep: int | None = None):
        self.python = interpreter(python)
        self.directory, self.keep = directory, keep
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None],
        timeout: float | None = None,
    ) -> int:
        variables = step_environment(self.python, {**os.environ, **environment, **mark(self.keep)})
        located = locate(command, variables["PATH"], self.python)
        try:
            with log.open("wb") as file:
                process = supervised(
                    located, self.keep, env=variables, cwd=self.directory, stdout=file, stderr=subprocess.STDOUT
                )
        except OSError as error:
            what = f"the command cannot be run: {error.strerror}"
            raise StepError(what, where=command[0]) from error
        self._process = process
        if self._cancelled.is_set():
            self.cancel()
        ended = os.pidfd_open(process.pid)
        try:
            follow(log, ended, on_line, timeout)
            status = process.wait()
            if self._cancelled.is_set():  # however it ended: it may have been in the middle of something
                raise StepError("the step was cancelled")
            return status
        finally:
            os.close(ended)
            _end(process, grace=0)
            self._process = None

    def cancel(self, grace: float = 5.0) -> None:
        self._cancelled.set()
        if (process := self._process) is not None:
            _end(process, grace)


def supervised(command: Sequence[str], keep: int | None, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command below a process that ends all of it, also when this process ends: see `supervisor`.

    Args:
        keep: a descriptor that is held open until nothing of the command lives.
        options: of `subprocess.Popen`.
    """
    kept = [] if keep is None else [keep]
    return subprocess.Popen(
        [sys.executable, "-IS", supervisor.__file__, str(os.getpid()), "-" if keep is None else str(keep), *command],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **{**options, "pass_fds": (*kept, *options.get("pass_fds", ()))},
    )


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a supervised command: SIGTERM, and after `grace` seconds all that it has started at once."""
    if grace:
        process.terminate()
        if _waited(process, grace):
            return
    process.send_signal(signal.SIGQUIT)
    if not _waited(process, _PATIENCE_S):
        process.kill()


def interpreter(python: str) -> Path:
    """The path of an environment's interpreter. Raises StepError when there is none."""
    if not Path(python).is_file():
        hint = "name an existing python3, such as .venv/bin/python"
        raise StepError("the interpreter of the components' environment does not exist", where=python, hint=hint)
    # Not resolved: a virtual environment's interpreter is a link, and its place is the environment.
    return Path(python).absolute()


PATIENT = {"GOMP_SPINCOUNT": "1000"}
"""OpenMP's threads wait for each other by spinning, also for one that waits for a core that something else has. Beside
one busy process LightGBM took 130 s in the place of 1.6 s; with this 4 s, and on a quiet machine as long as without."""


def step_environment(python: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """A step's environment variables: the interpreter's directory comes first on the PATH, then what it inherits."""
    path = os.pathsep.join([str(python.parent), *inherited(python), variables.get("PATH", os.defpath)])
    return {**PATIENT, **variables, "PYTHONUNBUFFERED": "1", "PATH": path}


def locate(command: Sequence[str], path: str, python: Path) -> list[str]:
    """The command with the full path of its program. Raises StepError when there is no such program."""
    program = shutil.which(command[0], path=path)
    if program is None:
        hint = f"install it into the environment of {python}"
        raise StepError("the command cannot be run: no such program", where=command[0], hint=hint)
    return [program, *command[1:]]


def follow(log: Path, ended: int, on_line: Callable[[str], None], timeout: float | None) -> None:
    """Pass on the lines of a growing log until a descriptor becomes readable.

    Raises:
        StepError: that took longer than the timeout.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with log.open("rb") as file:
        rest = chunk = b""
        while True:
            left = _POLL_S if deadline is None else max(0.0, min(_POLL_S, deadline - time.monotonic()))
            over = readable(ended, 0 if chunk else left)
            while chunk := file.read(_LONGEST_LINE):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) >= _LONGEST_LINE:  # there may be no end of it
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    on_line(line.decode(errors="replace"))
                if not over:  # it may print faster than this: look at its end and the time first
                    break
            if over:
                if rest:
                    on_line(rest.decode(errors="replace"))
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise StepError(f"the step took longer than its time-out of {timeout:g} s, and was ended")


def readable(descriptor: int, seconds: float) -> bool:
    """Whether there is something to read, or an end, within so many seconds."""
    poll = select.poll()  # `select` knows no descriptors above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def end_group(group: int, waited: Callable[[float], bool], grace: float) -> None:
    """End a process group: nothing of a step outlives it, also not what it left in the background.

    Args:
        waited: waits so many seconds for the group's leader; whether it has ended.
        grace: seconds between SIGTERM and SIGKILL.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if grace and not waited(0):
            os.killpg(group, signal.SIGTERM)
            waited(grace)
        os.killpg(group, signal.SIGKILL)


def _waited(process: subprocess.Popen[bytes], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
        return True
    return False
