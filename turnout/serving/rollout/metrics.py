"""What a release is judged by, each with the smallest difference that matters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from turnout.serving.rollout import means, ratio
from turnout.serving.rollout.drift import Predictions
from turnout.serving.rollout.latency import Tail
from turnout.serving.rollout.observations import Window

Array = NDArray[np.float64]

Metric = Literal["errors", "p50", "p99", "predictions", "loss", "bias", "business"]

METRICS: tuple[Metric, ...] = ("errors", "p50", "p99", "predictions", "loss", "bias", "business")


@dataclass(frozen=True)
class Margins:
    """The smallest differences that matter. What is smaller is *no worse*, and never a reason to go back.

    Attributes:
        error_ratio: of the error rates; 2: twice as many errors.
        error_rate: below which the version that is tried out may have errors as it likes.
        latency_ratio: of the quantiles; 1.2: slower by 20 %.
        prediction_share: of the requests that are predicted otherwise: the difference of shares of a class, or of
            predictions above a limit.
        loss: difference of the mean loss of a prediction, which is between 0 and 1.
        bias: difference of the mean of prediction minus label.
        business: difference of the mean, which is between 0 and 1.
    """

    error_ratio: float = 2.0
    error_rate: float = 0.001
    latency_ratio: float = 1.2
    prediction_share: float = 0.1
    loss: float = 0.02
    bias: float = 0.02
    business: float = 0.02


@dataclass(frozen=True)
class Evidence:
    """What the requests say about a metric, after each window; logarithms of e-processes.

    Attributes:
        worse, better: evidence against the versions being alike, or the other way about.
        no_worse: evidence against a difference for the worse that matters.
        estimates: of the ratio or the difference; `matters` says of each whether it is for the worse, and large enough.
        looks: requests that were compared.
        margin: the smallest difference that matters.
        is_ratio: whether it is a ratio.
        values: of the version in service and of the one that is tried out, over all windows that compare them.
        interval: a confidence sequence for the ratio or the difference, by its alpha.
        needed: about how many requests it takes in all until the versions are known not to be alike (or else, until a
            difference that matters is refuted), by alpha; infinite: nobody can say.
    """

    metric: Metric
    worse: Array
    better: Array
    no_worse: Array
    estimates: Array
    matters: NDArray[np.bool_]
    looks: Array
    margin: float
    is_ratio: bool
    values: tuple[float, float]
    interval: Callable[[float], tuple[Array, Array]]
    needed: Callable[[bool, float], float]


def evidence(windows: Sequence[Window], margins: Margins) -> Iterator[Evidence]:
    """The evidence for each metric that was observed."""
    if not windows:
        return
    yield _errors(windows, margins)
    if any(len(window.canary.latencies_ms) for window in windows):
        yield _latency(windows, "p50", 0.5, margins.latency_ratio)
        yield _latency(windows, "p99", 0.99, margins.latency_ratio)
    if any(len(window.canary.predictions) for window in windows):
        yield _predictions(windows, margins.prediction_share)
    for name, margin in (("loss", margins.loss), ("bias", margins.bias), ("business", margins.business)):
        if any(len(_of(window, name)[1]) for window in windows):
            yield _means(windows, name, margin)  # type: ignore[arg-type]


class _Errors:
    """Errors of two versions, and the rate below which they do not matter."""

    def __init__(self, windows: Sequence[Window], rate: float):
        self.share = np.array([window.share for window in windows], float)
        compared = (self.share > 0) & (self.share < 1)
        self.ours = np.array([window.canary.errors for window in windows], float) * compared
        self.theirs = np.array([window.champion.errors for window in windows], float) * compared
        self.requests = np.array([window.canary.requests for window in windows], float) * compared
        both = self.requests + [window.champion.requests for window in windows] * compared
        self.looks: Array = np.cumsum(both)
        self.rate = rate

    def few(self) -> Array:
        """The logarithm of the e-process against the version that is tried out having errors at `rate` or more."""
        right = self.requests - self.ours
        tried = self.rate * np.array([0.0, 0.1, 0.25, 0.5])
        with np.errstate(divide="ignore", invalid="ignore"):
            wins = np.where(self.ours[:, None] > 0, self.ours[:, None] * np.log(tried / self.rate), 0.0)
        growth = np.cumsum(wins + right[:, None] * np.log((1 - tried) / (1 - self.rate)), axis=0)
        return np.asarray(np.logaddexp.reduce(growth, axis=1) - np.log(len(tried)))

    def interval(self, alpha: float) -> tuple[Array, Array]:
        low, high = ratio.interval(self.ours, self.theirs, self.share, alpha)
        return np.exp(low), np.exp(high)

    def needed(self, factor: float, alpha: float) -> float:
        """Requests in all, until the ratio is told from `factor`, or errors are seen to be as rare as not to matter."""
        share, looks = ratio.last(self.share), self.looks[-1]
        found, events = math.inf, self.ours.sum() + self.theirs.sum()
        if events and looks:
            truth = float(ratio.estimates(self.ours, self.theirs, self.share)[-1])
            found = ratio.events_needed(truth, math.log(factor), share, alpha) * looks / events
        if factor > 1 and self.rate and self.ours.sum() < self.rate / 2 * max(self.requests.sum(), 1 / self.rate):
            found = min(found, (math.log(1 / alpha) + 2) / self.rate / share)
        return found


def _errors(windows: Sequence[Window], margins: Margins) -> Evidence:
    source = _Errors(windows, margins.error_rate)
    ours, theirs, share = source.ours, source.theirs, source.share
    estimates = np.exp(ratio.estimates(ours, theirs, share))
    no_worse = ratio.evidence(ours, theirs, share, math.log(margins.error_ratio), above=False)
    if margins.error_rate:  # a ratio that matters *and* a rate that matters: either may be refuted, at half the price
        no_worse = np.logaddexp(no_worse, source.few()) - math.log(2)
    rates = np.cumsum(ours) / np.maximum(np.cumsum(source.requests), 1)
    matters = (estimates >= margins.error_ratio) & (rates > margins.error_rate)
    champion = theirs.sum() / max(source.looks[-1] - source.requests.sum(), 1)
    return Evidence(
        "errors", ratio.evidence(ours, theirs, share), ratio.evidence(ours, theirs, share, above=False), no_worse,
        estimates, matters, source.looks, margins.error_ratio, True, (float(champion), float(rates[-1])),
        source.interval, lambda differs, alpha: source.needed(1.0 if differs else margins.error_ratio, alpha),
    )  # fmt: skip


def _latency(windows: Sequence[Window], metric: Metric, quantile: float, margin: float) -> Evidence:
    tail = Tail(windows, quantile)
    estimates = tail.estimates()
    arms = [[getattr(w, arm).latencies_ms for w in windows if w.compared] for arm in ("champion", "canary")]
    values = [np.concatenate([np.empty(0), *arm]) for arm in arms]
    champion, canary = (float(np.quantile(value, quantile)) if len(value) else math.nan for value in values)
    return Evidence(
        metric, tail.evidence(1.0), tail.evidence(1.0, above=False), tail.evidence(margin, above=False),
        estimates, estimates >= margin, tail.looks, margin, True, (champion, canary), tail.interval,
        lambda differs, alpha: tail.needed(1.0 if differs else margin, alpha),
    )  # fmt: skip


def _predictions(windows: Sequence[Window], margin: float) -> Evidence:
    source = Predictions(windows)
    different, estimates = source.different(), source.estimates()
    never = np.full(len(different), -math.inf)
    return Evidence(
        "predictions", different, never, source.alike(margin), estimates, estimates >= margin, source.looks, margin,
        False, (math.nan, math.nan), source.interval,
        lambda differs, alpha: source.needed(0.0 if differs else margin, alpha),
    )  # fmt: skip


def _means(windows: Sequence[Window], metric: Metric, margin: float) -> Evidence:
    """The difference of means: of a loss, less is better; of the business, more; of a bias, what is nearer to zero."""
    share = np.array([window.share for window in windows], float)
    scale = 2.0 if metric == "bias" else 1.0  # between -1 and 1, and bets are on values between 0 and 1
    theirs, ours = ([(_of(w, metric)[arm] + scale - 1) / scale for w in windows] for arm in (0, 1))
    source = means.bets(ours, theirs, share)
    least = margin / scale
    both = [[_of(w, metric)[arm] for w in windows if w.compared] for arm in (0, 1)]
    champion, canary = (
        float(np.mean(x)) if len(x := np.concatenate([np.empty(0), *arm])) else math.nan for arm in both
    )
    up, down = source.evidence(0.0), source.evidence(0.0, above=False)
    under, over = source.evidence(least, above=False), source.evidence(-least)
    estimates = source.estimates * scale
    if metric == "bias":
        either = np.logaddexp(up, down) - math.log(2)
        nearer = abs(canary) < abs(champion)
        never = np.full(len(share), -math.inf)
        worse, better = (never, either) if nearer else (either, never)
        no_worse = np.minimum(np.maximum.accumulate(under), np.maximum.accumulate(over))
        matters = np.abs(estimates) >= margin
    elif metric == "business":
        worse, better, no_worse, matters = down, up, over, estimates <= -margin
    else:
        worse, better, no_worse, matters = up, down, under, estimates >= margin
    limit = -least if metric == "business" else least

    def interval(alpha: float) -> tuple[Array, Array]:
        low, high = source.interval(alpha)
        return low * scale, high * scale

    return Evidence(
        metric, worse, better, no_worse, estimates, matters, source.looks, margin, False, (champion, canary), interval,
        lambda differs, alpha: float(source.needed(0.0 if differs else limit, alpha)),
    )  # fmt: skip


def _of(window: Window, metric: str) -> tuple[Array, Array]:
    name = "losses" if metric == "loss" else metric
    return getattr(window.champion, name), getattr(window.canary, name)
