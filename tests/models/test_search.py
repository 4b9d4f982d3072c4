"""Folds over time, spaces as JSON, and what a search tries."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from turnout import ComponentError
from turnout.models.folds import check_classes, keyed_folds, time_folds
from turnout.models.search_space import read_space
from turnout.models.tuning import best_of, search
from turnout.trackers.study import Study


def test_folds_over_time_learn_from_the_past_less_the_gap_and_part_no_moment() -> None:
    rng = np.random.default_rng(0)
    # Moments of very different numbers of rows, in no order.
    hours = np.repeat(np.arange(200), rng.integers(1, 30, 200))
    hours = np.concatenate([hours, np.full(700, 90)])
    times = pd.Series(pd.Timestamp("2024-03-30", tz="Europe/Berlin") + pd.to_timedelta(hours, unit="h"), name="when")
    times = times.sample(frac=1, random_state=0).reset_index(drop=True)
    folds = time_folds(times, 4, gap_hours=6)
    tested = [set(times[fold.test]) for fold in folds]
    for before, after in pairwise(tested):
        assert max(before) < min(after)
    for fold, moments in zip(folds, tested, strict=True):
        assert times[fold.train].max() < min(moments) - pd.Timedelta(hours=6)
        assert (times[fold.train].max() + pd.Timedelta(hours=1)) >= min(moments) - pd.Timedelta(hours=6)
    assert max(tested[-1]) == times.max()
    assert [len(fold.train) for fold in folds] == sorted(len(fold.train) for fold in folds)


@pytest.mark.parametrize(
    ("moments", "count", "gap", "message"),
    [(["2024-01-01"] * 50, 2, 0, "fold 1 of 2 has no rows to learn from"),
     (["2024-01-01"] * 10 + ["2024-01-02"] * 90, 3, 0, "no rows to judge by"),
     (list(pd.date_range("2024-01-01", periods=50)), 3, 24 * 20, "fold 1 of 3 has no rows to learn from"),
     ([None, "2024-01-02", "2024-01-03"], 2, 0, "not a time in every row")],
)  # fmt: skip
def test_a_table_with_too_few_moments_for_its_folds_is_told(moments, count, gap, message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        time_folds(pd.Series(pd.to_datetime(moments), name="when"), count, gap)


def test_folds_by_keys_judge_by_every_row_once_and_do_not_move_as_rows_come_and_go() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"key": rng.integers(0, 300, 1000), "value": rng.normal(size=1000)})
    folds = keyed_folds(table, ["key"], 5, seed=1)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(1000))
    assert all(set(fold.train) == set(range(1000)) - set(fold.test) for fold in folds)
    keys = [set(table["key"].iloc[fold.test]) for fold in folds]
    assert sum(map(len, keys)) == len(set().union(*keys))
    assert min(map(len, keys)) > 30
    fewer = keyed_folds(table.sample(frac=0.5, random_state=0), ["key"], 5, seed=1)
    half = table.sample(frac=0.5, random_state=0)
    assert all(set(half["key"].iloc[fold.test]) <= before for fold, before in zip(fewer, keys, strict=True))
    other = keyed_folds(table, ["key"], 5, seed=2)
    assert [fold.test.tolist() for fold in folds] != [fold.test.tolist() for fold in other]
    with pytest.raises(ComponentError, match="of 11 has no rows; there are 4"):
        keyed_folds(table.head(4), ["key"], 11, seed=0)


def test_a_fold_with_a_single_class_is_told() -> None:
    times = pd.Series(pd.date_range("2024-01-01", periods=40), name="when")
    labels = pd.Series([0, 1] * 10 + [1] * 20, name="late")
    with pytest.raises(ComponentError, match="fold 3 of 4 has a single class to judge by"):
        check_classes(time_folds(times, 4), labels)


BAD_SPACES = [
    ({"C": 1.0}, "not a range or choices: 1.0 @ space.C"),
    ({"C": {"type": "flaot", "low": 1, "high": 2}}, "did you mean float"),
    ({"C": {"low": 1, "high": 2}}, "no type"),
    ({"C": {"type": "float", "low": 1, "hihg": 2}}, "no 'hihg' in a float(?s:.*)did you mean high"),
    ({"C": {"type": "float", "low": 1, "high": 2, "steps": 1}}, "did you mean step"),
    ({"C": {"type": "float", "low": "1", "high": 2}}, 'low must be a number, not "1"'),
    ({"C": {"type": "int", "low": 1, "high": 2.5}}, "high must be a whole number"),
    ({"C": {"type": "int", "low": 5, "high": 2}}, "'low <= high' must hold"),
    ({"C": {"type": "float", "low": 0, "high": 2, "log": True}}, "must hold for 'log=True'"),
    ({"C": {"type": "float", "low": 1, "high": 2, "log": "yes"}}, "log must be true or false"),
    ({"C": {"type": "float", "low": 1}}, "no high"),
    ({"C": {"choices": []}}, "choices must be a list with something in it"),
]


@pytest.mark.parametrize(("given", "message"), BAD_SPACES)
def test_what_is_no_space_is_told_with_its_place(given: dict, message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        read_space(given)


def test_a_space_is_optunas_json_short_or_long_and_choices_may_be_lists() -> None:
    from optuna.distributions import IntDistribution, distribution_to_json

    long = json.loads(distribution_to_json(IntDistribution(1, 8, step=2)))
    space = read_space({"depth": long, "hidden": {"choices": [[64, 64], [128], None]}})
    assert space.size == 12
    points = [space.values(point) for point in space.grid()]
    assert {"depth": 7, "hidden": [64, 64]} in points
    assert len(points) == 12
    assert read_space({"rate": {"type": "float", "low": 0.1, "high": 0.3}}).size == float("inf")


def searched(name: str, space: dict, score: Any, **more: Any) -> list:
    def objective(values):
        yield score(values)
        yield score(values)

    study = Study("tuning", name, {"estimator": "e"}, {}, "")
    return search(read_space(space), objective, study, metric="r2", folds=2, **more)


def test_a_finite_space_is_searched_whole_and_nothing_twice(tracking) -> None:
    space = {"depth": {"type": "int", "low": 1, "high": 3}, "kind": {"choices": ["a", "b"]}}
    found = searched("", space, lambda values: values["depth"] + (values["kind"] == "b"), trials=50)
    tried = [tuple(item.hyperparameters.values()) for item in found]
    assert len(tried) == len(set(tried)) == 6
    assert best_of(found).hyperparameters == {"depth": 3, "kind": "b"}


SPACE = {"x": {"type": "float", "low": -5, "high": 5}}


def test_a_search_that_goes_on_tries_what_it_would_have_tried(tracking) -> None:
    def score(values):
        return -((values["x"] - 2) ** 2)

    whole = searched("whole", SPACE, score, trials=25, seed=3)
    for trials in (4, 13, 25):
        parts = searched("parts", SPACE, score, trials=trials, seed=3)
    assert [item.hyperparameters for item in parts] == [item.hyperparameters for item in whole]
    assert [item.number for item in parts] == list(range(25))
    assert best_of(whole).hyperparameters["x"] == pytest.approx(2, abs=0.3)
    other = searched("other", SPACE, score, trials=3, seed=4)
    assert [item.hyperparameters for item in other] != [item.hyperparameters for item in whole[:3]]


def test_a_trial_that_fails_is_passed_over_and_when_all_fail_the_reason_is_told(tracking) -> None:
    def picky(values):
        if values["x"] < 0:
            raise ValueError("x must not be negative")
        return values["x"]

    found = searched("", SPACE, picky, trials=8)
    failed = [item for item in found if item.state == "FAIL"]
    assert failed
    assert all(item.hyperparameters["x"] < 0 and "must not be negative" in item.error for item in failed)
    with pytest.raises(ComponentError, match="none of 5 trials succeeded: ZeroDivisionError"):
        searched("", SPACE, lambda values: 1 / 0, trials=50)
    with pytest.raises(ComponentError, match="the score of fold 1 is nan"):
        searched("", SPACE, lambda values: float("nan"), trials=2)


def test_no_trial_begins_after_the_time_also_of_earlier_attempts(tracking) -> None:
    import time

    def slow(values):
        time.sleep(0.05)
        return values["x"]

    first = searched("timed", SPACE, slow, trials=100, seconds=0.25)
    assert 1 <= len(first) <= 4
    assert searched("timed", SPACE, slow, trials=100, seconds=0.25) == first


def test_a_pruned_trial_is_never_the_best(tracking) -> None:
    def objective(values):
        yield 1.0 if values["x"] < 0 else 5.0
        yield 9.0

    study = Study("tuning", "", {"estimator": "e"}, {}, "")
    found = search(read_space(SPACE), objective, study, metric="r2", folds=2, trials=30, pruner="median")
    pruned = [item for item in found if item.state == "PRUNED"]
    assert pruned
    assert all(item.hyperparameters["x"] < 0 and item.folds == (1.0,) for item in pruned)
    assert best_of(found).score == 7.0
