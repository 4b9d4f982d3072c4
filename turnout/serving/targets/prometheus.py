"""What users saw of versions on a cluster, by what Prometheus has counted in their pods.

A pod serves one version, and its workers count requests by version and status, fallbacks, and latencies in buckets. Raw
counters are read, not rates: a counter that begins within the time that is looked at began at zero, and one that falls
began anew. Which part of the traffic a version was to have is in the target's history.

Pods are scraped at different moments, so an interval in which a share changed is left out. A request that came to no
worker is not counted.
"""

from __future__ import annotations

import datetime
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.errors import ComponentError
from turnout.serving.release import Release
from turnout.serving.rollout.observations import BATCH, Arm, Window

REQUESTS = "turnout_serving_requests_total"
FALLBACKS = "turnout_serving_fallback_total"
SECONDS = "turnout_serving_request_seconds_bucket"

_STEP_S = 15.0
_MOST_POINTS = 10_000
"""Of a series: Prometheus gives 11,000."""

_TIME_OUT_S = 30.0
_BEFORE = datetime.timedelta(hours=1)
"""How much of the time before a version was tried out says what the one in service is like."""


@dataclass
class _Counted:
    """What the pods of a version counted in a time."""

    requests: float = 0.0
    errors: float = 0.0
    fallbacks: float = 0.0
    below: dict[float, float] = field(default_factory=dict)

    def add(self, other: _Counted) -> None:
        self.requests += other.requests
        self.errors += other.errors
        self.fallbacks += other.fallbacks
        for limit, count in other.below.items():
            self.below[limit] = self.below.get(limit, 0.0) + count

    def arm(self) -> Arm:
        errors = min(self.requests, self.errors + self.fallbacks)
        return Arm(round(self.requests), round(errors), _latencies(self.below))


def observed(
    address: str, model: str, history: Sequence[Release], since: datetime.datetime, step_s: float = _STEP_S
) -> list[Window]:
    """The requests of the version in service and of the one that is tried out, as their pods counted them.

    Args:
        address: of Prometheus, such as `http://prometheus:9090`.
        history: of the release, from the oldest on; the last is in force.
        step_s: seconds between two looks at the counters: the interval in which pods are scraped, or more.

    Raises:
        ComponentError: Prometheus does not answer, or a shadow gets copies of a part of the requests only.
    """
    release = history[-1]
    shadows = [] if release.routed[1:] else list(release.shadows)
    tried = shadows or list(release.routed[1:])
    if not tried:
        return []
    if shadows and shadows[-1].percent < 100:
        raise ComponentError("of a shadow that gets copies of a part of the requests, nothing can be compared here",
                             where=model, hint="give it copies of all: shadow, 100 percent")  # fmt: skip
    canary, stable = tried[-1].version, release.stable.version
    shares = [(datetime.datetime.fromisoformat(item.changed_at).timestamp(), _share(item, stable, canary))
              for item in history]  # fmt: skip
    begun = next((time for time, share in shares if share), shares[-1][0])
    start = max(since.timestamp(), begun - _BEFORE.total_seconds())
    end = datetime.datetime.now(datetime.UTC).timestamp()
    step = max(step_s, (end - start) / _MOST_POINTS)
    times = np.arange(start, end, step)
    if len(times) < 2:
        return []
    counted = _counted(address, model, (stable, canary), times, step)
    return _windows(times, counted, shares, bool(shadows), (stable, canary))


def _share(release: Release, stable: str, canary: str) -> float:
    """Of the requests of both versions, the part of the second."""
    if any(item.version == canary for item in release.shadows):
        return 0.5
    ours, theirs = release.percent_of(canary), release.percent_of(stable)
    return ours / (ours + theirs) if ours else 0.0


def _windows(
    times: NDArray[np.float64],
    counted: Mapping[str, Sequence[_Counted]],
    shares: Sequence[tuple[float, float]],
    shadow: bool,
    versions: tuple[str, str],
) -> list[Window]:
    stable, canary = versions
    found: list[Window] = []
    both: tuple[_Counted, _Counted] | None = None
    began, before = times[0], math.nan

    def close(until: float) -> None:
        nonlocal both
        if both is not None and (both[0].requests or both[1].requests):
            first, last = (datetime.datetime.fromtimestamp(time, datetime.UTC) for time in (began, until))
            copies, name = shadow and before > 0, canary if before else ""
            found.append(Window(first, last, before, both[0].arm(), both[1].arm(), copies, name))
        both = None

    for place in range(1, len(times)):
        low, high = times[place - 1], times[place]
        share = next((part for time, part in reversed(shares) if time <= low), 0.0)
        changed = any(low - (high - low) < time <= high for time, _ in shares)
        if changed or share != before:
            close(low)
        if changed:
            before = math.nan
            continue
        if both is None:
            both, began, before = (_Counted(), _Counted()), low, share
        for arm, version in zip(both, (stable, canary), strict=True):
            arm.add(counted[version][place - 1])
        if both[0].requests + both[1].requests >= BATCH:
            close(high)
    close(times[-1])
    return found


def _counted(
    address: str, model: str, versions: Sequence[str], times: NDArray[np.float64], step: float
) -> dict[str, list[_Counted]]:
    """What each version counted between each two of the times."""
    found = {version: [_Counted() for _ in times[1:]] for version in versions}
    names = "|".join(versions)
    for metric in (REQUESTS, FALLBACKS, SECONDS):
        query = f'{metric}{{model="{model}",version=~"{names}"}}'
        for series in _ask(address, query, times, step):
            marks = series["metric"]
            counts = found[marks["version"]]
            for place, more in _growth(series["values"], times, step):
                if metric == REQUESTS:
                    counts[place].requests += more
                    counts[place].errors += more if marks["code"].startswith("5") else 0.0
                elif metric == FALLBACKS:
                    counts[place].fallbacks += more
                else:
                    limit = float(marks["le"])
                    counts[place].below[limit] = counts[place].below.get(limit, 0.0) + more
    return found


def _growth(
    values: Sequence[tuple[float, str]], times: NDArray[np.float64], step: float
) -> Sequence[tuple[int, float]]:
    """By how much a counter grew, by the place of the interval."""
    grown = []
    before: float | None = None
    for time, text in values:
        place, value = round((float(time) - times[0]) / step), float(text)
        if place > 0:
            if before is None:
                before = 0.0  # it began within the time
            if more := value - before if value >= before else value:
                grown.append((min(place, len(times) - 1) - 1, more))
        before = value
    return grown


def _ask(address: str, query: str, times: NDArray[np.float64], step: float) -> list[dict[str, Any]]:
    asked = {"query": query, "start": times[0], "end": times[-1], "step": step}
    url = f"{address.rstrip('/')}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
    try:
        with urllib.request.urlopen(url, timeout=_TIME_OUT_S) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise ComponentError(f"Prometheus refuses: {said}", where=address, hint="is it a Prometheus?") from error
    except (OSError, ValueError, LookupError) as error:
        hint = "is `prometheus` in the settings of the cluster its address, and can this step reach it?"
        raise ComponentError(f"Prometheus does not answer: {error}", where=address, hint=hint) from error
    return result


def _latencies(below: Mapping[float, float]) -> NDArray[np.float64]:
    """A value for each request, in milliseconds: the middle of its bucket, by ratio."""
    values: list[NDArray[np.float64]] = []
    limits, low, before = sorted(below), 0.0, 0.0
    for limit in limits:
        count = max(0, round(below[limit] - before))
        middle = limit / 2 if not low else 2 * low if math.isinf(limit) else math.sqrt(low * limit)
        values.append(np.full(count, 1000 * middle))
        low, before = limit, below[limit]
    return np.concatenate(values) if values else np.empty(0)
