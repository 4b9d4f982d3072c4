"""Looks at a release, one after another, until it is judged or time is over."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from turnout.errors import ComponentError
from turnout.serving.release import Served
from turnout.serving.rollout.judgement import Judgement, Settings, judge
from turnout.serving.rollout.labels import LabelSource
from turnout.serving.rollout.observations import Window, of_step, of_version
from turnout.serving.rollout.shadow import Differences, differences
from turnout.serving.targets.target import Status, Target

_RESTS = 4.0
"""How much longer than a look took the judge rests before the next, so that it takes a fifth of a core at most."""


@runtime_checkable
class Logging(Protocol):
    """A target that keeps requests and predictions where the judge can read them."""

    def logged(self, model: str, version: str, since: datetime.datetime) -> pa.Table:
        """The requests that a version answered: `request_id`, `prediction`, and the inputs."""


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes:
        differences: of a shadow's predictions; None where none is served.
        waiting: what to tell readers while it goes on.
    """

    judgement: Judgement
    windows: tuple[Window, ...]
    differences: Differences | None = None
    waiting: str = ""

    @property
    def goes_on(self) -> bool:
        return bool(self.waiting)

    @property
    def known(self) -> bool:
        return self.judgement.passed or self.judgement.verdict == "worse"


def look(
    target: Target,
    model: str,
    version: str,
    since: datetime.datetime,
    settings: Settings,
    labels: LabelSource | None = None,
) -> Look:
    """Look once at what a target's users saw of a version, with the part of the traffic that it has now.

    Args:
        labels: where labels of the predictions come to.

    Raises:
        ComponentError: the version is not tried out.
    """
    status = target.status(model)
    served = next((item for item in status.versions if item.version == version), None)
    if served is None or (stable := _stable(status)) is None or stable.version == version:
        hint = "give it a part of the traffic first: deploy, with percent or shadow"
        raise ComponentError(f"version {version} is not tried out", where=f"{target.name}: {model}",
                             available=[item.version for item in status.versions], hint=hint)  # fmt: skip
    share = 0.5 if served.shadow else served.percent / (served.percent + stable.percent)
    windows = of_version(target.observed(model, since, labels), version)
    of_now, number = of_step(windows, share, served.shadow)
    judgement = judge(of_now, settings, intervals=True, step=number)
    apart = None
    if served.shadow and isinstance(target, Logging):
        begun = next((window.since for window in of_now if window.compared), since)
        apart = differences(*(target.logged(model, item, begun) for item in (stable.version, version)))
        judgement = _guarded(judgement, apart, settings.different_share)
    return Look(judgement, tuple(windows), apart)


def is_idle(target: Target, model: str, version: str) -> bool:
    """Whether a version is loaded, and gets no requests: there is nothing to judge."""
    found = next((item for item in target.status(model).versions if item.version == version), None)
    return found is not None and not found.percent


def _guarded(judgement: Judgement, apart: Differences, limit: float) -> Judgement:
    """Worse, when a shadow surely gives another class to more of the requests than it may."""
    if not apart.labels or apart.low <= limit or judgement.mismatch:
        return judgement
    reason = f"{apart.share:.0%} of {apart.pairs:,} requests get another class; {limit:.0%} are allowed"
    return dataclasses.replace(judgement, verdict="worse", more=None, reasons=(reason, *judgement.reasons))


def _stable(status: Status) -> Served | None:
    return next((item for item in status.versions if not item.shadow), None)


def looks(look: Callable[[], Look], seconds: float, every: float) -> Iterator[Look]:
    """Look until it is known, or until `seconds` are over; the last look is the one that counts.

    Args:
        every: seconds between looks; more when a look takes long.
    """
    end = time.monotonic() + seconds
    while True:
        started = time.monotonic()
        seen = look()
        now = time.monotonic()
        rest = max(every, _RESTS * (now - started))
        if seen.known or now >= end:
            yield seen
            return
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=end - now)
        yield dataclasses.replace(seen, waiting=f"The judge looks on, until {until:%Y-%m-%d %H:%M} UTC at the latest.")
        time.sleep(min(rest, max(0.0, end - time.monotonic())))
