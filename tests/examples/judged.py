"""Small pipelines whose runs can be told apart: one that judges and registers, one that checks for drift."""

from typing import NamedTuple

from kfp import dsl

from turnout import ClassificationMetrics, Dataset, Input, Metrics, Output, component


class Judged(NamedTuple):
    """What was decided."""

    promote: bool
    reasons: list[str]
    score: float


class Registered(NamedTuple):
    """The version, which form of it answers, and why."""

    version: str
    answers: str
    form: str


class Deployed(NamedTuple):
    """The version that serves, and the one before."""

    version: str
    previous: str


class Checked(NamedTuple):
    """What a check has found."""

    drifted: bool
    broken: bool
    alert: bool
    reasons: list[str]
    title: str


@component(cache=False)
def prepare(rows: int, data: Output[Dataset], metrics: Output[Metrics]) -> None:
    """Make a table.

    Args:
        rows: how many.
        data: the table.
        metrics: its size.
    """
    from pathlib import Path

    Path(data.path).write_text("a\n" * rows)
    data.metadata.update(rows=rows, source="made here")
    metrics.log_metric("rows", rows)


@component(cache=False)
def judge(
    data: Input[Dataset],
    quality: float,
    settings: dict,
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
) -> Judged:
    """Judge.

    Args:
        data: the table.
        quality: how good it is, between 0 and 1.
        settings: have a depth; a negative one cannot be.
        metrics: the scores.
        classification: the ROC curve, and the confusion matrix.
    """
    if settings["depth"] < 0:
        raise ValueError("a depth below 0")
    for name, value in {"accuracy": quality / 2, "roc_auc": quality, "log_loss": 1 - quality, "rows": 10}.items():
        metrics.log_metric(name, value)
    classification.log_roc_curve([0.0, 1 - quality, 1.0], [0.0, quality, 1.0], [1.0, 0.5, 0.0])
    classification.log_confusion_matrix(["no", "yes"], [[10, 2], [3, round(10 * quality)]])
    good = quality > 0.5
    return Judged(good, [f"roc_auc {quality:.4f} is {'better' if good else 'not better'} than 0.5"], quality)


@component(cache=False)
def register(version: str) -> Registered:
    """Register.

    Args:
        version: the version.
    """
    if version == "1":
        return Registered(version, "model", "not compiled, the model itself answers: there is no converter")
    return Registered(version, "compiled int8", "compiled: int8, a loss of +0.0010")


@component(cache=False)
def deploy(version: str, previous: str) -> Deployed:
    """Put into service.

    Args:
        version: the version.
        previous: the one before.
    """
    return Deployed(version, previous)


@dsl.pipeline(name="judged")
def judged(
    quality: float = 0.5,
    rows: int = 3,
    settings: dict = {"depth": 3, "seed": 0},
    registered_model: str = "toy",
    version: str = "1",
    previous: str = "",
) -> None:
    prepared = prepare(rows=rows)
    found = judge(data=prepared.outputs["data"], quality=quality, settings=settings)
    with dsl.If(found.outputs["promote"] == True, name="promote"):  # noqa: E712 - KFP reads the comparison
        registered = register(version=version)
        deploy(version=registered.outputs["version"], previous=previous)


@component(cache=False)
def check(distance: float, least_distance: float, metrics: Output[Metrics]) -> Checked:
    """Check for drift.

    Args:
        distance: what is found.
        least_distance: from which on it counts.
        metrics: the distance.
    """
    drifted = distance >= least_distance
    metrics.log_metric("largest_distance", distance)
    metrics.log_metric("drifted", int(drifted))
    found = "the data is drifted" if drifted else "the data is as before"
    reasons = [f"hour: {distance:.0%} of the rows would have to change"] if drifted else []
    return Checked(drifted, False, drifted, reasons, f"toy/1: {found}")


@dsl.pipeline(name="watched")
def watched(since: str, distance: float = 0.0, least_distance: float = 0.1) -> None:
    check(distance=distance, least_distance=least_distance)
