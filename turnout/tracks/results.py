"""How a run is going and how it ended, in terms that do not depend on the track."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.runtime.contract import Artifact, Outcome, State


@dataclass
class StepResult:
    """A step in one iteration: how far it is, and how it ended.

    Attributes:
        iteration: one index for each loop around the step, outermost first.
        duration_s: seconds over all attempts, and the waits between them.
        start_s: seconds from the start of the run to that of the first attempt.
    """

    name: str
    iteration: tuple[int, ...] = ()
    state: State = State.PENDING
    attempts: int = 0
    duration_s: float = 0.0
    start_s: float = 0.0
    outcome: Outcome | None = None
    error: str = ""
    title: str = ""

    @property
    def label(self) -> str:
        """Its name, with its iteration."""
        return f"{self.name}[{', '.join(map(str, self.iteration))}]" if self.iteration else self.name

    @property
    def cached(self) -> bool:
        return self.outcome is not None and self.outcome.cached

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "iteration": list(self.iteration) or None,
            "state": self.state.value,
            "attempts": self.attempts,
            "cached": self.cached,
            "duration_s": round(self.duration_s, 3),
            "start_s": round(self.start_s, 3),
            "outputs": plain(self.outcome.outputs) if self.outcome else {},
            "error": self.error,
            "log": self.outcome.log if self.outcome else "",
        }


@dataclass
class RunResult:
    """How a run ended.

    Attributes:
        errors: what went wrong that is no step's error, such as a condition that cannot be evaluated.
        path: where the run keeps its records.
    """

    pipeline: str
    run_id: str
    state: State
    steps: list[StepResult]
    outputs: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "state": self.state.value,
            "outputs": self.outputs,
            "errors": self.errors,
            "steps": [step.to_dict() for step in self.steps],
        }


Watch = Callable[[StepResult, str], None]
"""Called with a step whenever its state changes, and with each line that it prints."""


def plain(value: Any) -> Any:
    """A value as JSON: artifacts as references, also inside lists and structs."""
    if isinstance(value, Artifact):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value
