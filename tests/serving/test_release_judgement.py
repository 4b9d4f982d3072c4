"""The verdict on a release: right when the version is worse, better or alike, and not given before it is known."""

from __future__ import annotations

import dataclasses
import datetime
import math

import numpy as np
import pyarrow as pa
import pytest

from turnout.serving.rollout.judgement import Judgement, Settings, judge
from turnout.serving.rollout.observations import Arm, Window, by_user, windows_of

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
BATCH = 400


@dataclasses.dataclass(frozen=True)
class Version:
    errors: float = 0.02
    slower: float = 1.0
    late: float = 0.3
    loss: float = 0.0


def arm(rng: np.random.Generator, requests: int, version: Version) -> Arm:
    classes = np.where(rng.random(requests) < version.late, "late", "in time")
    latencies = rng.lognormal(3, 0.5, requests) * version.slower
    losses = np.clip(rng.beta(2, 5, requests) + version.loss, 0, 1)
    return Arm(requests, int(rng.binomial(requests, version.errors)), latencies, classes, losses)


def windows(
    version: Version, looks: int = 60, share: float = 0.25, seed: int = 0, shadow: bool = False
) -> list[Window]:
    rng, found = np.random.default_rng(seed), []
    for look in range(looks + 5):
        part = share if look >= 5 else 0.0
        ours = int(rng.binomial(BATCH, part))
        found.append(
            Window(NOW, NOW, part, arm(rng, BATCH - ours, Version()), arm(rng, ours, version), shadow and part > 0)
        )
    return found


def verdicts(judgement: Judgement) -> dict[str, str]:
    return {item.metric: item.verdict for item in judgement.findings}


def test_a_version_that_is_alike_is_no_worse_by_any_metric() -> None:
    judged = judge(windows(Version()))
    assert judged.verdict == "no worse"
    assert judged.passed
    assert judged.more is None
    assert set(verdicts(judged).values()) == {"no worse"}


@pytest.mark.parametrize(
    ("version", "metric"),
    [
        (Version(errors=0.06), "errors"),
        (Version(slower=1.4), "p99"),
        (Version(slower=1.4), "p50"),
        (Version(late=0.5), "predictions"),
        (Version(loss=0.05), "loss"),
    ],
)
def test_a_version_that_is_worse_by_one_metric_is_worse(version: Version, metric: str) -> None:
    judged = judge(windows(version))
    assert judged.verdict == "worse"
    assert not judged.passed
    assert verdicts(judged)[metric] == "worse"
    assert any("worse" in reason for reason in judged.reasons)


def test_a_version_with_fewer_errors_is_better() -> None:
    judged = judge(windows(Version(errors=0.005)))
    assert judged.verdict == "better"
    assert verdicts(judged)["errors"] == "better"


def test_without_traffic_nothing_is_known_and_nothing_is_worse() -> None:
    for seen in ([], windows(Version(errors=1.0), share=0.0)):
        judged = judge(seen)
        assert judged.verdict == "not yet known"
        assert judged.more is None
        assert judged.reasons == ("there was no traffic that could be compared",)


def test_what_is_missing_of_a_needed_metric_is_said() -> None:
    seen = [dataclasses.replace(window, canary=dataclasses.replace(window.canary, predictions=np.empty(0)))
            for window in windows(Version())]  # fmt: skip
    judged = judge(seen)
    assert judged.verdict == "not yet known"
    assert "predictions: not yet known, nothing was seen of it" in judged.reasons
    assert judge(seen, Settings(needed=("errors",))).passed


def test_how_many_requests_more_are_needed_is_about_right() -> None:
    short = judge(windows(Version(), looks=4))
    assert short.verdict == "not yet known"
    assert short.more
    total = sum(short.requests) + short.more
    looks = next(looks for looks in range(5, 200, 5) if judge(windows(Version(), looks)).passed)
    assert 0.2 < total / (looks * BATCH) < 5


def test_a_verdict_stands_when_more_is_seen() -> None:
    seen = windows(Version(errors=0.06))
    first = next(look for look in range(1, len(seen)) if judge(seen[:look]).verdict == "worse")
    for look in (first + 1, first + 10, len(seen)):
        assert judge(seen[:look]).verdict == "worse"


def test_differences_that_do_not_matter_are_no_worse_in_the_end() -> None:
    judged = judge(windows(Version(errors=0.022, slower=1.05, late=0.32), looks=120))
    assert judged.verdict == "no worse"


def test_no_errors_at_all_are_no_worse_although_there_is_no_ratio() -> None:
    seen = [
        dataclasses.replace(w, **{n: dataclasses.replace(getattr(w, n), errors=0) for n in ("champion", "canary")})
        for w in windows(Version(), looks=80)
    ]
    assert verdicts(judge(seen))["errors"] == "no worse"
    few = judge(seen[:15])
    assert any(reason.startswith("errors: not yet known, there were none, about") for reason in few.reasons)
    assert verdicts(few)["errors"] == "not yet known"
    assert few.findings[0].more


def test_a_split_that_is_not_as_told_is_found_and_nothing_is_judged() -> None:
    wrong = [dataclasses.replace(window, share=0.35) if window.share else window for window in windows(Version())]
    judged = judge(wrong)
    assert judged.mismatch
    assert judged.verdict == "not yet known"
    assert "not split as it should be" in judged.reasons[0]
    assert not any(judge(windows(Version(), seed=seed)).mismatch for seed in range(5))


def test_a_shadow_is_judged_by_the_copies() -> None:
    rng = np.random.default_rng(0)
    pairs = [Window(NOW, NOW, 0.5, arm(rng, 200, Version()), arm(rng, 200, Version(errors=0.08)), True)
             for _ in range(40)]  # fmt: skip
    judged = judge(pairs)
    assert judged.verdict == "worse"
    assert verdicts(judged)["errors"] == "worse"
    assert not judged.mismatch


def test_the_confidence_sequence_holds_the_truth_and_narrows() -> None:
    judged = judge(windows(Version(errors=0.05, slower=1.3), looks=40), intervals=True)
    truth = {"errors": 2.5, "p50": 1.3, "p99": 1.3}
    for item in judged.findings:
        if item.metric in truth:
            assert item.low <= truth[item.metric] <= item.high
            assert all(low - 1e-9 <= truth[item.metric] <= high + 1e-9 for *_, low, high in item.course)
            assert item.course[-1][3] - item.course[-1][2] < item.course[3][3] - item.course[3][2]


def requests(rows: int, canary: float = 0.1) -> pa.Table:
    rng = np.random.default_rng(3)
    error = rng.random(rows) < 0.1
    return pa.table({
        "time": np.arange(rows, dtype=float),
        "canary": rng.random(rows) < canary,
        "share": np.where(np.arange(rows) < 450, 0.1, 0.25),
        "user": rng.integers(0, 100, rows).astype(str),
        "error": error,
        "latency_ms": pa.array(np.where(error, np.nan, 1.0), from_pandas=True),
        "prediction": pa.array(["a" if value else "b" for value in rng.random(rows) < 0.5]),
    })  # fmt: skip


def test_windows_are_cut_where_the_share_changes_and_stay_when_more_is_seen() -> None:
    table = requests(1500).slice(0, 1000)
    found, again = windows_of(table.take(np.random.default_rng(0).permutation(1000))), windows_of(requests(1500))
    assert {window.share for window in found} == {0.1, 0.25}
    assert [(w.since, w.champion.requests) for w in found[:-1]] == [
        (w.since, w.champion.requests) for w in again[: len(found) - 1]
    ]
    assert sum(w.champion.requests + w.canary.requests for w in found) == 1000
    errors = sum(w.champion.errors + w.canary.errors for w in found)
    answered = sum(len(w.champion.latencies_ms) + len(w.canary.latencies_ms) for w in found)
    assert errors == sum(table["error"].to_pylist())
    assert errors + answered == 1000
    assert len(windows_of(requests(300_000))) < 450


def test_where_the_version_of_a_user_is_kept_each_user_counts_once() -> None:
    table = requests(2000)
    once = by_user(table, "user")
    assert len(once) == len(set(table["user"].to_pylist()))
    assert math.isclose(once["time"][0].as_py(), 0.0)


@pytest.mark.parametrize("moved", [0.1, -0.1])
def test_predictions_that_are_all_the_same_and_move_either_way_are_found(moved: float) -> None:
    def numbers(size: int, value: float) -> Arm:
        return Arm(size, predictions=np.full(size, value))

    seen = [Window(NOW, NOW, 0.0, numbers(400, 0.5), numbers(0, 0.5))]
    seen += [Window(NOW, NOW, 0.25, numbers(300, 0.5), numbers(100, 0.5 + moved)) for _ in range(20)]
    assert verdicts(judge(seen))["predictions"] == "worse"
