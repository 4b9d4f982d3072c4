"""One row for a fast model is answered as soon as it is read; however it comes, and with all that others have."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import workers
from workers import Running, as_json, worker

from turnout.serving.app import ATTEMPT, App
from turnout.serving.metrics import Metrics
from turnout.serving.model import ServedModel
from turnout.serving.predictor import Predictor
from turnout.serving.settings import WorkerSettings

ROW = json.dumps(as_json(workers.mixed_rows())[0]).encode()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workers.compiled_model(tmp_path_factory.mktemp("model") / "files")


@pytest.fixture(scope="module")
def running(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with worker(tmp_path_factory.mktemp("worker"), files, inline_ms=1000.0) as found:
        yield found


def request(body: bytes = ROW, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = b"POST /predict HTTP/%s\r\nhost: worker\r\nx-request-id: one\r\ncontent-length: %d\r\n%s\r\n"
    return head % (version, len(body), more) + body


def answers(running: Running, pieces: list[bytes], count: int = 1) -> list[tuple[bytes, dict[bytes, bytes], bytes]]:
    """Status line, headers and body of each answer to what is sent in pieces."""
    found = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(running.settings.socket)
        for piece in pieces:
            connection.sendall(piece)
            if len(pieces) > 1:
                running.ask("GET", "/health/live")  # what has been sent is read meanwhile
        with connection.makefile("rb") as file:
            for _ in range(count):
                status, headers = file.readline(), {}
                while (line := file.readline().strip()) and b":" in line:
                    name, _, value = line.partition(b": ")
                    headers[name] = value
                found.append((status, headers, file.read(int(headers[b"content-length"]))))
    return found


def test_a_row_has_the_same_answer_whole_in_pieces_and_behind_another(running: Running) -> None:
    before = running.metrics()["turnout_serving_rows_total"]
    (whole,) = answers(running, [request()])
    assert whole[0] == b"HTTP/1.1 200 OK\r\n"
    assert json.loads(whole[2])["request_id"] == "one"
    half = len(request()) - len(ROW) // 2
    assert answers(running, [request()[:half], request()[half:]]) == [whole]
    assert answers(running, [request()[: -len(ROW)], ROW]) == [whole]
    assert answers(running, [request() + request()], 2) == [whole, whole]
    behind = answers(running, [request(b'{"rows": [%s]}' % ROW) + request()], 2)
    assert json.loads(behind[0][2])["predictions"][0]["prediction"] == json.loads(whole[2])["prediction"]
    assert behind[1] == whole
    assert running.metrics()["turnout_serving_rows_total"] - before == 7


def test_who_asks_to_close_or_speaks_an_older_http_has_the_connection_closed(running: Running) -> None:
    ((_, headers, body),) = answers(running, [request(more=b"connection: close\r\n")])
    ((_, older, same),) = answers(running, [request(version=b"1.0")])
    assert headers[b"connection"] == older[b"connection"] == b"close"
    assert body == same


def test_what_is_wrong_or_more_than_a_row_is_left_to_the_way_that_tells_it(files: Path) -> None:
    settings = WorkerSettings("small", "1", str(files), "nowhere")
    app = App(settings, Metrics("small", "1"))
    assert not app.takes(b"/predict")
    app.serve(Predictor(ServedModel("1", str(files)), inline_ms=1000.0))
    assert app.takes(b"/predict")
    assert not app.takes(b"/metrics")
    answer = app.at_once(b"/predict", {b"x-request-id": b"two\r\nx-other: 1"}, ROW)
    assert answer is not None
    assert b"x-other" not in answer
    for body in (b"{", b'{"number": "x"}', b'{"rows": [%s]}' % ROW):
        assert app.at_once(b"/predict", {}, body) is None
    assert (
        app.metrics.registry.get_sample_value("turnout_serving_rows_total", {"model": "small", "version": "1"})
    ) == 1
    assert app.at_once(b"/predict", {ATTEMPT: b"2"}, ROW) is None
    app.draining = True
    assert not app.takes(b"/predict")
