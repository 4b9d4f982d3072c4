"""Sequential tests keep what they promise, however often one looks, and find what is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from turnout.serving.rollout import means, ratio
from turnout.serving.rollout.sample_ratio import log_bayes_factor

RUNS, LOOKS, BATCH = 1000, 60, 200


def errors(rate: float, times: float, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ours = rng.binomial(BATCH, share, (RUNS, LOOKS))
    hours = rate * (1 + 0.8 * np.sin(np.arange(LOOKS) / 5))  # the rate drifts, for both alike
    return rng.binomial(ours, np.minimum(1, times * hours)), rng.binomial(BATCH - ours, hours)


def alarms(found: np.ndarray, alpha: float = 0.05) -> float:
    return float((found.max(axis=-1) >= math.log(1 / alpha)).mean())


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("rate", [0.001, 0.05])
def test_equal_rates_are_called_different_no_more_often_than_promised(rate: float, share: float) -> None:
    ours, theirs = errors(rate, 1.0, share)
    for above in (True, False):
        assert alarms(ratio.evidence(ours, theirs, np.full(LOOKS, share), above=above)) <= 0.05


def test_a_rate_that_is_worse_by_what_matters_is_seldom_called_no_worse() -> None:
    ours, theirs = errors(0.01, 2.0, 0.25)
    assert alarms(ratio.evidence(ours, theirs, np.full(LOOKS, 0.25), math.log(2), above=False)) <= 0.05


def test_published_power_is_reached() -> None:
    """1 % of errors, a share of 10 %, 60 looks: three times as many are found surely, ten times in all releases."""
    for times, least in ((3.0, 0.95), (10.0, 1.0)):
        ours, theirs = errors(0.01, times, 0.1)
        assert alarms(ratio.evidence(ours, theirs, np.full(LOOKS, 0.1))) >= least


def test_the_ratio_is_within_its_confidence_sequence_at_all_looks() -> None:
    ours, theirs = errors(0.05, 1.5, 0.25)
    share = np.full(LOOKS, 0.25)
    missed = 0
    for one in range(25):
        low, high = ratio.interval(ours[one], theirs[one], share, 0.05)
        missed += bool((low > math.log(1.5)).any() or (high < math.log(1.5)).any())
        assert (np.diff(low) >= -1e-9).all()
        assert (np.diff(high) <= 1e-9).all()
    assert missed <= 3
    assert abs(ratio.estimates(ours, theirs, share)[:, -1].mean() - math.log(1.5)) < 0.03


def test_the_likelihood_is_the_binomial_one_and_shares_may_change() -> None:
    share = np.array([0.1, 0.0, 0.5])
    ours, theirs = np.array([3, 9, 4]), np.array([20, 9, 5])
    steps = np.exp(ratio.STEPS)
    expected = np.mean([
        math.prod(
            binom.pmf(c, c + f, r * p / (r * p + 1 - p)) / binom.pmf(c, c + f, p)
            for c, f, p in ((3, 20, 0.1), (4, 5, 0.5))
        ) for r in steps
    ])  # fmt: skip
    assert ratio.evidence(ours, theirs, share)[-1] == pytest.approx(math.log(expected))


def test_the_requests_that_are_needed_are_about_those_that_it_takes() -> None:
    share = np.full(LOOKS, 0.25)
    ours, theirs = errors(0.05, 2.0, 0.25)
    found = ratio.evidence(ours, theirs, share) >= math.log(20)
    events = np.cumsum(ours + theirs, axis=1)
    took = np.median([row[at.argmax()] for row, at in zip(events, found, strict=True) if at.any()])
    assert 0.4 < ratio.events_needed(math.log(2), 0.0, 0.25, 0.05) / took < 2.5


def losses(difference: float, share: float, looks: int, rng: np.random.Generator) -> means.Bets:
    ours = rng.binomial(BATCH, share, looks)
    return means.bets(
        [rng.beta(2, 5, size) + difference for size in ours],
        [rng.beta(2, 5, BATCH - size) for size in ours],
        np.full(looks, share),
    )


def test_equal_means_are_called_different_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(1)
    found = [losses(0.0, 0.25, 20, rng) for _ in range(200)]
    for above in (True, False):
        assert np.mean([alarms(item.evidence(0.0, above)[None]) for item in found]) <= 0.05


def test_a_difference_of_means_is_found_and_is_within_its_confidence_sequence() -> None:
    rng = np.random.default_rng(2)
    found = [losses(0.05, 0.25, 40, rng) for _ in range(20)]
    assert all(alarms(item.evidence(0.0)[None]) for item in found)
    assert not any(alarms(item.evidence(0.05)[None]) for item in found[:10])
    bounds = [item.interval(0.05) for item in found]
    assert sum(bool((low > 0.05).any() or (high < 0.05).any()) for low, high in bounds) <= 2
    assert all(low[-1] > 0.0 and high[-1] < 0.1 for low, high in bounds)


def test_a_bet_cannot_lose_more_than_there_is() -> None:
    """The worst that can come: all of the one version's values are 0 and all of the other's 1, with a small share."""
    worst = means.bets([np.zeros(5)] * 4, [np.ones(95)] * 4, np.full(4, 0.01))
    assert np.isfinite(worst.evidence(0.0)).all()
    assert np.isfinite(worst.evidence(-1.0, above=False)).all()


def test_the_test_of_the_split_is_a_ratio_of_multinomial_likelihoods() -> None:
    ours, theirs, share = 520, 480, 0.5
    expected = betabinom.logpmf(ours, ours + theirs, 50, 50) - binom.logpmf(ours, ours + theirs, share)
    assert log_bayes_factor(ours, theirs, share) == pytest.approx(expected)
