"""Whether a table is still like the one that a model was trained on: findings, each with its size and its p-value."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from turnout.engines.arrow import cores
from turnout.monitoring import statistics
from turnout.monitoring.findings import DRIFT, QUALITY, Check, Comparison, Finding, judged
from turnout.monitoring.profile import Column, Profile, aligned, counts_as, kind_of

LEAST_VALUES = 20
"""Values of the reference below which nothing is said of a distribution."""

LEAST_FOR_UNSEEN = 200
"""Values of the reference below which nobody knows how many categories it has not seen."""


def check_schema(schema: pa.Schema, reference: Profile) -> list[str]:
    """Columns of the reference that a table lacks, or has of another kind."""
    faults = []
    for name, column in reference.columns.items():
        if name not in schema.names and name in reference.optional:
            continue
        if name not in schema.names:
            faults.append(f"{name}: there is no such column any more")
        elif not counts_as(kind := schema.field(name).type, column):
            faults.append(f"{name}: was a {column.kind}, and is {kind_of(kind) or kind}")
    return faults


def compare(
    reference: Profile,
    current: Profile,
    faults: Iterable[str] = (),
    rate: float = 0.05,
    least: float = 0.0,
    blocks: float = 1,
) -> Comparison:
    """Hold counts against a reference's.

    Args:
        current: as `count` gives it.
        faults: as `check_schema` gives them.
        rate: of false discoveries, among distributions that are said to be others, and among the rest that counts.
        least: distance below which a difference does not matter.
        blocks: in which the rows come, such as days, where the reference knows that such rows are not independent.
    """
    found = judged(column_findings(reference, current, blocks), rate, dict.fromkeys([*DRIFT, *QUALITY], least))
    return Comparison(current.rows, reference.rows, tuple(faults), found)


def column_findings(reference: Profile, current: Profile, blocks: float = 1) -> list[Finding]:
    """What differs between counts, column by column; not judged yet. The rows come in so many blocks."""
    names = [name for name in current.columns if name in reference.columns]

    def of(name: str) -> list[Finding]:
        return list(_findings(name, reference.columns[name], current.columns[name], blocks))

    # Matrices of a few hundred: threads in each only wait for each other, and columns need not.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(cores()) as threads:
        return list(itertools.chain.from_iterable(threads.map(of, names)))


def _findings(name: str, reference: Column, current: Column, blocks: float) -> Iterator[Finding]:
    cells, before, now = aligned(reference, current)
    if reference.nulls or current.nulls:
        yield _nulls(name, reference, current, blocks)
    if not before.sum() or not now.sum() or np.count_nonzero(before + now) < 2:
        return
    if before.sum() >= LEAST_VALUES:
        differ, test = (
            (_numbers, statistics.ordered) if reference.kind == "number" else (_categories, statistics.unordered)
        )
        yield differ(name, cells, before, now, test(before, now, reference.dependence, blocks))
    if reference.kind == "number":
        yield _range(name, reference, current, blocks)
    elif before.sum() >= LEAST_FOR_UNSEEN:
        yield _unseen(name, reference, current, blocks)


def _numbers(name: str, cells: tuple[float, ...], before: np.ndarray, now: np.ndarray, p_value: float) -> Finding:
    marks = np.array(cells, float)
    first, second = np.cumsum(before) / before.sum(), np.cumsum(now) / now.sum()
    gaps = np.abs(first - second)
    # Behind a mark and before the next; what lies between two is as if it were spread evenly.
    moved = float(((gaps[1:-2:2] + gaps[2:-1:2]) / 2 * np.diff(marks)).sum())
    was, is_ = (_median(marks, counts) for counts in (before, now))
    mean = len(marks) <= _FEW_VALUES or was == is_
    if mean:
        was, is_ = (_mean(marks, counts) for counts in (before, now))
    text = (
        f"the {'mean' if mean else 'median'} went from {was:.4g} to {is_:.4g}; values moved by {moved:.3g} on average"
    )
    return Finding(name, "distribution", was, is_, moved, float(gaps.max()), p_value, text)


_FEW_VALUES = 20
"""Different values up to which a median says little."""


def _median(marks: np.ndarray, counts: np.ndarray) -> float:
    """The mark nearest to it."""
    middle = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return float(marks[min(middle // 2, len(marks) - 1)])


def _mean(marks: np.ndarray, counts: np.ndarray) -> float:
    """Of values between two marks, as if they were in the middle."""
    between = np.concatenate([marks[:1], (marks[1:] + marks[:-1]) / 2, marks[-1:]])
    values = np.empty(len(counts))
    values[0::2], values[1::2] = between, marks
    return float((values * counts).sum() / counts.sum())


def _categories(name: str, cells: tuple[str, ...], before: np.ndarray, now: np.ndarray, p_value: float) -> Finding:
    shares = np.stack([before / before.sum(), now / now.sum()])
    apart = np.abs(shares[1] - shares[0])
    most = int(apart.argmax())
    label = [*cells, "others"][most]
    was, is_ = (float(share) for share in shares[:, most])
    text = f"'{label}' went from {was:.2%} to {is_:.2%}"
    return Finding(name, "distribution", was, is_, None, float(apart.sum() / 2), p_value, text)


def _nulls(name: str, reference: Column, current: Column, blocks: float) -> Finding:
    first, second = ((column.nulls, column.nulls + column.rows) for column in (reference, current))
    inflations = (1.0, 1.0)
    if of := reference.dependence:
        ours = dataclasses.replace(of, correlation=reference.null_correlation)
        inflations = (ours.inflation(), ours.inflation(second[1] / blocks))
    return _share(name, "nulls", first, second, inflations, "missing values")


def _unseen(name: str, reference: Column, current: Column, blocks: float) -> Finding:
    # As often as the reference had categories once, one that it has not is expected: Good (1953), with Turing.
    once = (reference.singles, reference.rows)
    unseen = current.rows - sum(current.counts[: len(reference.cells)])
    inflations = _inflations(reference, current, blocks)
    return _share(name, "unseen", once, (unseen, current.rows), inflations, "categories never seen")


def _share(
    name: str, check: Check, first: tuple[int, int], second: tuple[int, int], inflations: tuple[float, float], what: str
) -> Finding:
    was, is_ = (some / rows if rows else 0.0 for some, rows in (first, second))
    text = f"{what} went from {was:.2%} to {is_:.2%} of the rows"
    independent = [
        (round(some / inflation), round(rows / inflation))
        for (some, rows), inflation in zip((first, second), inflations, strict=True)
    ]
    return Finding(name, check, was, is_, None, abs(is_ - was), statistics.share(*independent), text)


def _range(name: str, reference: Column, current: Column, blocks: float) -> Finding:
    before, now = _inflations(reference, current, blocks)
    rows, below, above = (round(count / now) for count in (current.rows, current.counts[0], current.counts[-1]))
    p_value = min(
        1.0, 2 * min(statistics.beyond(count, rows, round(reference.rows / before)) for count in (below, above))
    )
    outside = (current.counts[0] + current.counts[-1]) / current.rows
    text = f"{outside:.2%} of the values are not between {reference.low:.4g} and {reference.high:.4g}"
    return Finding(name, "range", 0.0, outside, None, outside, p_value, text)


def _inflations(reference: Column, current: Column, blocks: float) -> tuple[float, float]:
    """By how much fewer independent rows the reference's and the current ones tell as much."""
    dependence = reference.dependence
    return (dependence.inflation(), dependence.inflation(current.rows / blocks)) if dependence else (1.0, 1.0)
