"""How good a model still is: measured where labels have arrived, estimated from its own probabilities where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from turnout.errors import ComponentError
from turnout.models.metrics import METRICS, RANKING, metric_function
from turnout.monitoring.dependence import Blocks, Dependence, learn_from
from turnout.monitoring.findings import Finding
from turnout.monitoring.scale import How, OfClasses, OfNumbers, Scale, comparable, expected, scale_of

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Numbers = tuple[float, dict[How, float]]
"""A metric, and what it is compared by."""

MOST_ROWS = 50_000
"""Rows, drawn at random, that are enough to judge a model by."""

_RESAMPLES = 100
_RESAMPLED = 20_000
"""Rows of a resample, times classes; of more rows the error is smaller by the root of how many more."""

_LEAST_RESAMPLED = 1_000

_MEANING: dict[How, str] = {
    "scale": "by the reference",
    "mix": "with the reference's shares of classes",
    "rows": "on such rows",
    "estimate": "by the reference",
}


@dataclass(frozen=True)
class Compared:
    """A number that stays the same while a model does; its standard error for independent rows.

    Attributes:
        dependence: of rows of a day; None when that is not known.
    """

    how: How
    value: float
    error: float
    dependence: Dependence | None = None


@dataclass(frozen=True)
class Measured:
    """A metric over some rows, higher is better.

    Attributes:
        value: over these rows, but for `r2`, which is in the reference's unit.
        alone: the metric of these rows alone.
        error: standard error of the value, for independent rows.
        estimated: without labels.
        compared: what it is compared by.
        scale: of the rows, when they are the reference; else that of the reference. None when estimated.
    """

    metric: str
    value: float
    alone: float
    error: float
    rows: int
    estimated: bool
    compared: tuple[Compared, ...]
    scale: Scale | None = None


def measure(
    metric: str, truth: Array, values: Array, like: Measured | None = None, blocks: Blocks = (), seed: int = 0
) -> Measured:
    """A metric of predictions whose labels are known, with its error by the bootstrap.

    Args:
        metric: a name of `turnout.models.metrics.METRICS`.
        truth: of two classes 0 and 1, of more the index, or numbers; shape (rows,).
        values: probabilities of 1, of each class, or predicted numbers; shape (rows,) or (rows, classes).
        like: the reference; None when these rows are it.
        blocks: rows that come together, such as those of a day.

    Raises:
        ComponentError: there is no such metric, or the labels are all the same.
    """
    if metric in RANKING and len(np.unique(truth)) < 2:
        hint = "take rows with both classes, such as those of a longer interval, or another metric"
        raise ComponentError("the labels are all the same", where=metric, hint=hint)
    function = metric_function(metric)
    scale = like.scale if like and like.scale else scale_of(metric, truth, values)

    def numbers(rows: Rows) -> Numbers:
        return comparable(metric, scale, truth[rows], values[rows])

    value, error, compared = _with_errors(numbers, values.shape, blocks, seed)
    alone = function(truth, values) if metric == "r2" else value
    return Measured(metric, value, alone, error, len(truth), False, compared, scale)


def estimate(metric: str, probabilities: Array, blocks: Blocks = (), seed: int = 0) -> Measured:
    """A metric of a classifier whose labels are not known: what is expected if its probabilities are right.

    Source: confidence-based performance estimation, as NannyML has it: each row is of each class, by its probability.

    Raises:
        ComponentError: the metric is not one of a classifier.
    """
    if metric not in METRICS["classification"]:
        hint = "give rows that have the target, or leave metric empty"
        raise ComponentError(
            f"'{metric}' cannot be estimated without labels",
            where="metric",
            available=METRICS["classification"],
            hint=hint,
        )
    right = OfClasses((), 1.0)

    def numbers(rows: Rows) -> Numbers:
        found = expected(metric, right, probabilities[rows])
        return found, {"estimate": found}

    value, error, compared = _with_errors(numbers, probabilities.shape, blocks, seed)
    return Measured(metric, value, value, error, len(probabilities), True, compared)


def _with_errors(
    numbers: Callable[[Rows], Numbers], shape: tuple[int, ...], blocks: Blocks, seed: int
) -> tuple[float, float, tuple[Compared, ...]]:
    """A value with its error by the bootstrap, and so each number it is compared by, with what blocks tell of it.

    Source: Bickel, Götze and van Zwet, Resampling fewer than n observations (Statistica Sinica 7, 1997).
    """
    rng, rows = np.random.default_rng(seed), shape[0]
    chosen = rng.choice(rows, MOST_ROWS, replace=False) if rows > MOST_ROWS else np.arange(rows)
    drawn = min(len(chosen), max(_LEAST_RESAMPLED, _RESAMPLED // (shape[1] if len(shape) > 1 else 2)))
    again = [numbers(chosen[rng.integers(0, len(chosen), drawn)]) for _ in range(_RESAMPLES)]
    of_blocks = [(len(block), numbers(block)[1]) for block in blocks]

    def error_of(values: Sequence[float]) -> float:
        return float(np.nanstd(values) * np.sqrt(drawn / len(chosen)))

    value, found = numbers(chosen)
    compared = []
    for how, number in found.items():
        known_again = [of[how] for _, of in again if np.isfinite(of[how])]
        if not np.isfinite(number) or not known_again:
            continue
        error = error_of(known_again)
        known = [(size, of[how]) for size, of in of_blocks if np.isfinite(of[how])]
        sizes, in_blocks = (np.array([item[index] for item in known], float) for index in (0, 1))
        losses = (number - in_blocks) / (error * np.sqrt(len(chosen) / sizes) if error else 1.0)
        compared.append(Compared(how, number, error, learn_from(losses, sizes, rows, power=0.5)))
    return value, error_of([one for one, _ in again]), tuple(compared)


def held_against(reference: Measured, current: Measured, blocks: float = 1) -> Finding:
    """The finding of a model's performance: how much worse it is than before, and how likely that is by accident.

    Both are compared in more than one way, of which the one with the least loss and the largest p-value count: a model
    is worse only if neither other shares of classes nor other rows explain it.

    Args:
        blocks: in which the current rows come, such as days, where the reference knows how these differ.

    Source: the intersection-union test; Berger (Technometrics 24, 1982).
    """
    known = {item.how: item for item in reference.compared}
    losses, p_values = {}, {}
    for now in current.compared:
        if before := known.get(now.how):
            losses[now.how] = before.value - now.value
            p_values[now.how] = _p_value(before, now, current.rows / blocks)
    how = min(losses, key=lambda name: losses[name])
    loss, p_value = losses[how], max(p_values.values())
    error = current.error * _inflation(known[how].dependence, current.rows / blocks) ** 0.5
    low, high = (current.value + sign * 1.96 * error for sign in (-1, 1))
    text = f"{current.metric} went from {reference.value:.4f} to {current.value:.4f} ({low:.4f} to {high:.4f}), "
    if current.estimated:
        text += "estimated without labels"
    else:
        text += f"measured; as good as before would be {current.value + loss:.4f} {_MEANING[how]}"
    if isinstance(current.scale, OfNumbers) and current.alone != current.value:
        text += f"; {current.metric} of these rows alone is {current.alone:.4f}"
    return Finding(current.metric, "performance", reference.value, current.value, None, max(0.0, loss), p_value, text)


def _p_value(before: Compared, now: Compared, block_rows: float) -> float:
    loss, dependence = before.value - now.value, before.dependence
    error = float(
        np.hypot(before.error * _inflation(dependence) ** 0.5, now.error * _inflation(dependence, block_rows) ** 0.5)
    )
    p_value = float(stats.norm.sf(loss / error)) if error else float(loss <= 0)
    return max(p_value, dependence.p_value(loss / error)) if dependence and error else p_value


def _inflation(dependence: Dependence | None, rows: float = 0.0) -> float:
    return dependence.inflation(rows) if dependence else 1.0
