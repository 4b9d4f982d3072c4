"""How a run is going and how it ended, in terms that do not depend on the track."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.spec.step_contract import Artifact, Outcome, State


@dataclass
class StepResult:
    """A step in one iteration: how far it is, and how it ended.

    Attributes:
        iteration: one index for each loop around the step, outermost first.
        duration_s: seconds over all attempts, and the waits between them.
        start_s: seconds from the start of the run to that of the first attempt.
        title: its name for people, when that is not `name`.
        items: what the items of the loops around it are called, outermost first.
        total: how many iterations the innermost loop around it has, while the run lasts.
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
    items: tuple[str, ...] = ()
    total: int = 0

    @classmethod
    def of(cls, name: str, iteration: tuple[int, ...], outcome: Outcome, title: str = "") -> StepResult:
        """A step that has ended, from its outcome alone: its last attempt's time, and no waits."""
        return cls(
            name, iteration, outcome.state, outcome.attempt, outcome.seconds, 0.0, outcome, outcome.error,
            title, outcome.items,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """Its name for programs, with its iteration: `train`, or `train[0]` in a loop."""
        return f"{self.name}[{', '.join(map(str, self.iteration))}]" if self.iteration else self.name

    @property
    def label(self) -> str:
        """Its name for people, with the items of the loops around it: `train`, or `train (estimator=ridge)`."""
        items = self.items or tuple(f"#{index + 1}" for index in self.iteration)
        return f"{self.title or self.name} ({', '.join(items)})" if items else self.title or self.name

    @property
    def cached(self) -> bool:
        return self.outcome is not None and self.outcome.cached

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "iteration": list(self.iteration) or None,
            "title": self.title,
            "items": list(self.items),
            "state": self.state.value,
            "attempts": self.attempts,
            "cached": self.cached,
            "duration_s": round(self.duration_s, 3),
            "start_s": round(self.start_s, 3),
            "outputs": plain(self.outcome.outputs) if self.outcome else {},
            "error": self.error,
            "log": self.outcome.log if self.outcome else "",
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepResult:
        """What `to_dict` gave, read again."""
        artifacts = {
            name: Artifact.from_dict(value)
            for name, value in data["outputs"].items()
            if isinstance(value, dict) and {"uri", "type", "metadata", "digest"} <= value.keys()
        }
        parameters = {name: value for name, value in data["outputs"].items() if name not in artifacts}
        state = State(data["state"])
        outcome = Outcome(state, data["attempts"], parameters, artifacts, log=data["log"], cached=data["cached"])
        return cls(
            name=data["name"],
            iteration=tuple(data["iteration"] or ()),
            state=state,
            attempts=data["attempts"],
            duration_s=data["duration_s"],
            start_s=data["start_s"],
            outcome=outcome,
            error=data["error"],
            title=data.get("title", ""),
            items=tuple(data.get("items", ())),
        )


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

    @property
    def states(self) -> dict[str, State]:
        """The state of each step, by its key: `train`, or `train[0]` in a loop."""
        return {step.key: step.state for step in self.steps}

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """What steps made, by `step.output`; `result.artifacts["train.model"].path` opens it."""
        return {
            f"{step.key}.{name}": artifact
            for step in self.steps
            if step.outcome
            for name, artifact in step.outcome.artifacts.items()
        }

    def _repr_html_(self) -> str:
        """The run's page, as notebooks show it: in a frame, since it has styles of its own."""
        from upath import UPath

        report = UPath(self.path) / "report.html" if self.path else None
        if report is None or not report.exists():
            return f"<pre>{html.escape(f'{self.pipeline} {self.run_id}: {self.state.label}')}</pre>"
        page = html.escape(report.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0"></iframe>'

    def to_dict(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "run_id": self.run_id,
            "state": self.state.value,
            "outputs": self.outputs,
            "errors": self.errors,
            "steps": [step.to_dict() for step in self.steps],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunResult:
        """A run's record, read again; one that is under way has no steps yet."""
        steps = [StepResult.from_dict(step) for step in data.get("steps", ())]
        known = {key: data[key] for key in ("outputs", "errors") if key in data}
        return cls(data["pipeline"], data["run_id"], State(data["state"]), steps, **known)


Watch = Callable[[StepResult, str], None]
"""Called with a step whenever its state changes, and with each line that it prints."""

Read = Callable[[str, int], bytes | str]
"""Gives what is at a URI that an outcome names, or why it is not shown; the second argument is the most bytes."""


def plain(value: Any) -> Any:
    """A value as JSON: artifacts as references, also inside lists and structs."""
    if isinstance(value, Artifact):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value
