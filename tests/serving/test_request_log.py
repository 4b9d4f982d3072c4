"""The log of requests and predictions: what `monitor` reads, and what labels are joined to."""

from __future__ import annotations

import contextlib
import datetime
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import workers
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model
from workers import Running, as_json, worker

from turnout.components.evaluate import evaluate
from turnout.components.monitor import monitor
from turnout.components.register import register
from turnout.components.train import train
from turnout.data.parquet import open_table
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked
from turnout.serving.request_log import MOST_ROWS, MOST_VALUES, RequestLog

INPUTS = pa.schema([("a", pa.float64()), ("name", pa.string())])
OUTPUTS = {"prediction": pa.int64(), "probability": pa.float64()}
NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC).timestamp()


@contextlib.contextmanager
def log_at(directory: Path, **settings: Any) -> Iterator[RequestLog]:
    log = RequestLog(directory, "m-1", INPUTS, OUTPUTS, **settings)
    try:
        yield log
    finally:
        log.close()


def answer(rows: int = 1, fallback: str = "") -> Answer:
    return Answer({"prediction": [1] * rows, "probability": [0.75] * rows}, "1", fallback)


def found_in(directory: Path) -> pa.Table:
    return open_table(str(directory))[0].to_table().sort_by([("time", "ascending"), ("row", "ascending")])


def test_what_could_not_be_answered_is_kept_apart_from_the_requests(tmp_path: Path) -> None:
    failures = tmp_path / "failures"
    with log_at(tmp_path / "requests", failures=failures) as log:
        log.fail("r1", NOON, "8", 500)
        log.add("r2", NOON, 1.5, Asked(values=[0.5, None]), answer())
    assert found_in(tmp_path / "requests")["request_id"].to_pylist() == ["r2"]
    (file,) = failures.glob("date=2026-01-31/*.parquet")
    assert pq.read_table(file).select(["request_id", "version", "code"]).to_pylist() == [
        {"request_id": "r1", "version": "8", "code": 500}
    ]


def test_requests_are_rows_in_a_directory_of_their_day(tmp_path: Path) -> None:
    with log_at(tmp_path) as log:
        log.add("r1", NOON, 1.5, Asked(values=[0.5, None]), answer())
        batch = pa.RecordBatch.from_pydict({"a": [1.0, None], "name": ["x", "y"]}, schema=INPUTS)
        log.add("r2", NOON + 86_400, 2.5, Asked(batch=batch), answer(2, "constant"))
    assert {path.parent.name for path in tmp_path.rglob("*.parquet")} == {"date=2026-01-31", "date=2026-02-01"}
    rows = found_in(tmp_path).to_pylist()
    assert rows[0] == {
        "request_id": "r1", "row": 0, "time": datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC), "version": "1",
        "latency_ms": 1.5, "fallback": None, "prediction": 1, "probability": 0.75, "a": 0.5, "name": None,
        "date": "2026-01-31",
    }  # fmt: skip
    assert [(row["request_id"], row["row"], row["a"], row["fallback"]) for row in rows[1:]] == [
        ("r2", 0, 1.0, "constant"),
        ("r2", 1, None, "constant"),
    ]


def test_masked_columns_are_not_kept(tmp_path: Path) -> None:
    with log_at(tmp_path, masked=["name"]) as log:
        log.add("r", NOON, 1, Asked(values=[0.5, "secret"]), answer())
    assert "name" not in found_in(tmp_path).column_names
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.rglob("*.parquet"))


def test_the_same_requests_are_in_every_version_s_sample(tmp_path: Path) -> None:
    for version in ("1", "2"):
        with log_at(tmp_path / version, sample=0.2) as log:
            for index in range(1000):
                log.add(f"id-{index}", NOON, 1, Asked(values=[0.5, "x"]), answer())
    one, two = (sorted(found_in(tmp_path / version)["request_id"].to_pylist()) for version in ("1", "2"))
    assert one == two
    assert 140 < len(one) < 260


def test_a_model_with_a_column_of_the_log_s_name_keeps_both(tmp_path: Path) -> None:
    log = RequestLog(tmp_path, "m", pa.schema([("time", pa.float64())]), OUTPUTS)
    log.add("r", NOON, 1, Asked(values=[7.0]), answer())
    log.close()
    row = found_in_any(tmp_path)
    assert (row["time"], row["served_request_id"], row["served_prediction"]) == (7.0, "r", 1)


def found_in_any(directory: Path) -> dict[str, Any]:
    (row,) = open_table(str(directory))[0].to_table().to_pylist()
    return dict(row)


def test_memory_is_bounded_while_nothing_can_be_written(tmp_path: Path) -> None:
    counted: dict[str, int] = {}

    def count(outcome: str, rows: int) -> None:
        counted[outcome] = counted.get(outcome, 0) + rows

    (tmp_path / "requests").write_text("a file, where a directory should be")
    with log_at(tmp_path / "requests", count=count, flush_s=0.05) as log:
        block = pa.RecordBatch.from_pydict({"a": [0.5] * 10_000, "name": ["x"] * 10_000}, schema=INPUTS)
        for _ in range(15):
            log.add("r", NOON, 1, Asked(batch=block), answer(10_000))
        assert log.waiting == MOST_ROWS
        assert counted["dropped"] == 50_000
        assert until(lambda: counted.get("errors", 0) > 0)
        (tmp_path / "requests").unlink()  # now it can
        assert until(lambda: not log.waiting)
    assert counted["kept"] == MOST_ROWS
    assert len(found_in(tmp_path / "requests")) == MOST_ROWS


def test_a_wide_model_s_rows_are_bounded_by_their_values(tmp_path: Path) -> None:
    wide = pa.schema([(f"c{index}", pa.float64()) for index in range(2000)])
    batch = pa.RecordBatch.from_arrays([pa.array(np.zeros(500))] * 2000, schema=wide)
    dropped: list[int] = []
    (tmp_path / "requests").write_text("a file, where a directory should be")
    log = RequestLog(tmp_path / "requests", "m", wide, OUTPUTS,
                     count=lambda outcome, rows: dropped.append(rows) if outcome == "dropped" else None)  # fmt: skip
    for _ in range(10):
        log.add("r", NOON, 1, Asked(batch=batch), answer(500))
    assert log.waiting * 2000 <= MOST_VALUES
    assert sum(dropped) == 5000 - log.waiting
    log.close()


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    """A reader reads all the time while a log is written, and its rows only grow."""
    seen: list[int] = []
    with log_at(tmp_path, flush_s=0.01) as log:
        for index in range(60):
            log.add(f"r{index}", NOON, 1, Asked(values=[0.5, "x" * 1000]), answer())
            time.sleep(0.005)
            if list(tmp_path.glob("date=*/*.parquet")):
                seen.append(ds.dataset(tmp_path, partitioning="hive").count_rows())
                for file in tmp_path.glob("date=*/*.parquet"):
                    pq.read_table(file)
    assert seen == sorted(seen)
    assert len(found_in(tmp_path)) == 60
    assert not list(tmp_path.rglob(".*.part"))


# --- of a worker ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workers.mixed_model(tmp_path_factory.mktemp("model") / "files")


def test_each_answered_request_is_kept_once_when_the_worker_ends(model: Path, tmp_path: Path) -> None:
    rows = as_json(workers.mixed_rows()[:30])
    with worker(tmp_path, model, log_directory=str(tmp_path / "requests"), masked_columns=("kind",)) as running:
        said = [running.post("/predict", row, {"x-request-id": f"r{index}"}).json for index, row in enumerate(rows)]
        assert running.post("/predict", {"number": "x"}).status == 422  # is no row
        running.terminate()
        running.ended()
    found = {row["request_id"]: row for row in found_in(tmp_path / "requests").to_pylist()}
    assert len(found) == 30
    for index, answered in enumerate(said):
        kept = found[f"r{index}"]
        assert (kept["prediction"], kept["probability"]) == (answered["prediction"], answered["probability"])
        assert kept["number"] == rows[index]["number"]
        assert kept["latency_ms"] > 0
        assert (kept["version"], "kind" in kept) == ("3", False)


def test_a_full_disk_fails_no_request_and_is_counted(model: Path, tmp_path: Path) -> None:
    row = as_json(workers.mixed_rows())[0]
    with worker(tmp_path, model, log_directory=str(tmp_path / "requests"), log_flush_s=0.05) as running:
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))  # files end there
        for _ in range(10):
            assert running.post("/predict", row).status == 200
            time.sleep(0.02)
        assert until(lambda: running.metrics()["turnout_serving_log_errors_total"] > 0)
        assert running.metrics()["turnout_serving_log_waiting_rows"] == 10
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert until(lambda: running.metrics()["turnout_serving_log_waiting_rows"] == 0)
        assert running.metrics()['turnout_serving_log_rows_total{outcome="kept"}'] == 10
        assert len(found_in(tmp_path / "requests")) == 10


def until(true: Callable[[], bool], timeout: float = 20) -> bool:
    ends = time.monotonic() + timeout
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_a_mask_of_an_unknown_column_is_refused(model: Path, tmp_path: Path) -> None:
    with worker(tmp_path, model, wait=False, log_directory=str(tmp_path), masked_columns=("knd",)) as running:
        status, said = running.ended()
    assert status == 3
    assert "no such columns to mask: knd" in said
    assert "available here: number, count, kind" in said


# --- what it is for ------------------------------------------------------------------------------------------


@pytest.fixture
def champion(artifact: Any, tracking: str, table: pd.DataFrame, tmp_path: Path) -> Path:
    """A registered model with its reference, and its files."""
    from turnout.models.files import download
    from turnout.models.registry import look_up

    model, metrics = artifact(Model, "model"), artifact(Metrics, "metrics")
    train.python_func(
        data=artifact(Dataset, "train", table[:400]), model=model, metrics=metrics, target="target", ignore=["when"],
        estimator="sklearn.linear_model.LogisticRegression", timestamp="when",
    )  # fmt: skip
    evaluate.python_func(
        model=model, data=artifact(Dataset, "test", table[400:]), metrics=metrics, registered_model="m",
        classification=artifact(ClassificationMetrics, "classification"), report=artifact(HTML, "report"),
    )  # fmt: skip
    register.python_func(model=model, registered_model="m")
    return download(look_up("models:/m/1"), str(tmp_path))


@pytest.mark.slow
def test_monitor_finds_drift_in_what_was_asked_and_labels_are_joined_later(
    champion: Path, artifact: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    known = table[["number", "kind"]]
    moved = known.assign(number=known.number + 3)
    requests = tmp_path / "requests"
    today = datetime.datetime.now(datetime.UTC).date()

    def serve(rows: pd.DataFrame) -> None:
        for file in requests.rglob("*.parquet"):
            file.unlink()
        with worker(tmp_path / "w", champion, log_directory=str(requests)) as running:
            listed = as_json(rows)
            for start in range(0, len(listed), 100):
                ask(running, listed[start : start + 50], start)
                ask(running, listed[start + 50 : start + 100], start + 50)
            running.terminate()
            running.ended()

    def ask(running: Running, rows: list[dict[str, Any]], start: int) -> None:
        answered = running.post("/predict", {"rows": rows}, {"x-request-id": f"from-{start}"})
        assert answered.status == 200

    def watch(data: Dataset, **settings: Any) -> tuple[Any, list[dict[str, Any]]]:
        found = artifact(Artifact, "findings")
        outcome = monitor.python_func(
            data, artifact(HTML, "watched"), found, artifact(Metrics, "watched-metrics"), model="models:/m/1",
            predictions=str(requests), since=str(today), until=str(today + datetime.timedelta(days=2)),
            timestamp="time", **settings,
        )  # fmt: skip
        return outcome, json.loads(Path(found.path).read_text())["findings"]

    data = artifact(Dataset, "requests")
    data.uri = str(requests)
    serve(known)
    same, _ = watch(data, ignore=["target"])
    assert (same.drifted, same.broken, same.reasons) == (False, False, [])
    serve(moved)
    other, findings = watch(data, ignore=["target"])
    assert other.drifted
    apart = {item["column"] for item in findings if item["check"] == "distribution" and item["counts"]}
    assert apart >= {"number", "probability"}

    # Weeks later the labels come, by the ids that the clients were given.
    labels = pa.table(
        {
            "request_id": [f"from-{index - index % 50}" for index in range(len(table))],
            "row": pa.array([index % 50 for index in range(len(table))], pa.int32()),
            "target": table.target.to_numpy(),
        }
    )
    serve(known)
    asked = open_table(str(requests))[0].to_table()
    joined = asked.join(labels, ["request_id", "row"], join_type="inner")
    assert joined.num_rows == len(table)
    right = pc.mean(pc.equal(joined["prediction"], joined["target"]).cast(pa.int8())).as_py()
    assert right > 0.7
    pq.write_table(joined, tmp_path / "joined.parquet")
    labelled = artifact(Dataset, "joined")
    labelled.uri = str(tmp_path / "joined.parquet")
    good, findings = watch(labelled, metric="roc_auc", target="target", least_loss=0.1)
    assert not good.alert, good.reasons
    assert any(item["check"] == "performance" for item in findings)


def test_a_worker_that_is_killed_leaves_only_whole_files(model: Path, tmp_path: Path) -> None:
    row = as_json(workers.mixed_rows())[0]
    with worker(tmp_path, model, log_directory=str(tmp_path / "requests"), log_flush_s=0.01) as running:
        threads = [
            threading.Thread(target=lambda: [running.post("/predict", row) for _ in range(40)]) for _ in range(2)
        ]
        with contextlib.suppress(OSError):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        running.process.kill()
        running.process.join()
    found = found_in(tmp_path / "requests")
    assert 0 < len(found) <= 80
    assert len(set(found["request_id"].to_pylist())) == len(found)
    assert np.isfinite(found["latency_ms"].to_numpy()).all()
