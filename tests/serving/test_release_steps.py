"""The steps of a release on a target: what users saw decides, and each step can be done again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from turnout import Dataset
from turnout.components.deploy import deploy
from turnout.components.end_release import end_release
from turnout.components.judge_canary import judge_canary
from turnout.components.promote import promote
from turnout.components.roll_back import roll_back
from turnout.components.smoke_test import smoke_test
from turnout.errors import ComponentError
from turnout.models.compiled.judged import keep_rows
from turnout.models.promotion import champion
from turnout.models.registry import look_up
from turnout.reports.report import Report
from turnout.serving.release import Release, Served, rolled_back, with_version, without
from turnout.serving.rollout.observations import Arm, Window
from turnout.serving.rollout.shadow import differences
from turnout.serving.rollout.steps import go_back
from turnout.serving.state import State
from turnout.serving.targets import chosen
from turnout.serving.targets.registry import RegistryTarget
from turnout.serving.targets.target import Status

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MODEL = "flights"


class Simulated(RegistryTarget):
    """A target with the state of a real one, whose users are simulated: `batches` of 200 requests for each share."""

    name = "simulated"

    def __init__(self, directory: Path):
        self.state = State(directory)
        self.batches = 60
        self.errors = {"1": 0.01, "2": 0.01}
        self.seen: list[tuple[float, bool, str]] = []
        self.rng = np.random.default_rng(0)
        self.windows: list[Window] = []

    def deploy(self, model: str, version: str, percent: float = 100.0, shadow: bool = False, *, who: str = "",
               why: str = "") -> None:  # fmt: skip
        self.state.change(
            lambda before: with_version(before, version, percent, shadow) if before else Release(
                model, (Served(version, 100.0),)), why, who, "deploy",
        )  # fmt: skip
        self._traffic()

    def roll_back(self, model: str, *, who: str = "", why: str = "") -> str:
        history = [item for _, item in self.state.history()]
        made = self.state.change(lambda before: rolled_back(before, history), why, who, "rollback")  # type: ignore[arg-type]
        return made.stable.version

    def remove(self, model: str, version: str, *, who: str = "", why: str = "") -> None:
        self.state.change(lambda before: without(before, version), why, who, "remove")  # type: ignore[arg-type]

    def status(self, model: str) -> Status:
        release = self.state.require()
        return Status(model, release.versions, True)

    def observed(self, model: str, since: datetime.datetime, labels: Any = None) -> Sequence[Any]:
        return self.windows

    def _traffic(self) -> None:
        """What users see of the release as it is now."""
        release = self.state.require()
        tried = [item for item in release.versions if item.version != release.stable.version]
        shadow, version = bool(tried and tried[0].shadow), tried[0].version if tried else ""
        share = (0.5 if shadow else tried[0].percent / 100) if tried else 0.0
        for _ in range(self.batches):
            ours = 200 if shadow else int(self.rng.binomial(200, share))
            theirs = 200 if shadow else 200 - ours
            arms = [
                Arm(size, int(self.rng.binomial(size, self.errors[name])) if size else 0,
                    self.rng.lognormal(3, 0.5, size), np.where(self.rng.random(size) < 0.3, "late", "in time"))
                for size, name in ((theirs, release.stable.version), (ours, version or "1"))
            ]  # fmt: skip
            self.windows.append(Window(NOW, NOW, share, arms[0], arms[1], shadow, version))


@pytest.fixture
def target(tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """Version 1 is in service, and version 2 the challenger."""
    import mlflow

    client = mlflow.MlflowClient()
    client.create_registered_model(MODEL)
    for _ in range(2):
        client.create_model_version(MODEL, "/nowhere")
    client.set_registered_model_alias(MODEL, "champion", "1")
    client.set_registered_model_alias(MODEL, "challenger", "2")
    made = Simulated(tmp_path / "serving")
    made.deploy(MODEL, "1")
    monkeypatch.setitem(chosen.TARGETS, "simulated", lambda place: made)
    return made


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Any]:
    def judge(**options: Any) -> Any:
        outputs = {
            name: SimpleNamespace(path=str(tmp_path / name), metadata={}, log_metric=lambda key, value: None)
            for name in ("report", "findings", "differences", "metrics")
        }
        return judge_canary.python_func(
            registered_model=MODEL, version="2", target="simulated", wait_minutes=0, **outputs, **options
        )

    return judge


class Ending:
    """The exit handler, told what a track says of the steps."""

    def __init__(self, directory: Path):
        self.told, self.page, self._notices = (directory / name for name in ("told", "ended", "notices.json"))

    def __call__(self, state: str, error: str | None = None) -> Any:
        return end_release.python_func(
            registered_model=MODEL, alias="challenger", status=SimpleNamespace(state=state, error_message=error),
            target="simulated", channels=[f"file:{self.told}"], state=str(self._notices),
            report=SimpleNamespace(path=str(self.page), metadata={}),
        )  # fmt: skip


@pytest.fixture
def ending(tmp_path: Path) -> Ending:
    return Ending(tmp_path)


def give(percent: float, shadow: bool = False) -> None:
    deploy.python_func(registered_model=MODEL, version="2", target="simulated", percent=percent, shadow=shadow)


def served(target: Simulated) -> dict[str, float]:
    return {item.version: item.percent for item in target.state.require().versions}


def test_a_good_version_goes_step_by_step_to_all_requests(target, judged, tmp_path) -> None:
    give(100, shadow=True)
    assert judged().verdict in ("no worse", "better")
    for percent in (5, 25):
        target.batches = 400
        give(percent)
        found = judged(error_ratio=3.0)
        assert found.passed, found.summary
    assert served(target) == {"1": 75.0, "2": 25.0}
    for _ in range(2):  # cut off and done again
        done = promote.python_func(registered_model=MODEL, version="2", target="simulated")
        assert done.version == "2"
    assert served(target) == {"2": 100.0}
    assert champion(MODEL).version == "2"  # type: ignore[union-attr]
    report = Report.from_html((tmp_path / "report").read_text())
    assert report is not None
    assert report.verdict.startswith("Version 2: ")
    assert report.good is True
    assert json.loads((tmp_path / "findings").read_text())["findings"][0]["metric"] == "errors"


def test_each_step_is_judged_by_what_was_seen_in_it(target, judged) -> None:
    """All was well with the copies; that says nothing of the time after, in which there was no traffic yet."""
    give(100, shadow=True)
    assert judged().passed
    target.batches = 0
    give(5)
    found = judged()
    assert (found.verdict, found.passed, found.worse) == ("not yet known", False, False)
    assert found.summary == "there was no traffic that could be compared"


def test_a_worse_version_goes_back_and_the_run_fails(target, judged) -> None:
    target.errors["2"] = 0.1
    give(100, shadow=True)
    give(25)
    found = judged()
    assert (found.worse, found.passed, found.severity) == (True, False, "critical")
    for _ in range(2):  # a rollback that is done again is no second one
        with pytest.raises(ComponentError, match="version 2 was taken out: errors"):
            roll_back.python_func(registered_model=MODEL, version="2", target="simulated", why=found.summary, fail=True)
        assert served(target) == {"1": 100.0}
    assert target.state.require().reason == found.summary


def test_all_requests_make_a_version_the_champion_and_a_rollback_the_one_before_also_where_no_alias_is_followed(
    target,
) -> None:
    """A cluster knows no registry: its champion would stay, and be what the next training is judged by."""
    give(5)
    assert champion(MODEL).version == "1"  # type: ignore[union-attr]
    give(100)
    assert champion(MODEL).version == "2"  # type: ignore[union-attr]
    go_back(target, MODEL, who="ada", why="wrong for ships")
    assert (served(target), champion(MODEL).version) == ({"1": 100.0}, "1")  # type: ignore[union-attr]
    give(5)
    go_back(target, MODEL)  # of a canary: the champion was never another
    assert champion(MODEL).version == "1"  # type: ignore[union-attr]


def take_out(version: str) -> None:
    roll_back.python_func(registered_model=MODEL, version=version, target="simulated", why="errors")


def test_a_rollback_takes_out_its_own_version_and_not_another_that_is_tried_out_meanwhile(target) -> None:
    """A training that ends during a release puts its version beside the one that is judged."""
    import mlflow

    mlflow.MlflowClient().create_model_version(MODEL, "/nowhere")
    target.batches = 0
    give(5)
    target.deploy(MODEL, "3", 5.0)
    for _ in range(2):
        take_out("2")
        assert served(target) == {"1": 95.0, "3": 5.0}
    target.deploy(MODEL, "3", 100.0, shadow=True)
    give(5)
    take_out("3")
    assert served(target) == {"1": 95.0, "2": 5.0}
    take_out("2")
    assert served(target) == {"1": 100.0}


@pytest.mark.parametrize("shadow", [True, False])
def test_the_version_in_service_can_be_taken_out_while_another_is_tried_out_beside_it(target, shadow: bool) -> None:
    """`rollback` alone would end what is tried out, and leave the version that was to go."""
    import mlflow

    mlflow.MlflowClient().create_model_version(MODEL, "/nowhere")
    target.batches = 0
    give(100)
    target.deploy(MODEL, "3", 5.0, shadow)
    take_out("2")
    assert (served(target), champion(MODEL).version) == ({"1": 100.0}, "1")  # type: ignore[union-attr]


def test_a_rollback_needs_no_version_that_the_registry_has_deleted(target) -> None:
    import mlflow

    target.batches = 0
    give(100)
    mlflow.MlflowClient().delete_model_version(MODEL, "1")
    take_out("2")
    assert (served(target), champion(MODEL).version) == ({"1": 100.0}, "2")  # type: ignore[union-attr]


def test_a_version_that_has_more_keeps_it_when_the_release_is_run_again(target) -> None:
    give(25)
    for percent, shadow in ((100, True), (5, False)):
        give(percent, shadow)
        assert served(target) == {"1": 75.0, "2": 25.0}


def test_where_no_copies_are_to_be_had_the_version_is_loaded_and_the_release_goes_on(target, judged, tmp_path) -> None:
    done = deploy.python_func(registered_model=MODEL, version="2", target="simulated", percent=0, shadow=True)
    assert (done.version, done.champion) == ("2", "")  # nobody who reads the registry is told of it
    assert served(target) == {"1": 100.0, "2": 0.0}
    found = judged()
    assert (found.verdict, found.passed, found.worse) == ("not judged", True, False)
    report = Report.from_html((tmp_path / "report").read_text())
    assert report is not None
    assert report.verdict == "version 2 is loaded, and gets no requests in this step"


def test_only_a_version_that_is_tried_out_is_judged(target, judged) -> None:
    with pytest.raises(ComponentError, match="version 2 is not tried out"):
        judged()


@pytest.mark.parametrize(
    ("percent", "state", "outcome", "left"),
    [
        (25, "FAILED", "rolled back", {"1": 100.0}),
        (100, "FAILED", "released", {"2": 100.0}),
        (25, "SUCCEEDED", "held", {"1": 75.0, "2": 25.0}),
        (100, "SUCCEEDED", "released", {"2": 100.0}),
        (0, "FAILED", "rolled back", {"1": 100.0}),
    ],
)
def test_people_are_told_how_a_release_ended(target, ending, percent, state, outcome, left) -> None:
    if percent:
        give(percent)
    for _ in range(2):
        assert ending(state, "the disk is full" if state == "FAILED" else "").outcome == outcome
    report = Report.from_html(ending.page.read_text())
    assert report is not None
    assert report.good is {"released": True, "rolled back": False, "held": None}[outcome]
    assert {row[0] for row in report.sections[0].rows} == {*left}
    assert served(target) == left
    text = ending.told.read_text()
    assert "flights version 2" in text
    assert ("the disk is full" in text) == (state == "FAILED")


@pytest.mark.parametrize("state", ["COMPLETE", "FAILED", "RUNNING"])
def test_a_version_that_was_released_stays_whatever_kfp_says_of_the_steps(target, ending, state) -> None:
    """A release that is run again, and whose golden rows are not there, is no reason to take out what is in service."""
    promote.python_func(registered_model=MODEL, version="2", target="simulated", wait_seconds=5)
    assert ending(state).outcome == "released"
    assert served(target) == {"2": 100.0}


@pytest.mark.parametrize(("run", "outcome"), [("run-1", "held"), ("run-2", "rolled back"), ("", "rolled back")])
def test_where_kfp_does_not_say_whether_a_step_failed_what_the_judge_noted_in_this_run_counts(
    target, judged, ending, monkeypatch, run, outcome
) -> None:
    target.batches = 0
    give(25)
    monkeypatch.setenv("TURNOUT_RUN_ID", "run-1")
    assert judged().verdict == "not yet known"
    monkeypatch.setenv("TURNOUT_RUN_ID", run)
    assert ending("RUNNING").outcome == outcome


def test_why_a_version_was_taken_out_is_told_where_kfp_does_not_tell_the_handler(target, ending, monkeypatch) -> None:
    give(25)
    monkeypatch.setenv("TURNOUT_RUN_ID", "run-1")
    roll_back.python_func(registered_model=MODEL, version="2", target="simulated", why="errors: worse")
    assert ending("RUNNING").outcome == "rolled back"
    assert "errors: worse" in ending.told.read_text()


def test_the_differences_of_a_shadow_are_found_row_by_row() -> None:
    ids = [f"r{number}" for number in range(1000)]
    numbers = np.linspace(0, 1, 1000)
    ours = numbers.copy()
    ours[[3, 500]] += [0.25, 0.5]
    champion_rows = pa.table({"request_id": ids, "prediction": numbers, "size": numbers})
    shadow_rows = pa.table({"request_id": [*ids[:900], "r3"], "prediction": [*ours[:900], ours[3]]})
    found = differences(champion_rows, shadow_rows)
    assert (found.pairs, found.different) == (900, 2)
    assert found.rows[0] == ("r500", numbers[500], ours[500], pytest.approx(0.5))
    assert found.low < 2 / 900 < found.high < 0.02
    assert found.table["size"].to_pylist() == [numbers[500], numbers[3]]
    classes = differences(
        pa.table({"request_id": ids[:4], "prediction": ["a", "b", "a", "b"]}),
        pa.table({"request_id": ids[:4], "prediction": ["a", "b", "b", "b"]}),
    )
    assert (classes.different, classes.rows[0][:3]) == (1, ("r2", "a", "b"))


def test_a_shadow_that_says_the_opposite_is_worse_although_the_totals_are_alike(target, judged) -> None:
    ids = [f"r{number}" for number in range(500)]
    labels = np.where(np.arange(500) % 2, "late", "in time")
    said = {"1": labels, "2": labels[::-1]}
    target.logged = lambda model, version, since: pa.table({"request_id": ids, "prediction": said[version]})
    give(100, shadow=True)
    found = judged()
    assert (found.verdict, found.worse) == ("worse", True)
    assert found.summary.startswith("100% of 500 requests get another class; 50% are allowed")
    said["2"] = np.where(np.arange(500) < 100, labels[::-1], labels)  # a fifth of them: a model may be another
    assert judged().verdict != "worse"


@pytest.fixture
def registered(tracking: str, tmp_path: Path) -> Callable[..., str]:
    """Registers a model of scikit-learn's as the next version; which one that is."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)

    def register(columns: Sequence[str], classes: tuple[str, str] = ("in time", "late")) -> str:
        table = pd.DataFrame(rng.normal(size=(200, len(columns))), columns=list(columns))
        labels = np.where(table.sum(axis=1) > 0, *classes)
        model = LogisticRegression().fit(table, labels)
        with mlflow.start_run():
            info = mlflow.sklearn.log_model(
                model, name="model", signature=infer_signature(table, model.predict(table)),
                registered_model_name=MODEL, serialization_format="cloudpickle", pip_requirements=[],
            )  # fmt: skip
        return str(info.registered_model_version)

    return register


def smoke(tmp_path: Path, version: str, **options: Any) -> Any:
    golden = Dataset(name="golden", uri=str(tmp_path / "golden.parquet"))
    rng = np.random.default_rng(1)
    pq.write_table(pa.table({name: rng.normal(size=50) for name in "abc"}), golden.path)
    measured: dict[str, float] = {}
    metrics = SimpleNamespace(log_metric=measured.__setitem__)
    return smoke_test.python_func(
        golden=golden, metrics=metrics, registered_model=MODEL, version=version, **options
    ), measured


def test_golden_requests_are_answered_as_the_model_was_registered(registered, tmp_path) -> None:
    version = registered("ab")
    done, measured = smoke(tmp_path, version, rows=20)
    assert done.requests == 20
    assert 0 < measured["p50_ms"] <= measured["p99_ms"]


def test_golden_rows_without_features_give_way_to_rows_of_the_evaluation(registered, tmp_path) -> None:
    import pandas as pd

    version = registered("abd")
    with pytest.raises(ComponentError, match="no column 'd'"):
        smoke(tmp_path, version)
    judged = pd.DataFrame(np.random.default_rng(2).normal(size=(30, 3)), columns=list("abd"))
    keep_rows(look_up(f"models:/{MODEL}/{version}").run_id, judged)
    done, _ = smoke(tmp_path, version, rows=20)
    assert done.requests == 20


def test_a_version_that_clients_could_not_use_fails_the_smoke_test(registered, tmp_path) -> None:
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(MODEL, "champion", registered("ab"))
    with pytest.raises(ComponentError, match=r"takes the column c \(double\), which the version in service does not"):
        smoke(tmp_path, registered("abc"))
    with pytest.raises(ComponentError, match=r"predicts the classes no, yes, the version in service in time, late"):
        smoke(tmp_path, registered("ab", ("no", "yes")))


def test_a_version_that_is_too_slow_fails_the_smoke_test(registered, tmp_path) -> None:
    with pytest.raises(ComponentError, match=r"p99 of 50 golden requests is [\d.]+ ms, and may be 0.0001 ms"):
        smoke(tmp_path, registered("ab"), latency_ms=0.0001)


def test_a_target_that_cannot_take_a_release_is_told_before_all_else(target, registered, tmp_path, monkeypatch) -> None:
    version = registered("ab")
    with pytest.raises(ComponentError, match="the target registry does not give a version a part of the traffic"):
        smoke(tmp_path, version, target="registry")
    with pytest.raises(ComponentError, match="nothing is served"):
        smoke(tmp_path, version, target=f"local:{tmp_path}/nowhere")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")  # as in each pod, on KFP and elsewhere
    with pytest.raises(ComponentError, match="nothing is served on this pod's disk") as told:
        smoke(tmp_path, version, target=f"local:{tmp_path}/nowhere")
    assert "kubernetes:FILE" in str(told.value)
