"""What differs between runs: parameters, metrics, curves, steps and data. Of different pipelines, what they share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.plan.metric_directions import higher_is_better
from turnout.plan.model import Plan
from turnout.plan.results import StepResult
from turnout.plan.run_summary import MetricValue, RunSummary
from turnout.plan.run_table import differing_parameters
from turnout.spec.step_contract import Artifact

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class RunDetails:
    """A run with its steps.

    Attributes:
        plan: None when its pipeline cannot be read.
    """

    summary: RunSummary
    steps: tuple[StepResult, ...]
    plan: Plan | None = None


@dataclass(frozen=True)
class Difference:
    """Something that is not the same in all runs.

    Attributes:
        values: a text for each run; empty where it has none.
    """

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class MetricRow:
    """A metric in all runs.

    Attributes:
        higher: whether higher is better; None when that is not known.
        values: None where a run has none.
        best: the index of the best run; None when that is not known, or all are the same.
    """

    name: str
    higher: bool | None
    values: tuple[MetricValue | None, ...]
    best: int | None

    def difference(self, index: int) -> float | None:
        """How much more than the first run a run has."""
        first, other = self.values[0], self.values[index]
        return None if first is None or other is None else other.value - first.value

    def within_interval(self, index: int) -> bool | None:
        """Whether the difference to the first run may be an accident; None without intervals.

        As if the two were measured on different rows: with the same rows a difference is surer than that.
        """
        first, other, difference = self.values[0], self.values[index], self.difference(index)
        if first is None or other is None or difference is None or not index:
            return None
        halves = [
            (item.high - item.low) / 2 for item in (first, other) if item.low is not None and item.high is not None
        ]
        return abs(difference) <= math.hypot(*halves) if len(halves) == 2 else None


@dataclass(frozen=True)
class StepRow:
    """A step in all runs.

    Attributes:
        ends: how it ended in each run, and after how many seconds; empty where it is not.
        differs: in what: its state, its code, what it was given.
    """

    name: str
    ends: tuple[str, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Confusion:
    """How often what was true was predicted as what.

    Attributes:
        matrix: a row for what is true, a column for what is predicted.
    """

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """What differs between runs, and what can be drawn of them together.

    Attributes:
        parameters: that differ; of a struct each field alone.
        metrics: what decides first.
        steps: all of them; those without a difference have an empty `differs`.
        data: tables that differ.
        roc, calibration, confusion: of the runs that have them, by the run's index.
        notes: what is to be known of the comparison itself.
    """

    runs: tuple[RunSummary, ...]
    parameters: tuple[Difference, ...]
    metrics: tuple[MetricRow, ...]
    steps: tuple[StepRow, ...]
    data: tuple[Difference, ...]
    roc: Mapping[int, Points]
    calibration: Mapping[int, Points]
    confusion: Mapping[int, Confusion]
    notes: tuple[str, ...] = ()

    def name(self, index: int) -> str:
        """What a run is called here: its id, with its pipeline where there are several."""
        run = self.runs[index]
        return run.name if len({run.pipeline for run in self.runs}) > 1 else run.run_id


def compared(details: Sequence[RunDetails]) -> Comparison:
    """Compare runs, the first with each of the others."""
    runs = tuple(item.summary for item in details)
    parameters = tuple(Difference(name, tuple(texts)) for name, texts in differing_parameters(runs).items())
    pipelines = list(dict.fromkeys(run.pipeline for run in runs))
    notes = []
    if len(pipelines) > 1:
        notes.append(f"Runs of different pipelines ({', '.join(pipelines)}): what they share is compared by name")
    going_on = [run.run_id for run in runs if run.state is None or not run.state.finished]
    if going_on:
        notes.append(f"Not known to have ended: {', '.join(going_on)}")
    artifacts = [_artifacts(item.steps) for item in details]
    curves = {index: found for index, of_run in enumerate(artifacts) if (found := _roc(of_run))}
    calibrations = {index: found for index, of_run in enumerate(artifacts) if (found := _calibration(of_run))}
    matrices = {index: matrix for index, of_run in enumerate(artifacts) if (matrix := _confusion(of_run))}
    return Comparison(
        runs, parameters, tuple(_metric_rows(runs)), tuple(_step_rows(details)), tuple(_data(artifacts)), curves,
        calibrations, matrices, tuple(notes),
    )  # fmt: skip


def _metric_rows(runs: Sequence[RunSummary]) -> Iterator[MetricRow]:
    """The metrics of the steps that decided, then all others that at least one run has."""
    main = dict.fromkeys(item.name for run in runs for item in run.main_metrics)
    measured = (item for run in runs for item in run.metrics if not item.name.startswith("champion_"))
    others = dict.fromkeys(f"{item.step}.{item.name}" for item in measured)
    told = {f"{found.step}.{found.name}" for run in runs for name in main if (found := run.metric(name))}
    for name in [*main, *(name for name in others if name not in told)]:
        values = tuple(run.metric(name) for run in runs)
        higher = higher_is_better(name)
        known = {index: item.value for index, item in enumerate(values) if item and not math.isnan(item.value)}
        best = None
        if higher is not None and len(set(known.values())) > 1:
            best = (max if higher else min)(known, key=lambda index: known[index])
        yield MetricRow(name, higher, values, best)


def _step_rows(details: Sequence[RunDetails]) -> Iterator[StepRow]:
    by_label = [{step.label: step for step in item.steps} for item in details]
    codes = [dict(_codes(item.plan)) for item in details]
    for label in dict.fromkeys(label for steps in by_label for label in steps):
        found = [steps.get(label) for steps in by_label]
        states = {step.state if step else None for step in found}
        code = [of_run.get(step.name) for step, of_run in zip(found, codes, strict=True) if step]
        inputs = [step.outcome.inputs for step in found if step and step.outcome and step.outcome.inputs]
        differs = [
            *(["state"] if len(states) > 1 else []),
            *(["code"] if len({item for item in code if item}) > 1 else []),
            *(["inputs"] if len(set(inputs)) > 1 else []),
        ]
        yield StepRow(label, tuple(map(_end, found)), tuple(differs))


def _end(step: StepResult | None) -> str:
    if step is None:
        return ""
    took = " from the cache" if step.cached else f" in {step.duration_s:.1f} s" if step.duration_s else ""
    return f"{step.state.label.lower()}{took}"


def _codes(plan: Plan | None) -> Iterator[tuple[str, str]]:
    """What each step runs: the digest of its component's code, else its image and command."""
    for step in plan.steps() if plan else ():
        words = [str(item) for item in (*getattr(step.executor, "command", ()), *getattr(step.executor, "args", ()))]
        place = words.index("--code-digest") if "--code-digest" in words else -1
        code = words[place + 1] if 0 <= place < len(words) - 1 else " ".join(words)
        yield step.path, f"{getattr(step.executor, 'image', '')} {code}"


def _artifacts(steps: Sequence[StepResult]) -> dict[str, Artifact]:
    return {
        f"{step.label}.{name}": artifact
        for step in steps
        if step.outcome
        for name, artifact in step.outcome.artifacts.items()
    }


_DATA_FACTS = ("rows", "source", "revision", "data_digest", "interval", "columns")


def _data(artifacts: Sequence[Mapping[str, Artifact]]) -> Iterator[Difference]:
    """The tables whose content is not the same, told by what their steps say of them."""
    for name in dict.fromkeys(name for of_run in artifacts for name in of_run):
        found = [of_run.get(name) for of_run in artifacts]
        if not any(item and item.type == "system.Dataset" for item in found):
            continue
        if len({item.digest or item.uri for item in found if item}) + (None in found) > 1:
            yield Difference(name, tuple(_table_text(item) for item in found))


def _table_text(artifact: Artifact | None) -> str:
    if artifact is None:
        return ""
    said = artifact.metadata
    rows = [f"{int(said['rows']):,} rows"] if isinstance(said.get("rows"), int | float) else []
    facts = [f"{name} {said[name]}" for name in _DATA_FACTS[1:3] if said.get(name)]
    return ", ".join([*rows, *facts, artifact.digest.removeprefix("sha256:")[:12]])


def _roc(artifacts: Mapping[str, Artifact]) -> Points:
    for artifact in _classifications(artifacts):
        points = artifact.metadata.get("confidenceMetrics")
        if isinstance(points, list) and points:
            return _points((point.get("falsePositiveRate"), point.get("recall")) for point in points)
    return ()


def _calibration(artifacts: Mapping[str, Artifact]) -> Points:
    """What a step says of how often a probability came true: pairs in the metadata under `calibration`."""
    for artifact in reversed([*artifacts.values()]):
        points = artifact.metadata.get("calibration")
        if isinstance(points, list) and points:
            return _points(point for point in points if isinstance(point, list | tuple) and len(point) == 2)
    return ()


def _points(pairs: Any) -> Points:
    """Those of the pairs that are numbers; whatever a component has written, a page can be drawn."""
    return tuple(
        (float(x), float(y))
        for x, y in pairs
        if isinstance(x, int | float) and isinstance(y, int | float) and math.isfinite(x) and math.isfinite(y)
    )


def _confusion(artifacts: Mapping[str, Artifact]) -> Confusion | None:
    for artifact in _classifications(artifacts):
        found = artifact.metadata.get("confusionMatrix") or {}
        try:
            classes = tuple(str(item["displayName"]) for item in found["annotationSpecs"])
            rows = tuple(tuple(int(cell) for cell in row["row"]) for row in found["rows"])
        except (KeyError, TypeError, ValueError):
            continue
        if classes and len(rows) == len(classes):
            return Confusion(classes, rows)
    return None


def _classifications(artifacts: Mapping[str, Artifact]) -> list[Artifact]:
    """The last step's first: it is the one that judges."""
    return [artifact for artifact in reversed([*artifacts.values()]) if artifact.type == "system.ClassificationMetrics"]
