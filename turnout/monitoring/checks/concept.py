"""Where in a stream of errors the model's relation to the world changed: river's detectors, made to keep a promise.

A detector has a false-alarm rate of its own, which depends on the stream. Here the same detector is run over the same
errors in random order: how often it finds as much there is the p-value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from turnout.errors import ComponentError, did_you_mean
from turnout.monitoring.findings import Finding

Array = NDArray[np.float64]
Detector = Literal["adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"]
BINARY: tuple[Detector, ...] = ("ddm", "eddm", "hddm_a", "hddm_w")
"""Detectors that only take whether a row was wrong."""

_ORDERS = (19, 199)
_UPDATES = 10_000_000
_SLOW: dict[str, int] = {"kswin": 40_000, "hddm_a": 2_000_000, "hddm_w": 2_000_000}
"""Rows that a detector may be shown in all orders together."""

_ENOUGH = 10


def make_detector(name: Detector) -> Any:
    """A detector by its name, with its authors' settings.

    Source: ADWIN, Bifet and Gavalda (2007); Page-Hinkley, Page (1954); KSWIN, Raab et al. (2020); DDM, Gama et al.
    (2004); EDDM, Baena-Garcia et al. (2006); HDDM, Frias-Blanco et al. (2015); as river has them.

    Raises:
        ComponentError: there is none of that name.
    """
    from river import drift
    from river.drift import binary

    from turnout.monitoring.checks.kswin import Kswin

    makers: dict[str, Callable[[], Any]] = {
        "adwin": drift.ADWIN,
        "page_hinkley": drift.PageHinkley,
        "kswin": Kswin,
        "ddm": binary.DDM,
        "eddm": binary.EDDM,
        "hddm_a": binary.HDDMA,
        "hddm_w": binary.HDDMW,
    }
    if name not in makers:
        known = get_args(Detector)
        hint = did_you_mean(name, known) or "choose one of these"
        raise ComponentError(f"no detector '{name}'", where="concept", available=known, hint=hint)
    return makers[name]()


def detections(errors: Sequence[float] | Array, detector: Detector = "adwin") -> list[int]:
    """The rows at which a detector tells of a change.

    Args:
        errors: of the rows, in the order of time; 0 and 1 for those in `BINARY`; shape (rows,).
    """
    found, at = make_detector(detector), []
    values: list[Any] = np.asarray(errors, bool if detector in BINARY else float).tolist()
    for index, value in enumerate(values):
        found.update(value)
        if found.drift_detected:
            at.append(index)
    return at


@dataclass(frozen=True)
class Change:
    """A change of a stream's mean: at which row, from which mean to which, and that in standard errors."""

    row: int
    before: float
    after: float
    size: float


def changes(errors: Array, detector: Detector) -> list[Change]:
    """Changes that a detector tells of.

    Each is put at the row since the last detection where the mean differs most before and after; the means are those
    up to the changes next to it.
    """
    rows, start = [], 0
    for detected in detections(errors, detector):
        if (row := _most_apart(errors[start : detected + 1])) is not None:
            rows.append(start + row)
        start = detected + 1
    found = []
    for first, row, last in zip([0, *rows], rows, [*rows[1:], len(errors)], strict=False):
        before, after, spread = errors[first:row], errors[row:last], errors[first:last].std()
        error = spread * np.sqrt(1 / len(before) + 1 / len(after))
        found.append(
            Change(row, float(before.mean()), float(after.mean()), float(abs(after.mean() - before.mean()) / error))
        )
    return [change for change in found if np.isfinite(change.size)]


def _most_apart(part: Array) -> int | None:
    """Where to divide values so that the means of both sides are most apart, in standard errors; None if they vary not.

    Source: the maximum-likelihood estimate of a change of the mean; Hinkley (Biometrika 57, 1970).
    """
    if len(part) < 2 or not part.std():
        return None
    sizes, sums = np.arange(1, len(part)), np.cumsum(part)[:-1]
    apart = sums / sizes - (part.sum() - sums) / (len(part) - sizes)
    return int(np.abs(apart / np.sqrt(1 / sizes + 1 / (len(part) - sizes))).argmax()) + 1


def concept_drift(errors: Array, detector: Detector, when: Callable[[int], str] = str, seed: int = 0) -> Finding:
    """The finding that errors changed in the course of time, by the largest change that a detector tells of.

    A change to fewer errors is told, and is no harm: its distance is 0. That rows come in no particular order while
    nothing changes is assumed: errors that follow the hour of the day change each day.

    Args:
        errors: of rows in the order of time; shape (rows,).
        when: what to call a row, by its index.

    Raises:
        ComponentError: the detector only takes whether a row was wrong, and these are numbers.
    """
    if detector in BINARY and not np.isin(errors, (0, 1)).all():
        hint = "adwin, page_hinkley or kswin"
        raise ComponentError(f"{detector} only takes right and wrong", where="concept", hint=hint)
    found = max(changes(errors, detector), key=lambda change: change.size, default=None)
    mean = float(errors.mean()) if len(errors) else 0.0
    if found is None:
        return Finding("errors", "concept", mean, mean, None, 0.0, 1.0, f"{detector} finds no change")
    most = int(np.clip(_SLOW.get(detector, _UPDATES) // len(errors), *_ORDERS))
    rng = np.random.default_rng(seed)
    extreme = drawn = 0
    while drawn < most and extreme < _ENOUGH:
        again = changes(rng.permutation(errors), detector)
        extreme += max((change.size for change in again), default=0.0) >= found.size
        drawn += 1
    p_value = (1 + extreme) / (1 + drawn)
    text = f"went from {found.before:.4g} to {found.after:.4g} at {when(found.row)}, by {detector}"
    rise = max(0.0, found.after - found.before)
    return Finding("errors", "concept", found.before, found.after, found.after - found.before, rise, p_value, text)
