"""What users saw of a version beside the one in service: windows with a constant share of the traffic."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BATCH = 200
"""Requests of both versions in a window that `windows_of` cuts. What a test takes from the past, such as the p99 of the
version in service, is that of the windows before: they must not be too long."""

_NO_NUMBERS: NDArray[np.float64] = np.empty(0)


@dataclass(frozen=True)
class Arm:
    """What a version did in a window.

    Attributes:
        requests: that the router gave to the version; of an A/B test that keeps the version of a user, users.
        errors: of these, those that the version failed to answer: 5xx, time-out, connection lost. Not 4xx, which is the
            client's fault.
        latencies_ms: of the answers, as the user saw them.
        predictions: numbers (a probability, an amount), or names of classes.
        losses: how wrong each prediction was of those whose label has come, between 0 (right) and 1.
        bias: prediction minus label of those, between -1 and 1; empty where the prediction is no probability.
        business: of each request, a number between 0 and 1 of which more is better, such as 1 for a sale.
    """

    requests: int
    errors: int = 0
    latencies_ms: NDArray[np.float64] = field(default_factory=lambda: _NO_NUMBERS)
    predictions: NDArray[Any] = field(default_factory=lambda: _NO_NUMBERS)
    losses: NDArray[np.float64] = field(default_factory=lambda: _NO_NUMBERS)
    bias: NDArray[np.float64] = field(default_factory=lambda: _NO_NUMBERS)
    business: NDArray[np.float64] = field(default_factory=lambda: _NO_NUMBERS)


@dataclass(frozen=True)
class Window:
    """A time in which the shares did not change.

    Attributes:
        share: of the requests of both versions, the part that the router gave by chance to the one that is tried out,
            as it was told to (never as it was counted), between 0 and 1. With 0 or 1 there is nothing to compare, but
            the tests learn what the version in service is like. Of a shadow, which gets a copy of each request: 0.5.
        shadow: whether the version that is tried out got copies.
        version: the one that is tried out; empty for none.
    """

    since: datetime.datetime
    until: datetime.datetime
    share: float
    champion: Arm
    canary: Arm
    shadow: bool = False
    version: str = ""

    @property
    def compared(self) -> bool:
        return 0 < self.share < 1


COLUMNS = ("time", "canary", "share", "shadow", "version", "error", "latency_ms", "prediction", "loss", "bias",
           "business")  # fmt: skip
"""Of the table that `windows_of` takes; only the first three are needed."""


def windows_of(requests: pa.Table, batch: int = BATCH) -> list[Window]:
    """Requests as windows: cut where the share changes, and after each `batch` requests.

    The cuts depend on what was before them only, so that a later look finds the same windows, and new ones.

    Args:
        requests: a row for each request (of a shadow, for each copy too), with some of `COLUMNS`: when it came,
            whether the version that is tried out got it, the share that this version was to get at that time, which
            version it is, ... Of the requests of which a shadow got no copy, leave out the answers too. A row with a
            null has no such value: an error has no latency, and a request whose label has yet to come no loss. For
            labels, sort by the time at which they came, and give that as the time.
    """
    if not len(requests):
        return []
    rows = requests.take(pc.sort_indices(requests["time"]))
    told = [rows["share"].to_numpy(), _flags(rows, "shadow"), _versions(rows)]
    changed = np.flatnonzero(np.any([values[1:] != values[:-1] for values in told], axis=0)) + 1
    edges = [0, *changed.tolist(), len(rows)]
    cuts = [cut for start, end in itertools.pairwise(edges) for cut in _cuts(start, end, batch)]
    return [_window(rows.slice(start, end - start)) for start, end in zip(cuts, [*cuts[1:], len(rows)], strict=True)]


def by_user(requests: pa.Table, user: str) -> pa.Table:
    """The first request of each user: what a test counts where the version of a user is kept.

    The requests of a user are alike, and all of them go to one version: counted singly they would seem to be more
    evidence than they are.

    Args:
        user: the column with what the router hashed.
    """
    ordered = requests.take(pc.sort_indices(requests["time"]))
    _, first = np.unique(ordered[user].to_numpy(zero_copy_only=False).astype(str), return_index=True)
    return ordered.take(np.sort(first))


def of_version(windows: Sequence[Window], version: str) -> list[Window]:
    """The windows in which a version was tried out, since it last began, and those before with nothing to compare.

    From these the tests learn what the version in service is like. A target whose windows name no version tells of the
    one that is tried out now.
    """
    if not any(window.version for window in windows):
        return list(windows)
    start = len(windows)
    while start and windows[start - 1].version == version:
        start -= 1
    before = start
    while before and not windows[before - 1].compared:
        before -= 1
    return [dataclasses.replace(window, version="") for window in windows[before:start]] + list(windows[start:])


def of_step(windows: Sequence[Window], share: float, shadow: bool) -> tuple[list[Window], int]:
    """The windows with those of earlier steps not compared, and the number of this step, from 1 on.

    Each step of a release is judged by what was seen in it: that all was well with 5 % of the traffic, or with copies
    of it, does not say that it is with 25 %. From earlier windows the tests learn what the version in service is like.

    Args:
        share: that the version is to get now.
        shadow: whether it gets copies now.
    """

    def now(window: Window) -> bool:
        return window.shadow == shadow and math.isclose(window.share, share, rel_tol=1e-6)

    start = len(windows)
    while start and (now(windows[start - 1]) or not windows[start - 1].compared):
        start -= 1
    earlier = [(window.share, window.shadow) for window in windows[:start] if window.compared]
    number = 1 + len([step for step, _ in itertools.groupby(earlier)])
    return [dataclasses.replace(window, share=0.0) for window in windows[:start]] + list(windows[start:]), number


def compared(windows: Sequence[Window]) -> tuple[int, int]:
    """The requests of the version in service and of the one that is tried out, in windows that compare them."""
    chosen = [window for window in windows if window.compared]
    return sum(item.champion.requests for item in chosen), sum(item.canary.requests for item in chosen)


def _cuts(start: int, end: int, batch: int) -> Iterator[int]:
    """Where windows begin; each is at least a fiftieth of what was before, so that there are few."""
    while start < end:
        yield start
        start += max(batch, start // 50)


def _window(rows: pa.Table) -> Window:
    times = rows["time"]
    canary = _flags(rows, "canary")
    champion, tried = (_arm(rows.filter(pa.array(chosen))) for chosen in (~canary, canary))
    shadow = bool(_flags(rows, "shadow")[0])
    share = float(rows["share"][0].as_py())
    share = 0.5 if shadow and share else share
    return Window(
        _time(times[0].as_py()), _time(times[-1].as_py()), share, champion, tried, shadow, str(_versions(rows)[0])
    )


def _arm(rows: pa.Table) -> Arm:
    values = {
        item.name: _values(rows, column)
        for item in dataclasses.fields(Arm)
        if (column := _COLUMN_OF.get(item.name)) in rows.column_names and column
    }
    return Arm(len(rows), int(_flags(rows, "error").sum()), **values)


_COLUMN_OF = {"latencies_ms": "latency_ms", "predictions": "prediction", "losses": "loss", "bias": "bias",
              "business": "business"}  # fmt: skip


def _values(rows: pa.Table, name: str) -> NDArray[Any]:
    column = rows[name].drop_null()
    if pa.types.is_boolean(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.asarray(column.cast(pa.string()).to_pylist(), dtype=str)
    values = np.asarray(column.cast(pa.float64()).to_numpy(), float)
    finite: NDArray[Any] = values[np.isfinite(values)]
    return finite


def _versions(rows: pa.Table) -> NDArray[np.str_]:
    given = rows["version"].fill_null("").to_pylist() if "version" in rows.column_names else [""] * len(rows)
    return np.array(given, dtype=str)


def _flags(rows: pa.Table, name: str) -> NDArray[np.bool_]:
    if name not in rows.column_names:
        return np.zeros(len(rows), bool)
    return np.asarray(rows[name].fill_null(False).to_numpy(zero_copy_only=False), bool)


def _time(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    return datetime.datetime.fromtimestamp(float(value), datetime.UTC)
