"""What clients may send that they should not: each is an error, memory is bounded, and others are served."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import workers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workers import Running, as_json, worker

ROW = {"number": 1.0, "count": 1, "kind": "a"}
LIMITS: dict[str, Any] = {
    "body_limit": 1024**2,
    "bodies_limit": 8 * 1024**2,
    "header_limit": 16 * 1024,
    "read_time_out_s": 1.0,
    "rows_limit": 1000,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = workers.compiled_model(tmp_path_factory.mktemp("model") / "files")
    with worker(tmp_path_factory.mktemp("worker"), model, inline_ms=1000.0, **LIMITS) as running:
        for row in as_json(workers.mixed_rows())[:50]:
            running.post("/predict", row)
        yield running


@pytest.fixture(autouse=True)
def _others_are_served_in_little_memory(served: Running) -> Iterator[None]:
    before = served.resident()
    yield
    assert served.post("/predict", ROW).status == 200
    assert served.resident() < before + 64 * 1024**2
    assert served.metrics()["turnout_serving_held_bytes"] == 0


PATHS = ("/predict", "/invocations", "/v2/models/digits/infer")

BODIES: dict[str, tuple[bytes, set[int]]] = {
    "nothing": (b"", {400}),
    "no JSON": (b"{]", {400}),
    "no text": (b"\xff\xfe\x00", {400}),
    "NaN": (b'{"number": NaN, "count": 1, "kind": "a"}', {400}),
    "a number too large for JSON": (b'{"number": 1e999, "count": 1, "kind": "a"}', {400}),
    "deep lists": (b"[" * 100_000 + b"]" * 100_000, {400}),
    "deep objects": (b'{"rows":' * 900 + b"1" + b"}" * 900, {400, 422}),
    "a deep value": (b'{"number":' + b"[" * 900 + b"]" * 900 + b', "count": 1, "kind": "a"}', {400, 422}),
    "a list": (b"[1, 2, 3]", {400, 422}),
    "null": (b"null", {400, 422}),
    "a text": (b'"rows"', {400, 422}),
    "10,000 columns": (json.dumps({f"column_{index}": 1 for index in range(10_000)}).encode(), {400, 422}),
    "10,000 rows": (json.dumps({"rows": [ROW] * 10_000}).encode(), {400, 413}),
    "rows that are none": (json.dumps({"rows": list(range(900))}).encode(), {400, 422}),
    "a long name": (json.dumps({"x" * 500_000: 1}).encode(), {400, 422}),
    "a long text": (json.dumps({**ROW, "number": "x" * 500_000}).encode(), {400, 422}),
    "a lone surrogate": (b'{"number": 1, "count": 1, "kind": "\\ud800"}', {400}),
    "10 MB": (b"[" + b"1," * 5_000_000 + b"1]", {413}),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_makes_no_sense_is_an_error_that_says_so(served: Running, path: str, name: str) -> None:
    body, statuses = BODIES[name]
    started = time.monotonic()
    with contextlib.closing(served.connect()) as connection:
        try:
            answer = connection.ask("POST", path, body)
        except BrokenPipeError:  # it was refused before it was sent
            response = connection.response_class(connection.sock)
            response.begin()
            answer = workers.Answered(response.status, {}, response.read())
    assert answer.status in statuses
    assert answer.json["error"]
    assert all(fault["hint"] for fault in answer.json["faults"])
    assert len(answer.body) < 20_000
    assert time.monotonic() - started < 5


def test_a_chunked_body_without_end_is_refused_at_the_limit(served: Running) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert served.raw(head + chunk * 20).startswith(b"HTTP/1.1 413 ")


def test_many_bodies_at_once_are_bounded_together(served: Running) -> None:
    """Twenty clients of one megabyte each hold more than the eight that are allowed: some are sent away."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
    clients = [open_at(served, head + b" " * 990_000) for _ in range(20)]
    try:
        assert served.metrics()["turnout_serving_held_bytes"] < 9 * 1024**2
        assert served.post("/predict", ROW).status == 200
        answers = [receive(client) for client in clients]
    finally:
        for client in clients:
            client.close()
    assert {answer.split(b" ")[1] for answer in answers} == {b"503", b"408"}


def open_at(served: Running, data: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(served.settings.socket)
    threading.Thread(target=lambda: _send(client, data), daemon=True).start()
    return client


def _send(client: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        client.sendall(data)


def receive(client: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            found += piece
    return found


@pytest.mark.parametrize(
    "header",
    [
        b"x: " + b"y" * 100_000,
        b"\r\n".join(b"h%d: v" % index for index in range(10_000)),
        b"x" * 100_000 + b": y",
        b"cookie: " + b"a=b; " * 30_000,
    ],
)
def test_headers_that_are_too_long_are_refused(served: Running, header: bytes) -> None:
    answer = served.raw(b"POST /predict HTTP/1.1\r\nhost: x\r\n" + header + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_headers_without_end_are_refused(served: Running) -> None:
    assert served.raw(b"GET /" + b"a" * 300_000).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST /predict HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(served: Running, data: bytes) -> None:
    answer = served.raw(data)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_slow_clients_are_told_so_and_hold_up_nobody(served: Running) -> None:
    """Some stop within their headers, some within their body; each is closed after its time."""
    heads = [b"POST /predict HTTP/1.1\r\nhost: x\r\nx-", b"POST /predict HTTP/1.1\r\ncontent-length: 100\r\n\r\n{"]
    clients = [open_at(served, head) for head in heads * 20]
    started = time.monotonic()
    while time.monotonic() - started < 0.5:
        assert served.post("/predict", ROW).status == 200
    answers = [receive(client) for client in clients]
    for client in clients:
        client.close()
    assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
    assert time.monotonic() - started < 8


def test_clients_that_go_away_leave_nothing_behind(served: Running) -> None:
    before = len(list(Path(f"/proc/{served.pid}/fd").iterdir()))
    for index in range(60):
        client = open_at(served, b"POST /predict HTTP/1.1\r\ncontent-length: 100\r\n\r\n{" if index % 2 else b"POST /")
        client.close()
    ends = time.monotonic() + 10
    while len(list(Path(f"/proc/{served.pid}/fd").iterdir())) > before + 2 and time.monotonic() < ends:
        time.sleep(0.05)
    assert len(list(Path(f"/proc/{served.pid}/fd").iterdir())) <= before + 2


def test_a_compressed_body_is_refused_and_not_unpacked(served: Running) -> None:
    answer = served.post("/predict", b"\x1f\x8b\x08", {"content-encoding": "gzip"})
    assert answer.status == 415


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["number", "count", "kind", "", "x"]) | JSON,
        "shape": st.lists(st.integers(-2, 4) | st.just(2**40), max_size=3) | JSON,
        "datatype": st.sampled_from(["FP64", "FP32", "FP16", "INT64", "UINT8", "BOOL", "BYTES", "FP128"]) | JSON,
        "data": st.lists(JSON, max_size=4) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | JSON}) | JSON,
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, max_size=4) | JSON},
    optional={"id": JSON, "outputs": st.lists(st.fixed_dictionaries({"name": JSON}), max_size=2) | JSON,
              "parameters": JSON},
)  # fmt: skip


@given(REQUEST, st.binary(max_size=24), st.integers(-3, 60) | st.none())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_message_of_the_inference_protocol_is_answered_or_refused(
    served: Running, request_: dict[str, Any], tail: bytes, off: int | None
) -> None:
    header = json.dumps(request_).encode()
    headers = {} if off is None else {"Inference-Header-Content-Length": str(max(0, len(header) + min(off, 0)))}
    answer = served.post(PATHS[2], header + (tail if headers else b""), headers)
    assert answer.status in (200, 400, 413, 422), answer.body
    if answer.status != 200:
        assert answer.json["error"]


@given(st.sampled_from(PATHS), JSON)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_answered_or_refused(served: Running, path: str, body: Any) -> None:
    answer = served.post(path, json.dumps(body))
    assert answer.status in (400, 413, 422)


def test_bytes_at_random_are_refused(served: Running) -> None:
    numbers = random.Random(0)
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    for _ in range(30):
        data = numbers.randbytes(numbers.randrange(1, 200))
        assert served.raw(head % len(data) + data).startswith(b"HTTP/1.1 4")


def test_a_name_with_line_breaks_changes_no_headers(served: Running) -> None:
    answer = served.raw(b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: a\tb\r\n"
                        b"content-length: 2\r\n\r\n{}")  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b"x-request-id: a\tb" not in answer


def test_pipelined_requests_are_answered_in_order(served: Running) -> None:
    body = json.dumps(ROW).encode()
    one = b"POST /predict HTTP/1.1\r\nhost: x\r\nx-request-id: %d\r\ncontent-length: %d\r\n%s\r\n%s"
    data = b"".join(
        one % (index, len(body), b"connection: close\r\n" if index == 49 else b"", body) for index in range(50)
    )
    answer = served.raw(data)
    ids = [line.split(b": ")[1] for line in answer.split(b"\r\n") if line.startswith(b"x-request-id")]
    assert ids == [b"%d" % index for index in range(50)]
