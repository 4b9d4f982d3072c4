"""How often judges of a release are wrong, and how many requests they need: Turnout beside what is done elsewhere.

    .venv/bin/python benchmarks/canary.py [--releases N] [--worse N]

All judges look at the same simulated releases, after every batch of 200 requests, up to 100 times; 10 % of the requests
go to the version that is tried out, of 20 batches before that none. In a *null* release both versions are alike: 1 % of
errors, log-normal latencies, probabilities, and labels for all of them; an alarm then is false, and at most 5 % of the
releases may have one.

- `limits`: fixed ones, as rollout tools have them: two looks in a row (at the last 2,000 requests each) with twice the
  errors, a p99 or a median 20 % above, or a Brier score 0.02 above that of the version in service.
- `peeked`: at each look plain tests of all requests so far, with Bonferroni's correction for the metrics and none for
  the looks: two proportions (z), Mann-Whitney for latencies, Kolmogorov-Smirnov for predictions, Welch's t for losses.
- `turnout`: `turnout.serving.rollout.judgement.judge`.

`requests` are those of the version that is tried out until half of the releases are found to be worse; users of these
see what is wrong. `no worse` is the share of releases that Turnout lets pass by all metrics that have to be known.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import stats

from turnout.serving.rollout.judgement import Settings, judge
from turnout.serving.rollout.observations import Arm, Window

BATCH, LOOKS, BEFORE, SHARE, ALPHA, METRICS, INTERVAL = 200, 100, 20, 0.1, 0.05, 4, 10
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Version:
    """How a version behaves."""

    errors: float = 0.01
    slower: float = 1.0
    slow_tail: float = 1.0
    overconfident: float = 1.0
    daily: bool = False


SAME = Version()
CASES: dict[str, tuple[Version, Version]] = {
    "alike": (SAME, SAME),
    "alike, load changes": (Version(daily=True), Version(daily=True)),
    "errors 1 to 2 %": (SAME, Version(errors=0.02)),
    "errors 1 to 5 %": (SAME, Version(errors=0.05)),
    "all 20 % slower": (SAME, Version(slower=1.2)),
    "p99 20 % slower": (SAME, Version(slow_tail=1.2)),
    "p99 twice as slow": (SAME, Version(slow_tail=2.0)),
    "calibration": (SAME, Version(overconfident=2.5)),
}


def arm(rng: np.random.Generator, requests: int, version: Version, look: int) -> Arm:
    hour = math.sin(look / 8) if version.daily else 0.0
    latencies = rng.lognormal(3 + 0.4 * hour, 0.5, requests) * version.slower
    # Only answers beyond the 97 % quantile become slower: the median stays.
    latencies = np.where(latencies > np.exp(3 + 0.4 * hour + 1.88 * 0.5), latencies * version.slow_tail, latencies)
    truth = rng.beta(2, 5, requests)
    labels = rng.random(requests) < truth
    odds = np.log(truth / (1 - truth))
    said = 1 / (1 + np.exp(-version.overconfident * (odds + 0.9) + 0.9))
    rate = version.errors * (1 + 0.8 * hour)
    return Arm(requests, int(rng.binomial(requests, rate)), latencies, said, (said - labels) ** 2, said - labels)


def release(seed: int, case: str) -> list[Window]:
    rng, windows = np.random.default_rng([seed, list(CASES).index(case)]), []
    for look in range(BEFORE + LOOKS):
        share = SHARE if look >= BEFORE else 0.0
        ours = int(rng.binomial(BATCH, share))
        before, tried = CASES[case]
        champion, canary = arm(rng, BATCH - ours, before, look), arm(rng, ours, tried, look)
        windows.append(Window(NOW, NOW, share, champion, canary))
    return windows


def limits(windows: list[Window]) -> int | None:
    """The look at which fixed limits were passed twice in a row."""
    seen, bad = windows[BEFORE:], 0
    for look in range(INTERVAL - 1, len(seen), INTERVAL):
        ours, theirs = (merged(seen[look + 1 - INTERVAL : look + 1], name) for name in ("canary", "champion"))
        passed = (
            ours.errors / ours.requests > 2 * theirs.errors / theirs.requests
            or any(np.quantile(ours.latencies_ms, q) > 1.2 * np.quantile(theirs.latencies_ms, q) for q in (0.5, 0.99))
            or ours.losses.mean() > theirs.losses.mean() + 0.02
        )
        bad = bad + 1 if passed else 0
        if bad == 2:
            return look
    return None


def merged(windows: list[Window], name: str) -> Arm:
    arms = [getattr(window, name) for window in windows]
    values = (np.concatenate([getattr(item, of) for item in arms]) for of in ("latencies_ms", "predictions", "losses"))
    return Arm(sum(item.requests for item in arms), sum(item.errors for item in arms), *values)


def peeked(windows: list[Window]) -> int | None:
    """The look at which a plain test of all requests so far found the new version worse."""
    seen = windows[BEFORE:]
    for look in range(1, len(seen)):
        ours, theirs = (merged(seen[: look + 1], name) for name in ("canary", "champion"))
        k1, n1, k2, n2 = ours.errors, ours.requests, theirs.errors, theirs.requests
        pooled = (k1 + k2) / (n1 + n2)
        z = (k1 / n1 - k2 / n2) / math.sqrt(max(pooled * (1 - pooled) * (1 / n1 + 1 / n2), 1e-12))
        found = (
            stats.norm.sf(z),
            stats.mannwhitneyu(
                ours.latencies_ms, theirs.latencies_ms, alternative="greater", method="asymptotic"
            ).pvalue,
            stats.ks_2samp(ours.predictions, theirs.predictions, method="asymp").pvalue,
            stats.ttest_ind(ours.losses, theirs.losses, equal_var=False, alternative="greater").pvalue,
        )
        if min(found) < ALPHA / METRICS:
            return look
    return None


def turnout(windows: list[Window]) -> tuple[int | None, bool]:
    """The look at which Turnout found the new version worse; whether it let it pass in the end."""
    judged = judge(windows, Settings(alpha=ALPHA))
    at = [item.known_after for item in judged.findings if item.verdict == "worse" and item.known_after is not None]
    return (math.ceil(min(at) / BATCH) - 1 if at else None), judged.passed


def one(task: tuple[int, str, bool]) -> tuple[int | None, int | None, int | None, bool, float]:
    seed, case, plain = task
    windows = release(seed, case)
    started = time.perf_counter()
    ours, passed = turnout(windows)
    seconds = time.perf_counter() - started
    return limits(windows), peeked(windows) if plain else None, ours, passed, seconds


def told(looks: list[int | None]) -> str:
    found = sorted(look for look in looks if look is not None)
    share = len(found) / len(looks)
    half = math.ceil(len(looks) / 2)
    requests = f"{(found[half - 1] + 1) * BATCH * SHARE:7,.0f}" if len(found) >= half else "      –"
    return f"{share:7.1%} {requests}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--releases", type=int, default=1000, help="null releases of each kind")
    parser.add_argument("--worse", type=int, default=200, help="releases of each real difference")
    options = parser.parse_args()
    print(
        f"{'':<22}{'releases':>9}   {'limits':>7} {'requests':>7}{'peeked':>9} {'requests':>7}{'turnout':>9} ", end=""
    )
    print(f"{'requests':>7}  no worse")
    seconds: list[float] = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for case in CASES:
            times = options.releases if case.startswith("alike") else options.worse
            plain = min(times, 200)  # the plain tests take long, and their rates are plain
            tasks = [(seed, case, seed < plain) for seed in range(times)]
            found = list(pool.map(one, tasks, chunksize=10))
            seconds += [item[4] for item in found]
            parts = [told([item[0] for item in found]), told([item[1] for item in found[:plain]]),
                     told([item[2] for item in found])]  # fmt: skip
            passed = sum(item[3] for item in found) / times
            print(f"{case:<22}{times:>9}   {'   '.join(parts)}   {passed:7.1%}", flush=True)
    print(f"a judgement of {LOOKS} looks takes {np.median(seconds) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
