"""What a track asks of a runtime: to run the steps of one run, attempt by attempt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from turnout.execution.cache import fingerprint
from turnout.execution.launcher import launch
from turnout.execution.runtime import Runtime
from turnout.execution.secrets import Secrets
from turnout.execution.store import ArtifactStore
from turnout.spec.command import OUTSIDE
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import CachingOptions
from turnout.spec.step_contract import Outcome, Task


class Attempt(Protocol):
    """One attempt of a step; another thread, or a signal handler, may cancel it."""

    def run(self, on_line: Callable[[str], None]) -> Outcome:
        """Run it to its end, and commit its outcome.

        Args:
            on_line: called with each line that the step prints, soon after it came.

        Raises:
            TurnoutError: it could not be started, and has committed nothing.
        """

    def cancel(self, grace: float = 5.0) -> None:
        """End what runs: SIGTERM, and SIGKILL after `grace` seconds."""


class StepRunner(Protocol):
    """Runs the steps of one run with a runtime."""

    def check(self) -> None:
        """See whether steps can run here, before any does.

        Raises:
            TurnoutError: a setting is wrong or missing, or what the runtime needs does not answer.
        """

    def started(
        self, keep: int | None, commands: Iterable[Sequence[str]] = ()
    ) -> contextlib.AbstractContextManager[object]:
        """A context in which attempts may run.

        Args:
            keep: a descriptor for processes to hold open as long as something of the run lives.
            commands: the command of each step of the run, twice if it may run more than once. A runtime may prepare
                what several of them need.
        """

    def prepare(self, container: PipelineContainerSpec, on_line: Callable[[str], None]) -> None:
        """Make, or get, what a step needs that is there once and for all; called before the first step starts.

        Args:
            on_line: called with each line that tells of it.

        Raises:
            StepError: it cannot be had.
        """

    def environment(self, secrets: Secrets, settings: Mapping[str, Any], step: str) -> dict[str, str]:
        """Variables of a step from secrets and config maps.

        Args:
            settings: the step's, of the platform `kubernetes`, with their values filled in.

        Raises:
            StepError: a secret that it asks for is not declared.
        """

    def key(self, task: Task, caching: CachingOptions | None) -> str | None:
        """The task's fingerprint; None when its results are not kept."""

    def attempt(self, task: Task, settings: Mapping[str, Any]) -> Attempt:
        """An attempt of a task, not started yet."""


@dataclass(frozen=True, eq=False)
class CommandAttempt:
    """An attempt whose artifacts are staged on this machine, while a runtime runs the command."""

    task: Task
    store: ArtifactStore
    runtime: Runtime

    def run(self, on_line: Callable[[str], None]) -> Outcome:
        return launch(self.task, self.store, self.runtime, on_line)

    def cancel(self, grace: float = 5.0) -> None:
        self.runtime.cancel(grace)


def key_in_image(task: Task, caching: CachingOptions | None) -> str | None:
    """The fingerprint of a step that runs in an image; None when its results are not kept.

    This machine has neither the step's code nor what the step looks at beside its inputs. So a step that must be asked
    for the latter first is not kept.
    """
    container = task.executor
    unknown = isinstance(container, PipelineContainerSpec) and OUTSIDE in container.args
    return None if unknown else fingerprint(task, caching)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream of bytes, each as soon as it is whole."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
