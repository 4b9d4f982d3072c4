"""What runs have come to, read from their records: states, verdicts, metrics, tags, models, drift."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest
from judged_runs import Runs, runner

from turnout import verbs
from turnout.errors import StoreError
from turnout.execution.run_summaries import run_details, run_summaries, run_summary
from turnout.execution.store import ArtifactStore
from turnout.plan.model_history import model_histories
from turnout.spec.step_contract import State


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return runner(tmp_path, monkeypatch)


def test_a_run_is_told_in_a_few_facts(run: Runs) -> None:
    found = run("good", quality=0.8, settings={"depth": 5, "seed": 0}, tags={"baseline": "", "who": "ann"})
    assert (found.pipeline, found.run_id, found.track, found.state) == ("judged", "good", "local", State.SUCCEEDED)
    assert found.seconds is not None
    assert found.seconds > 0
    assert found.tag_texts == ["baseline", "who=ann"]
    assert found.changed == {"quality": 0.8, "settings": {"depth": 5, "seed": 0}}
    assert found.parameters["rows"] == 3
    assert found.verdict
    assert (found.verdict.step, found.verdict.text, found.verdict.good) == ("judge", "Promote", True)
    assert found.verdict.reasons == ("roc_auc 0.8000 is better than 0.5",)


def test_what_decided_is_the_first_metric_and_the_step_that_decided_comes_first(run: Runs) -> None:
    found = run("good", quality=0.8)
    assert [item.name for item in found.main_metrics] == ["roc_auc", "accuracy", "log_loss", "rows"]
    assert found.metric("rows").value == 10  # type: ignore[union-attr]
    assert found.metric("prepare.rows").value == 3  # type: ignore[union-attr]
    assert found.metric("nothing") is None


def test_a_run_that_failed_tells_where_and_why(run: Runs) -> None:
    found = run("bad", settings={"depth": -1})
    assert found.state is State.FAILED
    assert list(found.errors) == ["judge"]
    assert "a depth below 0" in found.errors["judge"]
    assert found.verdict is None


def test_the_versions_of_a_model_and_who_serves(run: Runs, tmp_path: Path) -> None:
    run("one", quality=0.7, version="1")
    run("two", quality=0.4, version="9")
    run("three", quality=0.8, version="2", previous="1")
    run("day", "watched", since="2026-11-20T00:00:00+00:00", distance=0.4)
    (toy,) = model_histories(run_summaries(ArtifactStore(str(tmp_path))))
    assert (toy.name, toy.serves) == ("toy", "2")
    assert toy.put_by
    assert toy.put_by.run_id == "three"
    assert [(item.version, item.made_by.run_id) for item in toy.versions if item.made_by] == [
        ("2", "three"),
        ("1", "one"),
    ]
    second, first = toy.versions
    assert (second.form, second.form_reason) == ("compiled int8", "compiled: int8, a loss of +0.0010")
    assert first.form == "model"
    assert first.served[0][1] == second.served[0][0]
    assert second.served[0][1] == ""
    ((_, check),) = toy.checks
    assert (check.drifted, check.distance, check.threshold, check.columns) == (True, 0.4, 0.1, 1)
    assert check.since.startswith("2026-11-20")


def test_a_run_of_airflow_without_a_record_is_found_by_its_steps(run: Runs, tmp_path: Path) -> None:
    run("good", quality=0.8)
    (tmp_path / "judged" / "good" / "run.json").unlink()
    (found,) = run_summaries(ArtifactStore(str(tmp_path)))
    assert (found.track, found.state) == ("airflow", None)  # nothing tells that no step is to come
    assert found.started
    assert found.verdict
    assert found.verdict.text == "Promote"
    assert found.metric("roc_auc").value == 0.8  # type: ignore[union-attr]


def test_a_run_of_another_track_is_not_resumed_here(run: Runs, tmp_path: Path) -> None:
    run("bad", settings={"depth": -1})
    place = tmp_path / "judged" / "bad" / "run.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"track": "airflow"}))
    with pytest.raises(StoreError, match="is a run of the track airflow"):
        verbs.resume("bad", root=tmp_path)


def test_links_and_large_files_are_no_records(run: Runs, tmp_path: Path) -> None:
    run("good", quality=0.8)
    (tmp_path / "judged" / "linked").mkdir()
    (tmp_path / "judged" / "linked" / "run.json").symlink_to(tmp_path / "judged" / "good" / "run.json")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "judged")
    assert [item.run_id for item in run_summaries(ArtifactStore(str(tmp_path)))] == ["good"]


def test_an_object_store_is_read_like_a_directory(run: Runs, tmp_path: Path) -> None:
    here = run("good", quality=0.8, tags={"baseline": ""})
    run("bad", settings={"depth": -1})
    store = ArtifactStore("memory://summaries")
    store.root.fs.put(f"{tmp_path}/", f"{store.root.path}/", recursive=True)
    (tmp_path / "judged" / "good" / "run.json").unlink()
    assert [item.run_id for item in run_summaries(store)] == ["good", "bad"]
    assert run_summaries(store, "judged")[0] == here
    assert run_summary(store, "judged", "good") == here
    assert {step.name for step in run_details(store, here).steps} >= {"prepare", "judge"}


def test_a_check_against_a_table_is_no_model(run: Runs) -> None:
    (check,) = run("day", "watched", since="2026-11-20", distance=0.4).drift
    subjects = ("data/rows.parquet", "flights", "a/b/3", "toy/7", "toy@champion", "")
    named = [dataclasses.replace(check, subject=subject) for subject in subjects]
    checked = dataclasses.replace(run("other", "watched", since="2026-11-20"), drift=tuple(named))
    (toy,) = model_histories([checked])
    assert (toy.name, [item.version for item in toy.versions], len(toy.checks)) == ("toy", ["7"], 2)


def test_a_thousand_runs_are_listed_in_about_a_second(run: Runs, tmp_path: Path) -> None:
    run("good", quality=0.8)
    record = json.loads((tmp_path / "judged" / "good" / "run.json").read_text())
    for index in range(999):
        place = tmp_path / "judged" / f"r{index}"
        place.mkdir()
        (place / "run.json").write_text(json.dumps(record | {"run_id": f"r{index}"}, indent=1))
    started = time.process_time()
    assert len(run_summaries(ArtifactStore(str(tmp_path)))) == 1000
    assert time.process_time() - started < 3  # 0.3 s where the machine has nothing else to do
