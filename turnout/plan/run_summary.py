"""A run in a few facts: how it ended, what was decided and why, its metrics, and what tells it from others.

They are read from records alone, of local runs and Airflow's alike. No component is known by its name; what counts is
what its step leaves:

    verdict   an artifact whose metadata has `verdict`, `good` and `reasons`; or an output `reasons`, beside a `title`
              or a decision such as `promote`
    metrics   the numbers in the metadata of artifacts of the type system.Metrics
    model     an output `version`, in a run with the parameter `registered_model`; with the output `previous` it was
              put into service, unless an output `champion` is empty: then it has a part of the traffic. Beside an
              output `model` it was looked up, and nothing became of it. Outputs `answers` and `form` say which form of
              it answers, and why
    drift     an output `drifted`, beside metrics such as `largest_distance`
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnout.plan.results import StepResult
from turnout.spec.step_contract import Artifact, State

Tags = Mapping[str, str]
"""Tags of a run by name; a tag without a value has an empty one."""


@dataclass(frozen=True)
class Verdict:
    """What a step has decided.

    Attributes:
        good: None when it is neither good nor bad.
    """

    step: str
    text: str
    good: bool | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricValue:
    """A number that a step has measured.

    Attributes:
        low, high: ends of its 95 % interval; None when it has none.
    """

    step: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class VersionEvent:
    """What a run did with a version of a registered model.

    Attributes:
        serves: it was put into service; otherwise it was registered.
        previous: the version that served before; empty when there was none.
        when: ISO 8601 in UTC.
        form, form_reason: of one that was registered: which form of it answers, and why; empty when not known.
    """

    model: str
    version: str
    step: str
    serves: bool = False
    previous: str = ""
    when: str = ""
    form: str = ""
    form_reason: str = ""


@dataclass(frozen=True)
class DriftCheck:
    """What a check of data has found.

    Attributes:
        subject: the model, or the table, that the data was held against; `NAME/VERSION` of a model.
        since, until: of the data; empty for all of it.
        distance: the largest difference, between 0 and 1; None when nothing could be compared.
        threshold: the distance from which on a difference counts; None when that is not known.
        columns: how many columns drifted.
    """

    step: str
    subject: str
    text: str
    since: str = ""
    until: str = ""
    drifted: bool = False
    broken: bool = False
    alert: bool = False
    distance: float | None = None
    threshold: float | None = None
    columns: int = 0
    reasons: tuple[str, ...] = ()
    when: str = ""


@dataclass(frozen=True)
class RunSummary:
    """A run in a few facts.

    Attributes:
        state: None when it is not known how far the run is: one of Airflow's that has left no record of itself.
        started, ended: ISO 8601 in UTC; empty when not known.
        seconds: None while it goes on.
        parameters: all of the run's.
        changed: those that differ from the defaults.
        verdicts: in the order in which they were given.
        metrics: those of the step that gave the last verdict first, and of them what it decided by.
        errors: of steps that failed, by step; the first line of each.
        mlflow: where the run's model was logged: `tracking_uri`, `experiment_id`, `run_id`.
    """

    pipeline: str
    run_id: str
    track: str
    state: State | None
    started: str = ""
    ended: str = ""
    seconds: float | None = None
    tags: Tags = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    metrics: tuple[MetricValue, ...] = ()
    versions: tuple[VersionEvent, ...] = ()
    drift: tuple[DriftCheck, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    mlflow: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict | None:
        """The last one."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def name(self) -> str:
        """The name of the run that no other has."""
        return f"{self.pipeline}/{self.run_id}"

    @property
    def tag_texts(self) -> list[str]:
        return tag_texts(self.tags)

    def to_dict(self) -> dict[str, Any]:
        """The run in JSON's types, with the last verdict by itself."""
        verdict = dataclasses.asdict(self.verdict) if self.verdict else None
        state = self.state.label if self.state else None
        return {**dataclasses.asdict(self), "state": state, "verdict": verdict}

    def metric(self, name: str) -> MetricValue | None:
        """A metric by its name, or by `STEP.NAME`; None when there is none."""
        return next((item for item in self.metrics if name in (item.name, f"{item.step}.{item.name}")), None)

    @property
    def main_metrics(self) -> list[MetricValue]:
        """Those of the step whose metrics come first, but for those of the champion."""
        first = self.metrics[0].step if self.metrics else ""
        return [item for item in self.metrics if item.step == first and not item.name.startswith("champion_")]


def tag_texts(tags: Tags) -> list[str]:
    """Tags as they are typed."""
    return [f"{name}={value}" if value else name for name, value in tags.items()]


def summarised(record: Mapping[str, Any], steps: Sequence[StepResult], tags: Tags | None = None) -> RunSummary:
    """A run in a few facts.

    Args:
        record: `run.json`, or as much of it as there is: at least `pipeline` and `run_id`.
        steps: in the order in which they ended, or in that of the plan.
    """
    parameters = record.get("parameters") or {}
    verdicts = [verdict for step in steps if (verdict := _verdict(step))]
    ends = [step.outcome for step in steps if step.outcome and not step.cached]
    started = str(record.get("create_time") or min((item.started for item in ends if item.started), default=""))
    state = State(record["state"]) if record.get("state") else _guessed(steps)
    last = max((item.ended for item in ends), default="") if state and state.finished else ""
    ended = str(record.get("end_time") or last)
    return RunSummary(
        pipeline=record["pipeline"],
        run_id=record["run_id"],
        track=record.get("track", "local"),
        state=state,
        started=started,
        ended=ended,
        seconds=seconds_between(started, ended),
        tags=dict(tags or {}),
        parameters=parameters,
        changed={name: parameters[name] for name in record.get("changed", ()) if name in parameters},
        verdicts=tuple(verdicts),
        metrics=tuple(_metrics(steps, verdicts[-1].step if verdicts else "")),
        versions=tuple(_versions(steps, parameters, started)),
        drift=tuple(_drift(steps, parameters, started)),
        errors={step.label: step.error.strip().partition("\n")[0] for step in steps if step.error},
        mlflow=_mlflow(steps),
    )


def seconds_between(start: str, end: str) -> float | None:
    """Seconds from one time to another, both ISO 8601; None when one is not known."""
    try:
        return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def _guessed(steps: Sequence[StepResult]) -> State | None:
    """The state of a run that has no record: only a failure can be told from what is there."""
    return State.FAILED if any(step.state is State.FAILED for step in steps) else None


def _artifacts(step: StepResult) -> Iterator[Artifact]:
    if step.outcome:
        yield from step.outcome.artifacts.values()


def _outputs(step: StepResult) -> Mapping[str, Any]:
    return step.outcome.parameters if step.outcome else {}


def _verdict(step: StepResult) -> Verdict | None:
    for artifact in _artifacts(step):
        said = artifact.metadata
        if isinstance(said.get("verdict"), str) and said["verdict"]:
            good = said.get("good")
            return Verdict(step.label, said["verdict"], good if isinstance(good, bool) else None, _texts(said))
    outputs = _outputs(step)
    if not isinstance(outputs.get("reasons"), list):
        return None
    decision = next((name for name, value in outputs.items() if isinstance(value, bool)), "")
    if outputs.get("title"):
        alert = outputs.get("alert")
        return Verdict(
            step.label, str(outputs["title"]), not alert if isinstance(alert, bool) else None, _texts(outputs)
        )
    if decision:
        text = decision.replace("_", " ")
        text = text.capitalize() if outputs[decision] else f"Do not {text}"
        return Verdict(step.label, text, outputs[decision], _texts(outputs))
    return None


def _texts(said: Mapping[str, Any]) -> tuple[str, ...]:
    reasons = said.get("reasons")
    return tuple(map(str, reasons)) if isinstance(reasons, list | tuple) else ()


def _metrics(steps: Sequence[StepResult], decided_by: str) -> Iterator[MetricValue]:
    """All metrics: of the step that decided first, then of the others, the last one first."""
    latest_first = list(reversed(steps))
    for step in sorted(latest_first, key=lambda step: step.label != decided_by):
        intervals: dict[str, Any] = {}
        decides = ""
        for artifact in _artifacts(step):
            found = artifact.metadata.get("intervals")
            intervals |= found if isinstance(found, Mapping) else {}
            decides = str(artifact.metadata.get("metric") or decides)
        values = {
            name: float(value)
            for artifact in _artifacts(step)
            if artifact.type == "system.Metrics"
            for name, value in artifact.metadata.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        score = _outputs(step).get("score")
        decides = decides or next((name for name, value in values.items() if value == score), "largest_distance")
        for name in sorted(values, key=lambda name: name != decides):
            yield MetricValue(step.label, name, values[name], *_interval(intervals.get(name)))


def _interval(ends: Any) -> tuple[float | None, float | None]:
    if isinstance(ends, list | tuple) and len(ends) == 2 and all(isinstance(item, int | float) for item in ends):
        return float(ends[0]), float(ends[1])
    return None, None


def _when(step: StepResult, run_started: str) -> str:
    """When a step ended: its outcome says so, or the run's record does by seconds from its start."""
    if step.outcome and step.outcome.ended:
        return step.outcome.ended
    try:
        start = datetime.datetime.fromisoformat(run_started)
    except ValueError:
        return ""
    return (start + datetime.timedelta(seconds=step.start_s + step.duration_s)).isoformat()


def _versions(steps: Sequence[StepResult], parameters: Mapping[str, Any], run_started: str) -> Iterator[VersionEvent]:
    model = parameters.get("registered_model")
    for step in steps:
        outputs = _outputs(step)
        nothing = "model" in outputs or outputs.get("champion") == ""
        if model and outputs.get("version") and step.state is State.SUCCEEDED and not nothing:
            serves = "previous" in outputs
            previous, when = str(outputs.get("previous") or ""), _when(step, run_started)
            form, why = str(outputs.get("answers") or ""), str(outputs.get("form") or "")
            yield VersionEvent(str(model), str(outputs["version"]), step.label, serves, previous, when, form, why)


_SUBJECT = re.compile(r"^(?P<subject>[^:]+): (?P<text>.*)$", re.DOTALL)


def _drift(steps: Sequence[StepResult], parameters: Mapping[str, Any], run_started: str) -> Iterator[DriftCheck]:
    for step in steps:
        outputs = _outputs(step)
        if not isinstance(outputs.get("drifted"), bool):
            continue
        metrics = {item.name: item.value for item in _metrics([step], step.label)}
        title = str(outputs.get("title", ""))
        found = _SUBJECT.match(title)
        threshold = parameters.get("least_distance")
        yield DriftCheck(
            step=step.label,
            subject=found["subject"] if found else "",
            text=found["text"] if found else title,
            since=str(parameters.get("since") or ""),
            until=str(parameters.get("until") or ""),
            drifted=outputs["drifted"],
            broken=bool(outputs.get("broken")),
            alert=bool(outputs.get("alert")),
            distance=metrics.get("largest_distance"),
            threshold=float(threshold) if isinstance(threshold, int | float) else None,
            columns=int(metrics.get("drifted", 0)),
            reasons=_texts(outputs),
            when=_when(step, run_started),
        )


def _mlflow(steps: Sequence[StepResult]) -> Mapping[str, str]:
    for step in reversed(steps):
        for artifact in _artifacts(step):
            said = artifact.metadata
            if said.get("mlflow_run_id"):
                return {
                    "tracking_uri": str(said.get("mlflow_tracking_uri", "")),
                    "experiment_id": str(said.get("mlflow_experiment_id", "0")),
                    "run_id": str(said["mlflow_run_id"]),
                }
    return {}
