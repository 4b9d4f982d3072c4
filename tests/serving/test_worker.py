"""A worker: one process that answers requests for one version of a model."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import workers
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from workers import Running, as_json, expected, save, worker

from turnout.errors import ComponentError
from turnout.serving.settings import WorkerSettings


class Moody(ClassifierMixin, BaseEstimator):
    """Answers by what a row asks for: it fails, takes its time, or knows nothing."""

    classes_ = np.array([0, 1])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return (rows.seconds > 0.5).astype(int).to_numpy()

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        if "fail" in set(rows.mood):
            raise RuntimeError("no mood for this")
        time.sleep(float(rows.seconds.max()) if len(rows) else 0)
        chance = np.where(rows.mood == "none", np.nan, rows.seconds)
        return np.column_stack([1 - chance, chance])


MOODY = pd.DataFrame({"mood": ["good", "good"], "seconds": [0.0, 0.002]})


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return workers.mixed_rows()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workers.mixed_model(tmp_path_factory.mktemp("model") / "files")


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return save(Moody(), MOODY, tmp_path_factory.mktemp("moody") / "files")


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with worker(tmp_path_factory.mktemp("worker"), model) as running:
        yield running


@pytest.fixture(scope="module")
def slow(moody: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A model with a mind of its own, and a short time-out."""
    with worker(tmp_path_factory.mktemp("slow"), moody, time_out_s=1.0, inline_ms=0) as running:
        yield running


def test_one_row_has_the_prediction_of_batch_inference(served: Running, model: Path, rows: pd.DataFrame) -> None:
    for row, predicted in zip(as_json(rows)[:20], expected(model, rows), strict=False):
        answer = served.post("/predict", row)
        assert answer.status == 200
        found = answer.json
        assert found.pop("request_id") == answer.headers["x-request-id"]
        # BLAS adds in another order for one row.
        assert found.pop("probability") == pytest.approx(predicted.pop("probability"), abs=1e-12)
        assert found == {**predicted, "model": "digits", "version": "3"}
        assert answer.headers["x-turnout-version"] == "3"


def test_many_rows_have_the_predictions_of_batch_inference(served: Running, model: Path, rows: pd.DataFrame) -> None:
    answer = served.post("/predict", {"rows": as_json(rows)})
    assert answer.json["predictions"] == expected(model, rows)


def test_a_compiled_model_answers_without_its_pickle_and_as_batch_inference(
    model: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    files = workers.compiled_model(tmp_path / "files")
    assert not (files / "model.pkl").exists()
    with worker(tmp_path, files, inline_ms=1000.0) as running:
        many = running.post("/predict", {"rows": as_json(rows)}).json["predictions"]
        for index, (row, wanted) in enumerate(zip(as_json(rows), expected(model, rows), strict=True)):
            assert many[index]["prediction"] == wanted["prediction"]
            assert many[index]["probability"] == pytest.approx(wanted["probability"], abs=1e-6)
            if index < 20:
                one = running.post("/predict", row).json
                assert one["prediction"] == wanted["prediction"]
                assert one["probability"] == pytest.approx(wanted["probability"], abs=1e-6)
        found = running.metrics()
        assert (found["turnout_serving_compiled"], found["turnout_serving_inline"]) == (1, 1)
        assert 0 < found["turnout_serving_row_seconds"] < 1


def test_a_value_that_the_model_refuses_is_the_client_s_to_put_right(rows: pd.DataFrame, tmp_path: Path) -> None:
    """A model without an imputer takes no nulls, whatever its signature says."""
    from turnout.models.compiled.making import compile_model

    known = rows[["number"]].fillna(0.0)
    files = save(LogisticRegression().fit(known, known.number > 0), known, tmp_path / "files")
    compile_model(files, known, "the training", files / "compiled")
    with worker(
        tmp_path, files, inline_ms=1000.0, fallback_constant={"prediction": False, "probability": 0.0}
    ) as running:
        assert running.post("/predict", {"number": 1}).status == 200
        for body in ({"number": None}, {"rows": [{"number": 1}, {"number": None}]}):
            refused = running.post("/predict", body)
            assert (refused.status, refused.json["faults"][0]["where"]) == (422, "number")


def test_a_request_keeps_the_id_that_it_came_with(served: Running, rows: pd.DataFrame) -> None:
    answer = served.post("/predict", as_json(rows)[0], {"X-Request-Id": "from-envoy-1"})
    assert answer.headers["x-request-id"] == answer.json["request_id"] == "from-envoy-1"
    odd = served.post("/predict", as_json(rows)[0], {"X-Request-Id": "x" * 500})
    assert len(odd.headers["x-request-id"]) < 40


def test_all_that_is_wrong_with_a_row_is_said_at_once(served: Running) -> None:
    answer = served.post("/predict", {"numbr": 1, "count": 1.5, "kind": True})
    assert answer.status == 422
    faults = {fault["where"]: fault for fault in answer.json["faults"]}
    assert faults.keys() == {"number", "count", "kind"}
    assert "numbr" in faults["number"]["hint"]
    assert faults["count"]["what"] == "the model takes long, and not 1.5"
    assert faults["kind"]["what"] == "the model takes string, and this is the boolean True"


def test_faults_of_rows_name_the_row_and_are_bounded(served: Running, rows: pd.DataFrame) -> None:
    good = as_json(rows)[0]
    answer = served.post("/predict", {"rows": [good, {**good, "number": "x"}, 7, *[{}] * 500]})
    assert answer.status == 422
    wheres = [fault["where"] for fault in answer.json["faults"]]
    assert wheres[:2] == ["rows[1].number", "rows[2]"]
    assert len(wheres) == 21
    assert len(answer.body) < 10_000


def test_an_unknown_address_and_a_wrong_method_say_what_there_is(served: Running) -> None:
    unknown = served.ask("GET", "/predictions")
    assert unknown.status == 404
    assert "/predict" in unknown.json["faults"][0]["available"]
    wrong = served.ask("GET", "/predict")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


def test_a_worker_lives_before_it_is_ready(model: Path, tmp_path: Path) -> None:
    with worker(tmp_path, model, wait=False) as running:
        seen = set()
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with contextlib.suppress(OSError):
                live, ready = (running.ask("GET", f"/health/{name}").status for name in ("live", "ready"))
                seen.add((live, ready))
                if ready == 503:
                    seen.add(running.post("/predict", {}).status)
                else:
                    break
        assert {(200, 503), 503, (200, 200)} <= seen


def test_a_worker_that_is_told_to_end_while_it_loads_ends_at_once(model: Path, tmp_path: Path) -> None:
    with worker(tmp_path, model, wait=False) as running:
        ends = time.monotonic() + 60
        while not Path(running.settings.socket).exists() and time.monotonic() < ends:
            time.sleep(0.001)
        running.terminate()
        assert running.ended(20) == (0, "")


def test_a_model_that_cannot_be_loaded_ends_the_worker_and_says_why(tmp_path: Path) -> None:
    with worker(tmp_path, tmp_path / "nothing", wait=False) as running:
        status, said = running.ended()
    assert status == 3
    assert "the model cannot be served: " in said
    assert "Traceback" not in said


def test_the_command_serves_until_it_is_told_to_end(model: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    settings = WorkerSettings("m", "1", str(model), str(tmp_path / "worker.sock"))
    (tmp_path / "settings.json").write_text(settings.to_json())
    command = [sys.executable, "-m", "turnout.serving.worker", str(tmp_path / "settings.json")]
    with subprocess.Popen(command) as process:
        running = Running(settings, process.pid, tmp_path / "no-log")
        workers.ready(running)
        assert running.post("/predict", as_json(rows)[0]).status == 200
        process.terminate()
        assert process.wait(20) == 0


def test_settings_are_read_as_they_were_written_and_faults_are_named() -> None:
    settings = WorkerSettings("m", "1", "/d", "/s", fallback_constant={"prediction": 0}, masked_columns=("a",))
    assert WorkerSettings.from_json(settings.to_json()) == settings
    with pytest.raises(ComponentError, match="extra fields found \\(sockets\\)"):
        WorkerSettings.from_json('{"model": "m", "version": "1", "directory": "d", "socket": "s", "sockets": "s"}')


# --- a model that fails or is slow --------------------------------------------------------------------------


def test_a_model_that_fails_is_an_error_of_the_server(slow: Running) -> None:
    answer = slow.post("/predict", {"mood": "fail", "seconds": 0})
    assert answer.status == 500
    assert answer.json["error"] == "the model fails: RuntimeError: no mood for this"


def test_no_prediction_is_an_error_and_not_a_null(slow: Running) -> None:
    answer = slow.post("/predict", {"mood": "none", "seconds": 0})
    assert answer.status == 500
    assert "gives no prediction" in answer.json["error"]


def test_a_model_that_is_too_slow_is_a_time_out_and_others_are_answered_after_it(slow: Running) -> None:
    answer = slow.post("/predict", {"mood": "good", "seconds": 1.3})
    assert answer.status == 504
    time.sleep(0.4)
    assert slow.post("/predict", {"mood": "good", "seconds": 0.001}).status == 200


def test_a_row_that_fails_does_not_spoil_those_that_came_with_it(slow: Running) -> None:
    before = slow.metrics()
    holder = threading.Thread(target=slow.post, args=("/predict", {"mood": "good", "seconds": 0.3}))
    holder.start()
    time.sleep(0.1)
    moods = ["good", "fail", "good", "good", "none"]
    statuses: dict[int, int] = {}

    def ask(index: int) -> None:
        statuses[index] = slow.post("/predict", {"mood": moods[index], "seconds": 0.001}).status

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(moods))]
    for thread in threads:
        thread.start()
    for thread in [*threads, holder]:
        thread.join()
    assert [statuses[index] for index in range(len(moods))] == [200, 500, 200, 200, 500]
    after = slow.metrics()
    batches = (
        after['turnout_serving_batch_rows_bucket{le="2.0"}'] - before['turnout_serving_batch_rows_bucket{le="2.0"}']
    )
    assert after["turnout_serving_batch_rows_count"] - before["turnout_serving_batch_rows_count"] > batches


def test_an_older_version_answers_when_the_first_fails_and_says_so(moody: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"time_out_s": 0.5, "inline_ms": 0, "fallback_version": "2"}
    with worker(tmp_path, moody, fallback_directory=str(moody), fallback_constant={"prediction": 1, "probability": 0.9},
                **settings) as running:  # fmt: skip
        assert "fallback" not in running.post("/predict", {"mood": "good", "seconds": 0}).json
        slow = running.post("/predict", {"mood": "good", "seconds": 0.45})
        assert slow.status == 200
        failed = running.post("/predict", {"mood": "fail", "seconds": 0})
        assert failed.status == 200
        assert failed.json["fallback"] == {"by": "constant", "reason": "failed"}  # the older one fails too
        assert failed.headers["x-turnout-fallback"] == "constant; failed"
        assert (failed.json["prediction"], failed.json["probability"]) == (1, 0.9)
        many = running.post("/predict", {"rows": [{"mood": "fail", "seconds": 0}] * 3})
        assert many.json["predictions"] == [{"prediction": 1, "probability": 0.9}] * 3
        assert running.metrics()['turnout_serving_fallback_total{by="constant",reason="failed"}'] == 2


def test_a_fallback_that_takes_other_columns_is_refused(model: Path, moody: Path, tmp_path: Path) -> None:
    with worker(tmp_path, model, wait=False, fallback_version="2", fallback_directory=str(moody)) as running:
        status, said = running.ended()
    assert status == 3
    assert "takes other columns" in said


def test_requests_beyond_the_bound_are_told_to_come_later(moody: Path, tmp_path: Path) -> None:
    with worker(tmp_path, moody, queue_limit=3, inline_ms=0, batch_rows=1, time_out_s=10) as running:
        answers: list[workers.Answered] = []
        threads = [
            threading.Thread(target=lambda: answers.append(running.post("/predict", {"mood": "good", "seconds": 0.3})))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.15)
        assert running.ask("GET", "/health/ready").status == 200
        for thread in threads:
            thread.join()
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 3 + [429] * 5
    assert {answer.headers.get("retry-after") for answer in answers if answer.status == 429} == {"1"}


def test_a_model_that_hangs_gets_another_thread_and_at_last_the_worker_is_not_alive(
    moody: Path, tmp_path: Path
) -> None:
    with worker(tmp_path, moody, time_out_s=0.1, inline_ms=0) as running:
        statuses = []
        ends = time.monotonic() + 20
        while time.monotonic() < ends and running.ask("GET", "/health/live").status == 200:
            statuses.append(running.post("/predict", {"mood": "good", "seconds": 600}).status)
        assert set(statuses) == {504}
        assert running.ask("GET", "/health/live").status == 503


def test_predictions_are_kept_for_rows_that_come_again(moody: Path, tmp_path: Path) -> None:
    with worker(tmp_path, moody, cache_rows=2, inline_ms=1000) as running:
        first, second = (running.post("/predict", {"mood": "good", "seconds": 0.3}) for _ in range(2))
        assert first.json["probability"] == second.json["probability"] == pytest.approx(0.3)
        for seconds in (0.001, 0.002, 0.003):
            running.post("/predict", {"mood": "good", "seconds": seconds})
        found = running.metrics()
        assert found['turnout_serving_cache_total{result="hit"}'] == 1
        assert found['turnout_serving_cache_total{result="miss"}'] == 4
        assert found["turnout_serving_cached_rows"] == 2


# --- the end ------------------------------------------------------------------------------------------------


def test_a_worker_that_ends_answers_all_that_it_was_sent(moody: Path, tmp_path: Path) -> None:
    with worker(tmp_path, moody, inline_ms=0, time_out_s=10) as running:
        idle, busy = running.connect(), running.connect()
        assert idle.ask("POST", "/predict", {"mood": "good", "seconds": 0}).status == 200
        found: list[workers.Answered] = []
        thread = threading.Thread(
            target=lambda: found.append(busy.ask("POST", "/predict", {"mood": "good", "seconds": 0.6}))
        )
        thread.start()
        time.sleep(0.2)
        running.terminate()
        time.sleep(0.2)
        last = idle.ask("POST", "/predict", {"mood": "good", "seconds": 0})  # on a connection from before
        assert (last.status, last.headers["connection"]) == (200, "close")
        with pytest.raises(OSError), socket.socket(socket.AF_UNIX) as client:  # noqa: PT011 - no file, or nobody there
            client.connect(running.settings.socket)
        thread.join()
        assert (found[0].status, *running.ended()) == (200, 0, "")


def test_under_load_no_request_is_lost_when_a_worker_ends(model: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    """Clients reconnect when they are told to; each request that was sent is answered."""
    with worker(tmp_path, model, inline_ms=1000) as running:
        row, answered, broken = as_json(rows)[0], [0], []

        def client() -> None:
            while True:
                try:
                    connection = running.connect()
                    connection.connect()
                except OSError:
                    return
                while True:
                    try:
                        answer = connection.ask("POST", "/predict", row)
                    except OSError as error:
                        broken.append(error)
                        return
                    answered[0] += answer.status == 200
                    if answer.headers.get("connection") == "close":
                        break

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        running.terminate()
        for thread in threads:
            thread.join()
        assert (broken, *running.ended()) == ([], 0, "")
        assert answered[0] > 4


def test_a_socket_of_an_earlier_process_is_replaced_and_is_for_this_user_alone(served: Running, model: Path,
                                                                               tmp_path: Path) -> None:  # fmt: skip
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "worker.sock"))
    with worker(tmp_path, model) as running:
        assert running.ask("GET", "/health/ready").status == 200
        assert Path(running.settings.socket).stat().st_mode & 0o077 == 0
