"""Calls by gRPC that no client should make: each is an error, memory is bounded, and others are served."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import workers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from open_inference import INFER, framed
from tritonclient.grpc import service_pb2
from workers import Answered, Running, worker

SERVICE = INFER.removesuffix("ModelInfer")
LIMITS: dict[str, Any] = {"body_limit": 4 * 1024**2, "bodies_limit": 16 * 1024**2, "rows_limit": 1000}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = workers.compiled_model(tmp_path_factory.mktemp("model") / "files")
    with worker(tmp_path_factory.mktemp("worker"), model, inline_ms=1000.0, **LIMITS) as running:
        for _ in range(50):
            assert running.post(INFER, framed(good().SerializeToString())).status == 200
        yield running


@pytest.fixture(autouse=True)
def _others_are_served_in_bounded_memory(served: Running) -> Iterator[None]:
    yield
    assert served.post(INFER, framed(good().SerializeToString())).status == 200
    assert served.metrics()["turnout_serving_held_bytes"] == 0


def good(rows: int = 1) -> Any:
    request = service_pb2.ModelInferRequest(model_name="digits")
    for name, kind, field, value in (
        ("number", "FP64", "fp64_contents", 1.0),
        ("count", "INT64", "int64_contents", 1),
        ("kind", "BYTES", "bytes_contents", b"a"),
    ):
        made = request.inputs.add(name=name, datatype=kind, shape=[rows])
        getattr(made.contents, field).extend([value] * rows)
    return request


def refused(answer: Answered, statuses: set[int] = {400, 413, 422}) -> str:
    """What an error says; it is gRPC's short form of one, of a size that clients take."""
    assert answer.status in statuses, answer
    assert answer.headers["grpc-status"] in ("3", "5", "8")
    assert answer.body == b""
    assert 0 < len(answer.headers["grpc-message"]) < 6000
    return answer.headers["grpc-message"]


def changed(**more: Any) -> bytes:
    """A good request of one row, with something else in its first input."""
    request = good()
    first = request.inputs[0]
    for name, value in more.items():
        if name == "shape":
            first.shape[:] = value
        elif name == "contents":
            first.ClearField("contents")
            for field, values in value.items():
                getattr(first.contents, field).extend(values)
        else:
            setattr(first, name, value)
    return bytes(request.SerializeToString())


def raw(*pieces: bytes, **more: Any) -> bytes:
    request = service_pb2.ModelInferRequest.FromString(changed(**more))
    for item in request.inputs:
        item.ClearField("contents")
    request.raw_input_contents.extend(pieces)
    return bytes(request.SerializeToString())


EIGHT, TEXT = bytes(8), b"\x01\x00\x00\x00a"

MESSAGES: dict[str, tuple[bytes, str]] = {
    "a huge shape": (changed(shape=[2**62]), "has no shape"),
    "a huge product": (changed(shape=[2**30, 2**30, 2**30]), "its shape says 4,611,686,018,427,387,904"),
    "a negative shape": (changed(shape=[-1]), "has no shape"),
    "no shape": (changed(shape=[]), "has no shape"),
    "a shape of more values": (changed(shape=[5]), "has 1 values, and its shape says 5"),
    "no such datatype": (changed(datatype="FP128"), "has the datatype FP128"),
    "BF16": (changed(datatype="BF16"), "has the datatype BF16"),
    "FP16 in fields": (changed(datatype="FP16"), "has no typed contents"),
    "contents of another type": (changed(contents={"int_contents": [1]}), "not of its type, FP64"),
    "INT8 out of its bounds": (changed(datatype="INT8", contents={"int_contents": [300]}), "values that are not INT8"),
    "no text": (changed(datatype="BYTES", contents={"bytes_contents": [b"\xff\xfe"]}), "are no texts"),
    "the wrong type for a column": (
        changed(datatype="BYTES", contents={"bytes_contents": [b"x"]}), "number: the model takes double",
    ),
    "a long name": (changed(name="x" * 500_000), "number: the column is missing"),
    "no inputs": (service_pb2.ModelInferRequest(model_name="digits").SerializeToString(), "no inputs"),
    "raw bytes for some": (raw(EIGHT), "3 inputs, and 1 raw_input_contents"),
    "raw bytes and fields": (
        changed() + service_pb2.ModelInferRequest(raw_input_contents=[EIGHT, EIGHT, TEXT]).SerializeToString(),
        "send one of the two",
    ),
    "half a number": (raw(EIGHT[:5], EIGHT, TEXT), "has 5 bytes, and FP64 has 8 a value"),
    "a text that is longer than its bytes": (raw(EIGHT, EIGHT, b"\xff\xff\xff\xffa"), "are no texts"),
    "10,000 inputs": (
        service_pb2.ModelInferRequest(
            model_name="digits", inputs=[{"name": str(number)} for number in range(10_000)]
        ).SerializeToString(),
        "more than 88 parts",
    ),
    "100 inputs": (
        service_pb2.ModelInferRequest(
            model_name="digits", inputs=[{"name": str(number)} for number in range(100)]
        ).SerializeToString(),
        "100 inputs",
    ),
    "10,000 rows": (good(10_000).SerializeToString(), "10,000 rows in one request"),
    "a deep group": (b"\x0b" * 5_000 + b"\x0c" * 5_000, "cannot be read"),
    "a number without end": (b"\x2a" + b"\x80" * 2_000_000, "cannot be read"),
    "cut short": (good().SerializeToString()[:-4], "cannot be read"),
    "no UTF-8": (b"\x0a\x02\xff\xfe", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_that_makes_no_sense_is_an_error_that_says_so(served: Running, name: str) -> None:
    message, said = MESSAGES[name]
    assert said in refused(served.post(INFER, framed(message)))


def test_frames_that_are_none_are_refused(served: Running) -> None:
    message = good().SerializeToString()
    for body in (b"", b"\x00", framed(message)[:-1], framed(message) + b"x", framed(message) * 2):
        refused(served.post(INFER, body), {400})
    answer = served.post(INFER, framed(message, packed=1))
    assert (answer.status, answer.headers["grpc-status"]) == (415, "12")
    assert answer.headers["grpc-accept-encoding"] == "identity"


def test_more_bytes_than_are_allowed_are_refused_before_they_are_read(served: Running) -> None:
    answer = served.raw(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n" % INFER.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"grpc-status: 8\r\n" in answer


def test_bytes_that_grow_when_they_are_read_are_bounded(served: Running) -> None:
    """Two bytes make an empty input, or an empty tensor of bytes, and one makes a truth value: two million of each."""
    before = most_resident(served)
    head = service_pb2.ModelInferRequest(model_name="digits").SerializeToString()
    for tail in (b"\x2a\x00" * 2_000_000, b"\x32\x00" * 2_000_000, b"\x3a\x00" * 2_000_000, b"\x22\x00" * 2_000_000):
        refused(served.post(INFER, framed(head + tail)))
    request = good()
    request.inputs[0].datatype = "BOOL"
    request.inputs[0].contents.bool_contents.extend([True] * 2_000_000)
    refused(served.post(INFER, framed(request.SerializeToString())))
    assert most_resident(served) < before + 160 * 1024**2


def most_resident(served: Running) -> int:
    """Bytes of memory that the worker has had at most."""
    status = Path(f"/proc/{served.pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_bytes_at_random_and_good_ones_with_some_changed_are_answered_or_refused(served: Running) -> None:
    numbers, message = random.Random(0), good(3).SerializeToString()
    for number in range(300):
        made = bytearray(message if number % 3 else numbers.randbytes(numbers.randrange(1, 200)))
        for _ in range(numbers.randrange(1, 4) if number % 3 else 0):
            made[numbers.randrange(len(made))] = numbers.randrange(256)
        answer = served.post(INFER, framed(bytes(made)))
        if answer.status != 200:
            refused(answer, {400, 404, 413, 422})


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady", "ModelReady", "ModelMetadata", "ServerMetadata"])
def test_other_calls_are_checked_too(served: Running, method: str) -> None:
    assert served.post(SERVICE + method, framed(service_pb2.ModelReadyRequest(name="digits").SerializeToString())).body
    for body in (b"\x00\x00", framed(b"\x0a\x7f")):
        refused(served.post(SERVICE + method, body), {400})


NAMES = st.sampled_from(["number", "count", "kind", "", "x"])
TENSOR = st.builds(
    service_pb2.ModelInferRequest.InferInputTensor,
    name=NAMES,
    datatype=st.sampled_from(
        ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT8", "UINT64", "BOOL", "BYTES", "FP128", ""]
    ),
    shape=st.lists(st.integers(-2, 4) | st.just(2**40), max_size=3),
    contents=st.none()
    | st.builds(
        service_pb2.InferTensorContents,
        fp64_contents=st.lists(st.floats(), max_size=3),
        int64_contents=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
        int_contents=st.lists(st.integers(-300, 300), max_size=3),
        bytes_contents=st.lists(st.binary(max_size=4), max_size=3),
        bool_contents=st.lists(st.booleans(), max_size=3),
    ),
)
REQUEST = st.builds(
    service_pb2.ModelInferRequest,
    model_name=st.just("digits"),
    id=st.text(max_size=4),
    inputs=st.lists(TENSOR, max_size=4),
    outputs=st.lists(st.builds(service_pb2.ModelInferRequest.InferRequestedOutputTensor, name=NAMES), max_size=1),
    raw_input_contents=st.just([]) | st.lists(st.binary(max_size=24), max_size=4),
)


@given(REQUEST)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_message_of_the_protocol_is_answered_or_refused(served: Running, request_: Any) -> None:
    answer = served.post(INFER, framed(request_.SerializeToString()))
    if answer.status != 200:
        refused(answer)
