"""Whether a repetition gave the same model, and what differed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from turnout.reproduction.data import Found
from turnout.reproduction.facts import Training

_SHOWN = 12
_FIRST = {
    "python", "turnout", "lightgbm", "scikit-learn", "numpy", "scipy", "pandas", "pyarrow", "xgboost", "feast",
    "keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch",
}  # fmt: skip
"""Packages that are told first, since models are made of them."""


@dataclass(frozen=True)
class Reproduction:
    """The result of a repetition.

    Attributes:
        same: `bit` when all predictions for the training rows are equal to the last bit, `metric` when only the
            scores are, else `no`.
        says: the verdict in a sentence.
        differences: what was not as it was, and may be why.
    """

    model: str
    same: Literal["bit", "metric", "no"]
    says: str
    differences: list[str]


def compare(before: Training, after: Training, data: Sequence[Found], tolerance: float) -> Reproduction:
    """Hold a repetition against the training.

    Args:
        tolerance: how far a score on the training rows may be from what it was, in the metric's own unit.
    """
    differences = [*_code(before), *_data(data), *packages_differ(before.packages, after.packages)]
    rows = int(after.metrics.get("training_rows", 0))
    if before.predictions and before.predictions == after.predictions:
        says = f"the same model: all predictions for the {rows:,} training rows are equal to the last bit"
        return Reproduction(before.version.uri, "bit", says, differences)
    moved = list(_scores(before, after))
    shown = ", ".join(f"{name} {old:.10g} then, {new:.10g} now" for name, old, new in moved)
    if moved and all(abs(new - old) <= tolerance or (math.isnan(old) and math.isnan(new)) for _, old, new in moved):
        says = f"the same model by its score, not to the bit: {shown} (tolerance {tolerance:g})"
        return Reproduction(before.version.uri, "metric", says, differences)
    if not differences:
        differences.append(
            "nothing that was recorded: the estimator does not repeat itself (threads, hardware, randomness without "
            "the seed), or its code looks at more than its inputs"
        )
    return Reproduction(before.version.uri, "no", f"not the same model: {shown or 'no score to compare'}", differences)


def packages_differ(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Which packages are not those of the training, in one sentence; nothing when all are."""
    if not before:
        yield "environment: not recorded, so not compared"
        return
    old, new = ({_name(line): line for line in lines} for lines in (before, after))
    changed = [
        f"{name} {_version(old.get(name))} → {_version(new.get(name))}"
        for name in sorted({*old, *new}, key=lambda name: (name.lower() not in _FIRST, name.lower()))
        if old.get(name) != new.get(name)
    ]
    if changed:
        more = f", and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        yield f"environment: {', '.join(changed[:_SHOWN])}{more}"


def _name(line: str) -> str:
    return "python" if line.startswith("#") else line.partition("==")[0]


def _version(line: str | None) -> str:
    if line is None:
        return "(absent)"
    return line.removeprefix("# python ") if line.startswith("#") else line.partition("==")[2]


def _code(before: Training) -> Iterator[str]:
    if before.untracked:
        yield f"code: git did not know {', '.join(before.untracked[:_SHOWN])}, which were not kept"


def _data(found: Sequence[Found]) -> Iterator[str]:
    for item in found:
        if not item.same:
            yield f"data: {item.source} ({item.how}) is {item.digest[:19]}, and was {item.recorded[:19]}"


def _scores(before: Training, after: Training) -> Iterator[tuple[str, float, float]]:
    """Each metric of both, then and now; the rows too where their number changed."""
    for name in sorted(before.metrics.keys() & after.metrics.keys()):
        old, new = before.metrics[name], after.metrics[name]
        if name == "training_rows":
            if old != new:
                yield name, old, math.inf if math.isnan(new) else new
        else:
            yield name, old, new
