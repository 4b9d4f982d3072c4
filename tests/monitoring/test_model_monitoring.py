"""Monitoring of models: what is said of one holds as often as promised, with labels and without."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model
from river import drift
from river.datasets import synth
from scipy import stats

from turnout import ComponentError
from turnout.components.evaluate import evaluate
from turnout.components.monitor import monitor
from turnout.components.register import register
from turnout.components.train import train
from turnout.models.scoring import Predictions
from turnout.monitoring.checks.calibration import calibration_drift, reliability
from turnout.monitoring.checks.concept import BINARY, changes, concept_drift, detections
from turnout.monitoring.checks.fairness import group_differences
from turnout.monitoring.checks.joint import told_apart
from turnout.monitoring.checks.performance import estimate, held_against, measure
from turnout.monitoring.findings import Finding

DETECTORS = ["adwin", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"]


def rare(alarms: int, times: int, rate: float = 0.05) -> bool:
    """Whether so many alarms are no more than chance gives."""
    return bool(stats.binomtest(alarms, times, rate, alternative="greater").pvalue > 0.001)


# --- performance


@pytest.mark.parametrize(
    "metric", ["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "accuracy", "f1"]
)
def test_performance_is_estimated_without_labels(metric: str) -> None:
    rng = np.random.default_rng(0)
    chances = rng.beta(1, 3, 5_000)
    truth = (rng.random(5_000) < chances).astype(float)
    measured, estimated = measure(metric, truth, chances), estimate(metric, chances)
    assert abs(measured.value - estimated.value) < 4 * np.hypot(measured.error, estimated.error)
    again = [measure(metric, (rng.random(2_000) < chances[:2_000]).astype(float), chances[:2_000]) for _ in range(20)]
    # The bootstrap draws the rows too, not only their labels: its error is no smaller.
    assert np.mean([one.error for one in again]) > 0.8 * np.std([one.value for one in again])


@pytest.mark.slow
def test_a_worse_model_is_told_from_an_unlucky_one() -> None:
    rng, times = np.random.default_rng(0), 60

    def compare(rows: tuple[int, int], flipped: tuple[float, float]) -> Finding:
        known = None
        for count, share in zip(rows, flipped, strict=True):
            chances = rng.beta(1, 3, count)
            truth = rng.random(count) < chances
            truth = np.where(rng.random(count) < share, ~truth, truth).astype(int)
            before, known = known, measure("roc_auc", truth, chances, known)
        assert before
        assert known
        return held_against(before, known)

    false = sum(compare((2_000, 400), (0, 0)).p_value <= 0.05 for _ in range(times))
    assert rare(false, times), false
    found = compare((5_000, 2_000), (0, 0.3))
    assert found.p_value < 0.001
    assert found.distance > 0.05
    assert found.text.startswith("roc_auc went from 0.7")
    assert "measured; as good as before would be 0.7" in found.text
    assert compare((5_000, 2_000), (0.3, 0)).distance == 0  # better is no alarm


def test_the_estimate_is_that_of_nannyml() -> None:
    # NannyML 0.13.1's CBPE, fitted on the first sample with its labels, asked for the second without.
    theirs = {"roc_auc": 0.734668569, "accuracy": 0.684722864, "f1": 0.553660797, "average_precision": 0.638872380}
    rng = np.random.default_rng(7)
    for rows, a, b in ((20_000, 1, 3), (5_000, 2, 3)):
        chances = rng.beta(a, b, rows)
        rng.random(rows)  # the labels
    assert {name: estimate(name, chances).value for name in theirs} == pytest.approx(theirs, abs=1e-7)


@pytest.mark.slow
def test_a_model_that_is_worse_on_some_days_is_not_worse_each_day() -> None:
    rng, times = np.random.default_rng(2), 60

    def sample(days: int, flipped: float = 0.0, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
        noise = np.repeat(rng.beta(0.4, 1.2, days), rows) + flipped  # some days are hard to tell
        chances = rng.beta(1, 2, days * rows)
        truth = rng.random(days * rows) < chances
        return np.where(rng.random(days * rows) < noise, rng.random(days * rows) < 0.3, truth).astype(float), chances

    days = [np.arange(start, start + 400) for start in range(0, 60 * 400, 400)]
    truth, chances = sample(60)
    known, plain = measure("roc_auc", truth, chances, blocks=days), measure("roc_auc", truth, chances)
    curve = reliability(truth, chances, None, days)
    alarms = np.zeros(3)
    for _ in range(times):
        truth, chances = sample(1)
        now = measure("roc_auc", truth, chances, known)
        today = reliability(truth, chances, curve)
        found = [held_against(known, now), held_against(plain, now), calibration_drift(curve, today)]
        alarms += [item.p_value <= 0.05 for item in found]
    assert rare(int(alarms[0]), times), alarms
    assert rare(int(alarms[2]), times), alarms
    assert alarms[1] > 8
    assert held_against(known, measure("roc_auc", *sample(7, flipped=0.6), known), blocks=7).p_value < 0.01


def year(rng: np.random.Generator, days: np.ndarray, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The hours of some days: a target with a season, and what a model that knows it predicts."""
    known = 20 + 8 * np.sin(2 * np.pi * np.repeat(days, 24) / 364) + rng.normal(size=24 * len(days))
    return known + noise * rng.normal(size=len(known)), known


def test_a_month_is_not_held_against_the_variance_of_a_year() -> None:
    rng, times = np.random.default_rng(0), 40
    before = measure("r2", *year(rng, np.arange(364)))
    alarms = 0
    for _ in range(times):
        month = measure("r2", *year(rng, rng.integers(0, 364) + np.arange(28)), before)
        alarms += held_against(before, month).p_value <= 0.05
    assert rare(alarms, times), alarms
    summer = measure("r2", *year(rng, 91 + np.arange(-14, 14)), before)
    assert before.value > 0.96
    assert summer.alone < 0.75  # by which it would be worse
    assert summer.value == pytest.approx(before.value, abs=0.01)
    assert f"r2 of these rows alone is {summer.alone:.4f}" in held_against(before, summer).text
    worse = held_against(before, measure("r2", *year(rng, 91 + np.arange(-14, 14), noise=1.4), before))
    assert worse.p_value < 0.001
    assert worse.distance == pytest.approx((1.4**2 - 1) * (1 - before.value), rel=0.3)


@pytest.mark.parametrize("metric", ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"])
def test_errors_that_grow_with_the_amount_are_no_worse_model(metric: str) -> None:
    rng = np.random.default_rng(0)

    def sales(rows: int, level: float, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
        amount = level * rng.lognormal(0, 0.3, rows)
        return amount * (1 + noise * rng.normal(size=rows)), amount

    before = measure(metric, *(np.concatenate(part) for part in zip(sales(5_000, 10), sales(1_000, 20), strict=True)))
    high = held_against(before, measure(metric, *sales(1_000, 20), before))
    assert high.reference - high.current > 0.01
    assert high.p_value > 0.05
    assert "on such rows" in high.text
    assert held_against(before, measure(metric, *sales(1_000, 20, noise=0.15), before)).p_value < 0.01


def chances_of(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def by_odds(rng: np.random.Generator, rows: int, middle: float = -1.2, wide: float = 1.5) -> tuple[Any, Any]:
    chances = chances_of(rng.normal(middle, wide, rows))
    return (rng.random(rows) < chances).astype(int), chances


def by_share(rng: np.random.Generator, rows: int, share: float) -> tuple[Any, Any]:
    truth, chances = by_odds(rng, 10 * rows)
    wanted = int(share * rows)
    rows_of = np.concatenate([np.flatnonzero(truth)[:wanted], np.flatnonzero(truth == 0)[: rows - wanted]])
    return truth[rows_of], chances[rows_of]


OTHER_ROWS: dict[str, Callable[[np.random.Generator, int], tuple[Any, Any]]] = {
    "fewer are positive": lambda rng, rows: by_share(rng, rows, 0.15),
    "more are positive": lambda rng, rows: by_share(rng, rows, 0.45),
    "more alike": lambda rng, rows: by_odds(rng, rows, wide=0.8),
    "harder": lambda rng, rows: by_odds(rng, rows, middle=0.0),
}
PLAINLY_WORSE = {
    "fewer are positive": ("average_precision", "f1"),
    "more are positive": ("neg_brier_score", "neg_log_loss", "accuracy"),
    "more alike": ("roc_auc", "average_precision", "f1"),
    "harder": ("neg_brier_score", "neg_log_loss", "accuracy"),
}


@pytest.mark.parametrize("kind", OTHER_ROWS)
def test_other_rows_are_no_worse_classifier(kind: str) -> None:
    rng, times = np.random.default_rng(1), 20
    reference = by_odds(rng, 10_000)
    for metric in ("roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "accuracy", "f1"):
        before = measure(metric, *reference)
        found = [held_against(before, measure(metric, *OTHER_ROWS[kind](rng, 1_500), before)) for _ in range(times)]
        assert rare(sum(item.p_value <= 0.05 for item in found), times), metric
        if metric in PLAINLY_WORSE[kind]:
            assert np.mean([item.reference - item.current for item in found]) > 3 * before.error, metric
        truth, chances = OTHER_ROWS[kind](rng, 4_000)
        dealt = np.where(rng.random(4_000) < 0.4, rng.permutation(truth), truth)
        assert held_against(before, measure(metric, dealt, chances, before)).p_value < 0.01, metric


def test_a_model_of_several_classes_that_is_worse_is_told() -> None:
    rng = np.random.default_rng(0)

    def sample(rows: int, wide: float = 1.5, dealt: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        odds = np.exp(wide * rng.normal(size=(rows, 4)))
        chances = odds / odds.sum(axis=1, keepdims=True)
        truth = (chances.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
        return np.where(rng.random(rows) < dealt, rng.integers(0, 4, rows), truth), chances

    reference = sample(10_000)
    for metric in ("roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "accuracy", "f1"):
        before = measure(metric, *reference)
        alike = held_against(before, measure(metric, *sample(2_000, wide=0.8), before))
        assert alike.reference - alike.current > 0.03, metric
        assert alike.p_value > 0.01, metric
        worse = held_against(before, measure(metric, *sample(2_000, dealt=0.3), before))
        assert worse.p_value < 0.001, metric
        unlabelled = estimate(metric, sample(10_000)[1])
        assert unlabelled.value == pytest.approx(before.value, abs=4 * np.hypot(before.error, unlabelled.error)), metric


# --- calibration


def test_calibration_is_held_against_the_reference_and_not_against_the_truth() -> None:
    rng, times = np.random.default_rng(0), 200

    def sample(rows: int, tilt: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        chances = rng.beta(1, 3, rows)
        return (rng.random(rows) < np.clip(chances**2 + tilt, 0, 1)).astype(float), chances  # never calibrated

    alarms = 0
    for _ in range(times):
        before = reliability(*sample(2_000))
        alarms += calibration_drift(before, reliability(*sample(100), before)).p_value <= 0.05
    assert rare(alarms, times), alarms
    before = reliability(*sample(5_000))
    found = calibration_drift(before, reliability(*sample(1_000, tilt=0.1), before))
    assert found.p_value < 0.001
    assert found.distance == pytest.approx(0.1, abs=0.03)
    assert "are positive in" in found.text
    assert before.error == pytest.approx(abs(np.mean(rng.beta(1, 3, 100_000)) - 0.1), abs=0.02)  # 1/4 and 1/10


# --- concept drift


def test_adwin_detects_where_it_is_published_to() -> None:
    rng = np.random.default_rng(42)
    stream = rng.integers(0, 2, 2000)
    stream[1000:] = rng.integers(6, 12, 1000)
    assert [row + 1 for row in detections(stream, "adwin")] == [1024]
    assert changes(stream.astype(float), "adwin")[0].row == 1000


@pytest.mark.parametrize("kind", ["numbers", "right or wrong", "few values"])
def test_kswin_tells_what_rivers_tells(kind: str) -> None:
    rng = np.random.default_rng(3)
    stream = rng.normal(np.repeat([0.0, 1.0, 0.5], 300))
    stream = {"numbers": stream, "right or wrong": (stream > 0.5).astype(float), "few values": stream.round()}[kind]
    rivers, expected = drift.KSWIN(seed=0), []
    for index, value in enumerate(stream.tolist()):
        rivers.update(value)
        if rivers.drift_detected:
            expected.append(index)
    assert expected
    assert detections(stream, "kswin") == expected


@pytest.mark.slow
@pytest.mark.parametrize("detector", DETECTORS)
def test_more_errors_are_found_and_fewer_are_no_harm(detector: Any) -> None:
    rng = np.random.default_rng(0)

    def stream(before: float, after: float, rows: int = 1_000) -> np.ndarray:
        errors = np.concatenate([rng.random(rows) < before, rng.random(rows) < after]).astype(float)
        return errors if detector in BINARY else errors + rng.normal(0, 0.05, 2 * rows)

    found = concept_drift(stream(0.1, 0.5), detector)
    assert found.p_value <= 0.05
    assert found.distance == pytest.approx(0.4, abs=0.12)
    assert concept_drift(stream(0.5, 0.1), detector).distance < 0.1
    if detector not in BINARY:
        with pytest.raises(ComponentError, match=r"no detector 'none' @ concept\n  available here: adwin"):
            concept_drift(stream(0.5, 0.1), "none")  # type: ignore[arg-type]


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley", "eddm", "hddm_w"])
def test_a_calm_stream_alarms_no_more_than_promised(detector: Any) -> None:
    rng, times = np.random.default_rng(1), 60
    streams = [(rng.random(600) < 0.2).astype(float) for _ in range(times)]
    alarms = sum(concept_drift(errors, detector).p_value <= 0.05 for errors in streams)
    assert rare(alarms, times), alarms
    # Alone, EDDM alarms on nearly each.
    if detector == "eddm":
        assert sum(bool(detections(errors, detector)) for errors in streams) > times / 2


def test_the_drift_of_a_known_stream_is_found_where_it_is() -> None:
    from sklearn.linear_model import LogisticRegression

    stream = synth.ConceptDriftStream(
        stream=synth.SEA(variant=0, seed=1), drift_stream=synth.SEA(variant=2, seed=1), position=3000, width=50, seed=1
    )
    rows, labels = zip(*stream.take(5000), strict=True)
    inputs, truth = pd.DataFrame(rows), np.array(labels)
    model = LogisticRegression().fit(inputs[:2000], truth[:2000])
    errors = (model.predict(inputs[2000:]) != truth[2000:]).astype(float)
    found = concept_drift(errors, "adwin", lambda row: f"row {row + 2000}")
    assert found.p_value <= 0.05
    assert int(found.text.split("row ")[1].split(",")[0]) == pytest.approx(3000, abs=100)


# --- groups


def test_groups_are_alike_unless_they_are_not() -> None:
    said = functools.partial(Predictions, classes=("no", "yes"))
    rng, times = np.random.default_rng(0), 100
    alarms = [0, 0, 0]
    for _ in range(times):
        groups, chances = pd.Series(rng.choice(list("aabc"), 400), name="g"), rng.random(400)
        for index, found in enumerate(
            group_differences(groups, said(chances), (rng.random(400) < chances).astype(int))
        ):
            alarms[index] += found.p_value <= 0.05
    assert all(rare(count, times) for count in alarms), alarms
    groups = pd.Series(rng.choice(["men", "women"], 3_000), name="sex")
    chances = np.clip(rng.random(3_000) + np.where(groups == "men", 0.1, -0.1), 0, 1)
    every, positive, negative = group_differences(groups, said(chances), (rng.random(3_000) < 0.5).astype(int))
    assert every.p_value < 0.001
    assert every.distance == pytest.approx(0.2, abs=0.05)
    assert every.text.startswith("yes to 6")
    assert "of 'men'" in every.text
    assert [every.column, positive.column, negative.column] == ["sex", "sex | positive", "sex | negative"]
    assert negative.p_value < 0.001


# --- all columns together


@pytest.mark.slow
def test_columns_that_are_alike_one_by_one_are_told_apart_together() -> None:
    rng, times = np.random.default_rng(0), 60

    def table(rows: int, together: float) -> pd.DataFrame:
        x = rng.normal(size=(rows, 2)) @ np.linalg.cholesky([[1, together], [together, 1]]).T
        return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": rng.choice(["u", "v", None], rows)})

    found = [told_apart(table(500, 0.8), table(200, 0.8)) for _ in range(times)]
    assert rare(sum(item is not None and item.p_value <= 0.05 for item in found), times)
    other = told_apart(table(2_000, 0.8), table(1_000, -0.8))
    assert other is not None
    assert other.p_value < 1e-6
    assert other.distance > 0.3
    assert set(other.text.split(", by ")[1].split(", ")) == {"a", "b"}
    assert told_apart(table(2_000, 0.8), table(20, 0.8)) is None
    assert told_apart(table(100, 0.8), pd.DataFrame({"z": range(100)})) is None


# --- the component


def people(rows: int, seed: int, worse: float = 0.0) -> pd.DataFrame:
    """Rows of two groups, whose labels in the second half are dealt out at random for a share of the rows."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"x": rng.normal(size=rows), "y": rng.normal(size=rows), "sex": rng.choice(["f", "m"], rows)})
    chance = 1 / (1 + np.exp(-2 * table["x"] - (table["sex"] == "m")))
    table["label"] = np.where(rng.random(rows) < chance, "yes", "no")
    spoilt = (np.arange(rows) > rows / 2) & (rng.random(rows) < worse)
    table.loc[spoilt, "label"] = rng.choice(["yes", "no"], int(spoilt.sum()))
    table["when"] = pd.date_range("2024-01-01", periods=rows, freq="min", tz="UTC")
    return table


@pytest.fixture
def watched(tmp_path: Path, tracking: str) -> Callable[..., Any]:
    """Checks rows against a model that was trained, judged and registered by the catalogue."""

    def artifact(kind: Any, name: str) -> Any:
        return kind(name=name, uri=str(tmp_path / name))

    people(3_000, 0).to_parquet(tmp_path / "train", index=False)
    people(2_000, 1).to_parquet(tmp_path / "test", index=False)
    model = artifact(Model, "model")
    given = {"estimator": "sklearn.linear_model.LogisticRegression", "target": "label", "ignore": ["when"]}
    train.python_func(artifact(Dataset, "train"), model, artifact(Metrics, "m1"), **given)
    evaluate.python_func(
        model, artifact(Dataset, "test"), artifact(Metrics, "m2"), artifact(ClassificationMetrics, "c"),
        artifact(HTML, "h"), registered_model="people",
    )  # fmt: skip
    register.python_func(model=model, registered_model="people")

    def run(table: pd.DataFrame, **parameters: Any) -> Any:
        table.to_parquet(tmp_path / "data", index=False)
        return monitor.python_func(
            artifact(Dataset, "data"), artifact(HTML, "report"), artifact(Artifact, "findings"), artifact(Metrics, "m"),
            **{"model": "models:/people/1", "metric": "roc_auc", "target": "label", **parameters},
        )  # fmt: skip

    return run


def test_a_model_is_watched_in_all_ways(watched: Any, tmp_path: Path) -> None:
    given: dict[str, Any] = {"concept": "adwin", "timestamp": "when", "least_distance": 0.1, "least_loss": 0.03}
    same = watched(people(2_000, 2), **given, groups=[])
    assert (same.alert, same.reasons) == (False, [])
    told = (tmp_path / "report").read_text()
    for word in ("performance", "calibration", "errors over time", "all together"):
        assert word in told
    worse = watched(people(2_000, 3, worse=0.9), **given)
    assert (worse.train, worse.drifted, worse.broken) == (True, False, False)
    assert {reason.split()[0] for reason in worse.reasons} >= {"roc_auc", "probability:", "errors:"}
    assert "at 2024-01-0" in "".join(worse.reasons)
    unlabelled = watched(people(2_000, 4, worse=0.9).drop(columns="label"), **given)
    assert not unlabelled.alert
    unfair = watched(people(2_000, 5), **given, groups=["sex"])
    assert (unfair.alert, unfair.train) == (True, False)
    assert any("of 'm' and" in reason for reason in unfair.reasons)
    assert "the model is unfair" in unfair.title


def test_what_a_model_cannot_be_asked(watched: Any) -> None:
    table = people(100, 0)
    with pytest.raises(ComponentError, match="no column 'sexes' @ groups"):
        watched(table, groups=["sexes"])
    with pytest.raises(ComponentError, match="'when' has 400 values, more than 100"):
        watched(pd.concat([table, people(400, 1)]), groups=["when"])
    with pytest.raises(ComponentError, match="no column '' @ timestamp"):
        watched(table, concept="ddm")
    with pytest.raises(ComponentError, match="the model was not judged by 'f1'"):
        watched(table, metric="f1")
