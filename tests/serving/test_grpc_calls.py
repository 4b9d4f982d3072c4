"""The Open Inference Protocol by gRPC: Triton's client, Envoy, and workers of a compiled model."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow.dataset as ds
import pytest
import tritonclient.grpc as triton
import workers
from open_inference import INFER, MODEL, Behind, behind, framed, inputs, tensor
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException
from waiting import wait

from turnout.serving.envoy.api import GROUPS
from turnout.serving.envoy.traffic import Group, groups
from turnout.serving.protocols import v2_messages
from turnout.serving.release import Served


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workers.compiled_model(tmp_path_factory.mktemp("model") / "files")


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    place = tmp_path_factory.mktemp("server")
    logged = {"log_directory": str(place / "requests"), "log_flush_s": 0.2}
    with behind(place, model, ("3", "4"), settings=logged) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Behind) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.address) as made:
        yield made


@pytest.fixture(autouse=True)
def as_before(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").release(Served("3", 100.0))


def refused(ask: Callable[[], Any]) -> tuple[str, str]:
    """The status and the text of an error."""
    with pytest.raises(InferenceServerException) as caught:
        ask()
    return caught.value.status().removeprefix("StatusCode."), caught.value.message()


def by_http(server: Behind, count: int) -> dict[str, list[Any]]:
    """What the same rows are answered by HTTP."""
    number = np.linspace(-1, 1, count).tolist()
    kinds = ["a", "b", "c"] * (count // 3) + ["a"] * (count % 3)
    given = (("number", "FP64", number), ("count", "INT64", list(range(count))), ("kind", "BYTES", kinds))
    body = {"inputs": [{"name": name, "datatype": kind, "shape": [count], "data": data} for name, kind, data in given]}
    url = f"http://{server.address}/v2/models/{MODEL}/infer"
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        return {item["name"]: item["data"] for item in json.load(answer)["outputs"]}


# --- what is asked, and answered ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7])
def test_predictions_are_those_by_http_at_the_same_port(
    server: Behind, client: triton.InferenceServerClient, count: int
) -> None:
    found = client.infer(MODEL, inputs(count), request_id="mine")
    wanted = by_http(server, count)
    assert {name: found.as_numpy(name).tolist() for name in wanted} == wanted
    answer = found.get_response()
    assert (answer.model_name, answer.model_version, answer.id) == (MODEL, "3", "mine")
    assert len(answer.raw_output_contents) == 2


def typed(count: int) -> service_pb2.ModelInferRequest:
    """A request whose tensors have their values in fields of their type."""
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    for given in inputs(count):
        made = request.inputs.add(name=given.name(), datatype=given.datatype(), shape=given.shape())
        values = np.linspace(-1, 1, count), np.arange(count)
        if made.name == "kind":
            made.contents.bytes_contents.extend(b"abc"[index % 3 : index % 3 + 1] for index in range(count))
        elif made.name == "number":
            made.contents.fp64_contents.extend(values[0])
        else:
            made.contents.int64_contents.extend(values[1])
    return request


@contextlib.contextmanager
def calling(server: Behind) -> Iterator[Callable[..., Any]]:
    """Calls by gRPC's library with messages of the client's, made or not."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel.unary_unary(
            INFER, lambda given: given if isinstance(given, bytes) else given.SerializeToString(),
            service_pb2.ModelInferResponse.FromString,
        )  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
def test_values_in_fields_of_their_type_are_answered_in_such(server: Behind, count: int) -> None:
    with calling(server) as call:
        answer = call(typed(count), timeout=10)
    assert not answer.raw_output_contents
    found = {item.name: item.contents for item in answer.outputs}
    wanted = by_http(server, count)
    assert list(found["prediction"].int64_contents) == wanted["prediction"]
    assert list(found["probability"].fp64_contents) == wanted["probability"]
    assert answer.id


@pytest.mark.parametrize(
    ("name", "datatype"), [("number", "FP16"), ("number", "FP32"), ("count", "UINT8"), ("count", "INT16")]
)
def test_other_datatypes_are_read_as_by_http(client: triton.InferenceServerClient, name: str, datatype: str) -> None:
    kinds = {"FP16": np.float16, "FP32": np.float32, "UINT8": np.uint8, "INT16": np.int16}
    given = {item.name(): item for item in inputs(2)}
    plain = np.array([0.0, 1.0]) if name == "number" else np.array([0, 1])
    exact = client.infer(
        MODEL, [*(given | {name: tensor(name, {"number": "FP64", "count": "INT64"}[name], plain)}).values()]
    )
    found = client.infer(MODEL, [*(given | {name: tensor(name, datatype, plain.astype(kinds[datatype]))}).values()])
    assert found.as_numpy("probability").tolist() == exact.as_numpy("probability").tolist()


def test_outputs_that_are_named_are_given_alone_and_nan_is_null(client: triton.InferenceServerClient) -> None:
    given = {item.name(): item for item in inputs()}
    given["number"] = tensor("number", "FP64", [float("nan")])
    found = client.infer(MODEL, [*given.values()], outputs=[triton.InferRequestedOutput("probability")])
    assert [item.name for item in found.get_response().outputs] == ["probability"]
    assert 0 < found.as_numpy("probability")[0] < 1


def test_health_and_metadata_are_told(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "3")
    assert refused(lambda: client.is_model_ready("other"))[0] == "NOT_FOUND"
    assert client.get_server_metadata(as_json=True)["name"] == "turnout"
    told = client.get_model_metadata(MODEL, as_json=True)
    assert told["versions"] == ["3"]
    assert {item["name"]: item["datatype"] for item in told["inputs"]} == {
        "number": "FP64", "count": "INT64", "kind": "BYTES"
    }  # fmt: skip
    assert [item["name"] for item in told["outputs"]] == ["prediction", "probability"]


# --- what is wrong ------------------------------------------------------------------------------------------


def test_an_error_says_which_column_is_wrong_and_why(client: triton.InferenceServerClient) -> None:
    given = {item.name(): item for item in inputs()}
    status, said = refused(lambda: client.infer(MODEL, inputs()[:2]))
    assert status == "INVALID_ARGUMENT"
    assert "kind: the column is missing" in said
    given["number"] = tensor("number", "BYTES", ["5 % más"])
    status, said = refused(lambda: client.infer(MODEL, [*given.values()]))
    assert status == "INVALID_ARGUMENT"
    assert "number: the model takes double, and this is the text '5 % más'" in said
    assert "; give a number, or null" in said
    status, said = refused(lambda: client.infer("other", inputs()))
    assert (status, "available: digits" in said) == ("NOT_FOUND", True)
    status, said = refused(lambda: client.infer(MODEL, inputs(), model_version="9"))
    assert (status, "available: 3" in said) == ("NOT_FOUND", True)
    status, said = refused(lambda: client.infer(MODEL, inputs(), outputs=[triton.InferRequestedOutput("score")]))
    assert (status, "available: prediction, probability" in said) == ("INVALID_ARGUMENT", True)


def test_what_is_not_offered_is_unimplemented_at_once(client: triton.InferenceServerClient) -> None:
    started = time.monotonic()
    assert refused(lambda: client.get_inference_statistics(MODEL))[0] == "UNIMPLEMENTED"
    assert refused(lambda: client.infer(MODEL, inputs(500), compression_algorithm="gzip"))[0] == "UNIMPLEMENTED"
    found: list[Any] = []
    client.start_stream(lambda result, error: found.append(error))
    with contextlib.suppress(InferenceServerException):
        client.async_stream_infer(MODEL, inputs())
    wait(lambda: found, "the end of the stream", 2)
    client.stop_stream()
    assert found[0].status() == "StatusCode.UNIMPLEMENTED"
    assert time.monotonic() - started < 10


def test_too_many_bytes_or_rows_are_refused_and_others_are_served(client: triton.InferenceServerClient) -> None:
    assert refused(lambda: client.infer(MODEL, inputs(20_000)))[0] == "RESOURCE_EXHAUSTED"
    assert refused(lambda: client.infer(MODEL, inputs(600_000)))[0] == "RESOURCE_EXHAUSTED"
    assert client.infer(MODEL, inputs()).as_numpy("prediction").tolist() == [0]


def test_who_has_no_token_is_unauthenticated_and_health_is_for_everybody(model: Path, tmp_path: Path) -> None:
    with (
        behind(tmp_path, model, ("3",), requests=1, settings={"time_out_s": 20.0}, tokens=("secret",)) as server,
        triton.InferenceServerClient(server.address) as client,
    ):
        bearer = {"authorization": "Bearer secret"}
        assert refused(lambda: client.infer(MODEL, inputs()))[0] == "UNAUTHENTICATED"
        assert refused(lambda: client.is_model_ready(MODEL))[0] == "UNAUTHENTICATED"
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.infer(MODEL, inputs(), headers=bearer).as_numpy("prediction").tolist() == [0]
        found: list[tuple[Any, Any]] = []
        for _ in range(40):  # more than the version may have at work
            client.async_infer(MODEL, inputs(9000), lambda result, error: found.append((result, error)), headers=bearer)
        wait(lambda: len(found) == 40, "40 answers", 12)
        statuses = Counter(error.status() if error else "OK" for _, error in found)
        assert statuses.keys() == {"OK", "StatusCode.RESOURCE_EXHAUSTED"}
        server.workers["3"].terminate()
        server.workers["3"].ended()
        assert refused(lambda: client.infer(MODEL, inputs(), headers=bearer))[0] == "UNAVAILABLE"
        assert refused(client.is_server_ready)[0] == "UNAVAILABLE"


def test_with_a_certificate_calls_come_by_tls(model: Path, tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
               "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(pem), "-keyout", str(pem)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with (
        behind(tmp_path, model, ("3",), certificate=str(pem), key=str(pem)) as server,
        triton.InferenceServerClient(server.address, ssl=True, root_certificates=str(pem)) as client,
    ):
        assert client.infer(MODEL, inputs()).as_numpy("prediction").tolist() == [0]


# --- releases, logs -----------------------------------------------------------------------------------------


def test_calls_are_split_and_a_user_keeps_its_version(server: Behind, client: triton.InferenceServerClient) -> None:
    def versions(count: int, **headers: str) -> Counter[str]:
        return Counter(
            client.infer(MODEL, inputs(), headers=headers or None).get_response().model_version for _ in range(count)
        )

    server.release(Served("3", 50.0), Served("4", 50.0))
    assert all(20 < number < 80 for number in versions(100).values())
    server.release(Served("3", 50.0), Served("4", 50.0), sticky="x-user")
    chosen = [versions(5, **{"x-user": str(user)}) for user in range(12)]
    assert all(len(found) == 1 for found in chosen)
    assert len({version for found in chosen for version in found}) == 2


def test_a_shadow_gets_copies_of_calls(server: Behind, client: triton.InferenceServerClient) -> None:
    def counted() -> float:
        return server.workers["4"].metrics().get('turnout_serving_requests_total{code="200",protocol="grpc"}', 0.0)

    before = counted()
    server.release(Served("3", 100.0), Served("4", 100.0, True))
    for _ in range(10):
        assert client.infer(MODEL, inputs()).get_response().model_version == "3"
    wait(lambda: counted() == before + 10, "ten copies", 3)


def test_each_call_is_in_the_access_log_with_its_status_and_in_the_request_log(
    server: Behind, client: triton.InferenceServerClient
) -> None:
    def given(name: str) -> dict[str, str]:
        return {"x-request-id": name}

    client.infer(MODEL, inputs(3), headers=given("good"))
    refused(lambda: client.infer(MODEL, inputs()[:1], headers=given("wrong")))
    refused(lambda: client.infer(MODEL, inputs(600_000), headers=given("large")))
    client.is_server_ready(headers=given("health"))
    wait(lambda: {"good", "wrong", "large"} <= server.lines().keys(), "the access log", 3)
    found = {name: (line["grpc"], line["code"], line["version"]) for name, line in server.lines().items()
             if name in ("good", "wrong", "large", "health")}  # fmt: skip
    assert found == {"good": (0, 200, "3"), "wrong": (3, 400, "3"), "large": (8, 429, "3")}

    def kept() -> int:
        with contextlib.suppress(OSError):
            rows = ds.dataset(server.directory / "requests").to_table(filter=ds.field("request_id") == "good")
            return rows.num_rows
        return 0

    wait(lambda: kept() == 3, "the request log", 3)
    counts = server.workers["3"].metrics()
    assert counts['turnout_serving_requests_total{code="422",protocol="grpc"}'] >= 1


def test_a_worker_that_is_not_ready_is_left_out_and_a_call_is_tried_again(model: Path, tmp_path: Path) -> None:
    """A worker that dies with calls at work: another one answers them."""
    with behind(tmp_path, model, ("3", "4")) as server:
        sockets = tuple(one.settings.socket for one in server.workers.values())
        server.envoys.apply(GROUPS, groups([Group("v3", "3", sockets)], server.listening))
        with triton.InferenceServerClient(server.address) as client:
            found: list[Any] = []
            for index in range(200):
                client.async_infer(MODEL, inputs(), lambda result, error: found.append(error))
                if index == 100:
                    server.workers["4"].process.kill()
            wait(lambda: len(found) == 200, "200 answers", 6)
        assert found == [None] * 200


# --- messages -----------------------------------------------------------------------------------------------


def test_messages_are_those_that_triton_s_client_speaks() -> None:
    """Every field of ours has the number and the type that it has in the client's, however deep."""

    def compare(ours: Any, theirs: Any, seen: set[str]) -> int:
        if ours.full_name in seen:
            return 0
        seen.add(ours.full_name)
        number = 0
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            kinds = [
                (item.number, item.type, item.is_repeated, item.containing_oneof is not None) for item in (field, other)
            ]
            assert kinds[0] == kinds[1], f"{ours.full_name}.{field.name}"
            number += 1
            if field.message_type is not None:
                number += compare(field.message_type, other.message_type, seen)
        assert set(ours.fields_by_name) == set(theirs.fields_by_name) - _MORE.get(ours.name, set())
        return number

    compared = 0
    for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        if method.name in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"):
            for theirs in (method.input_type, method.output_type):
                compared += compare(v2_messages.message(theirs.name).DESCRIPTOR, theirs, set())
    assert compared > 60


_MORE: dict[str, set[str]] = {}
"""Fields that Triton has and the protocol has not."""


def test_a_body_that_is_no_message_is_an_error_of_gRPC_s(server: Behind) -> None:
    with calling(server) as call:
        for body in (b"\xff" * 40, b"\x2a\x7f", typed(1).SerializeToString()[:-3]):
            with pytest.raises(grpc.RpcError) as caught:
                call(body, timeout=10)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details()
    answer = server.workers["3"].post(INFER, framed(b"")[:3])
    assert (answer.status, answer.headers["grpc-status"], answer.body) == (400, "3", b"")
