"""The verdict on a version that is tried out: better, no worse, worse, not yet known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from turnout.serving.rollout.metrics import Evidence, Margins, Metric, evidence
from turnout.serving.rollout.observations import Window, compared
from turnout.serving.rollout.sample_ratio import mismatch

Verdict = Literal["better", "no worse", "worse", "not yet known"]

NEEDED: tuple[Metric, ...] = ("errors", "p50", "p99", "predictions")
"""What has to be known before a version gets more traffic, when nobody says otherwise."""

MISMATCH_ALPHA = 0.001
"""Of the test of the split: in one of a thousand releases it says that the traffic is split wrongly, and it is not."""

_UNKNOWN: tuple[Verdict, int | None] = ("not yet known", None)

_DRAWN = 40
"""Windows whose confidence interval is kept, for the report."""


@dataclass(frozen=True)
class Settings:
    """How a release is judged.

    Attributes:
        margins: the smallest differences that matter.
        alpha: the probability that a version as good as the one in service is ever called worse, by any metric, however
            often one looks; and the probability that one that is worse by what matters is ever called no worse.
        needed: metrics that have to be known; of others it is enough that they are not worse.
        different_share: of the requests whose copies a shadow may give another class. More is worse, also where as many
            requests get each class as before.
    """

    margins: Margins = dataclasses.field(default_factory=Margins)
    alpha: float = 0.05
    needed: tuple[Metric, ...] = NEEDED
    different_share: float = 0.5


@dataclass(frozen=True)
class Finding:
    """The verdict by one metric.

    Attributes:
        champion, canary: the metric of both versions; nan where it is of both together.
        estimate, low, high: of the ratio or the difference, with its confidence sequence; nan when not asked for.
        more: about how many requests more it needs; None when it is known, or when nobody can say.
        known_after: requests at the look at which it was known.
        course: requests so far, estimate, low and high after some of the looks.
    """

    metric: Metric
    verdict: Verdict
    champion: float
    canary: float
    estimate: float
    low: float
    high: float
    margin: float
    is_ratio: bool
    requests: int
    more: int | None = None
    known_after: int | None = None
    course: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Judgement:
    """The verdict over all.

    Attributes:
        reasons: a line each.
        findings: of the metrics that were observed, and those that are needed and were not.
        more: about how many requests more it needs, of both versions together; None when it is known, or when nobody
            can say.
        mismatch: whether the traffic is split otherwise than it should be: then nothing else can be trusted.
        requests: of the version in service, and of the one that is tried out.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    more: int | None
    mismatch: bool
    requests: tuple[int, int]

    @property
    def passed(self) -> bool:
        return self.verdict in ("better", "no worse")


def judge(
    windows: Sequence[Window], settings: Settings = Settings(), intervals: bool = False, step: int = 0
) -> Judgement:
    """The verdict on what users saw so far.

    It may be asked for after each request: the tests hold at all looks together. A metric is *worse* when it is surely
    not as good and, by the estimate, by as much as matters; any such metric makes the release worse. Each of these
    tests has its part of alpha. It is *no worse* when it is surely not worse by what matters; as all metrics that are
    needed must be, each of those tests has all of alpha.

    Args:
        windows: from the first request of the version that is tried out on, and better from before; in order.
        intervals: whether to find confidence sequences, which takes longer.
        step: of a release with several steps, of which each is judged by its own requests, the number of this one. The
            first has half of alpha, the second a sixth, and so on: all that there may be have alpha together. 0: there
            is one only.
    """
    found = list(evidence(windows, settings.margins))
    part = settings.alpha / max(1, step * (step + 1)) / max(len(found), len(settings.needed), 1)
    findings = [_finding(item, part, settings.alpha, intervals) for item in found]
    known = {item.metric for item in findings}
    findings += [_unseen(metric, settings) for metric in settings.needed if metric not in known]
    split = mismatch(windows)
    wrong = bool(len(split) and split.max() >= math.log(1 / MISMATCH_ALPHA))
    verdict = _over_all(findings, settings, wrong)
    open_ = [item.more for item in findings if item.verdict == "not yet known" and item.metric in settings.needed]
    certain = [item for item in open_ if item is not None]
    more = max(certain) if verdict == "not yet known" and len(certain) == len(open_) and certain and not wrong else None
    requests = compared(windows)
    return Judgement(
        verdict, tuple(_reasons(findings, settings, requests, wrong)), tuple(findings), more, wrong, requests
    )


def _finding(item: Evidence, part: float, alpha: float, intervals: bool) -> Finding:
    worse = (np.maximum.accumulate(item.worse) >= math.log(1 / part)) & item.matters
    tests: list[tuple[Verdict, NDArray[np.bool_]]] = [("worse", worse), ("better", item.better >= math.log(1 / part)),
                                                      ("no worse", item.no_worse >= math.log(1 / alpha))]  # fmt: skip
    verdict, after = next(((name, int(item.looks[at.argmax()])) for name, at in tests if at.any()), _UNKNOWN)
    seen = float(item.looks[-1])
    more = None
    if verdict == "not yet known":
        total = item.needed(False, alpha)
        if item.matters[-1]:
            total = min(total, item.needed(True, part))
        more = _rounded(max(total - seen, 0.1 * seen, 1.0)) if math.isfinite(total) and total < 1e9 else None
    low = high = math.nan
    course: tuple[tuple[float, float, float, float], ...] = ()
    if intervals:
        course = _course(item, part)
        low, high = course[-1][2:]
    return Finding(
        item.metric, verdict, *item.values, float(item.estimates[-1]), low, high, item.margin, item.is_ratio,
        int(seen), more, after, course,
    )  # fmt: skip


def _course(item: Evidence, alpha: float) -> tuple[tuple[float, float, float, float], ...]:
    low, high = item.interval(alpha)
    chosen: NDArray[np.int64] = np.unique(np.linspace(0, len(item.looks) - 1, _DRAWN).round().astype(int))
    return tuple((float(item.looks[i]), float(item.estimates[i]), float(low[i]), float(high[i])) for i in chosen)


def _unseen(metric: Metric, settings: Settings) -> Finding:
    nan = math.nan
    return Finding(metric, "not yet known", nan, nan, nan, nan, nan, nan, metric in ("errors", "p50", "p99"), 0)


def _over_all(findings: Sequence[Finding], settings: Settings, wrong: bool) -> Verdict:
    if any(item.verdict == "worse" for item in findings) and not wrong:
        return "worse"
    if wrong or any(item.verdict == "not yet known" for item in findings if item.metric in settings.needed):
        return "not yet known"
    return "better" if any(item.verdict == "better" for item in findings) else "no worse"


NAMES: dict[Metric, str] = {
    "errors": "errors",
    "p50": "median latency",
    "p99": "p99 latency",
    "predictions": "predictions",
    "loss": "loss of predictions with labels",
    "bias": "calibration (prediction minus label)",
    "business": "business metric",
}


def _reasons(findings: Sequence[Finding], settings: Settings, requests: tuple[int, int], wrong: bool) -> list[str]:
    if wrong:
        return [f"the traffic is not split as it should be ({requests[1]:,} of {sum(requests):,} requests went to the "
                "version that is tried out): nothing can be compared until the reason is known"]  # fmt: skip
    if not sum(requests):
        return ["there was no traffic that could be compared"]
    order: tuple[Verdict, ...] = ("worse", "not yet known", "better", "no worse")
    shown = [item for item in findings if item.metric in settings.needed or item.verdict in ("worse", "better")]
    return [_told(item) for verdict in order for item in shown if item.verdict == verdict]


def _told(item: Finding) -> str:
    """A finding in a sentence."""
    name = NAMES[item.metric]
    if not item.requests:
        return f"{name}: not yet known, nothing was seen of it"
    if item.metric == "errors" and not item.champion and not item.canary:
        return f"{name}: {item.verdict}, there were none" + (f", {_needs(item.more)}" if item.more else "")
    than = f"{item.estimate:.2f} times" if item.is_ratio else f"different by {abs(item.estimate):.3f} from"
    more = f", {_needs(item.more)}" if item.more else ""
    return f"{name}: {item.verdict}, {than} the version in service{more}"


def _needs(more: int) -> str:
    return f"about {more:,} requests more are needed"


def _rounded(number: float) -> int:
    """Two digits of a rough number."""
    if number < 100:
        return math.ceil(number)
    unit = 10 ** (math.floor(math.log10(number)) - 1)
    return int(math.ceil(number / unit) * unit)
