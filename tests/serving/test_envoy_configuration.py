"""What Envoy is told: it takes all of it, and each version has exactly its part."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from waiting import free_ports

from turnout.serving.envoy.api import GROUPS, ROUTES, discovery
from turnout.serving.envoy.listener import Listening, bootstrap
from turnout.serving.envoy.processes import Envoys, program
from turnout.serving.envoy.traffic import Group, groups, no_routes, routes
from turnout.serving.release import Release, Served

LISTENING = Listening(8000)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*command, "-out", str(place), "-keyout", str(place)], check=True, capture_output=True)
    return place


@pytest.mark.parametrize("secure", [False, True])
def test_envoy_takes_its_configuration(tmp_path: Path, certificate: Path, secure: bool) -> None:
    pem = str(certificate)
    more = {"certificate": pem, "key": pem, "client_authority": pem, "tokens": ("secret", 'q"uote')} if secure else {}
    listening = Listening(8000, **more)  # type: ignore[arg-type]
    for name in (GROUPS, ROUTES):
        (tmp_path / name).write_text(json.dumps(discovery([], "1")))
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(bootstrap(listening, tmp_path, tmp_path / "log", tmp_path / "admin")))
    command = [str(program()), "-c", str(file), "--mode", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout


def weights(release: Release, ready: tuple[str, ...]) -> dict[str, int]:
    made = routes(release, LISTENING, {version: f"group-{version}" for version in ready})
    action = made["virtual_hosts"][0]["routes"][-1]["route"]
    return {item["name"]: item["weight"] for item in action["weighted_clusters"]["clusters"]}


def test_each_version_has_its_part_to_a_millionth() -> None:
    release = Release("flights", (Served("7", 66.6667), Served("8", 33.3333)))
    assert weights(release, ("7", "8")) == {"group-8": 333_333, "group-7": 666_667}


def test_the_part_of_a_version_that_does_not_answer_goes_to_the_one_in_service() -> None:
    release = Release("flights", (Served("7", 60.0), Served("8", 30.0), Served("9", 10.0)))
    assert weights(release, ("7", "9")) == {"group-9": 100_000, "group-7": 900_000}


def test_versions_that_are_tried_come_first_so_that_users_keep_theirs_when_the_part_grows() -> None:
    for percent in (1.0, 10.0, 60.0):
        release = Release("flights", (Served("7", 100 - percent), Served("8", percent)), sticky="x-user")
        assert list(weights(release, ("7", "8"))) == ["group-8", "group-7"]


def test_copies_go_to_shadows_that_answer() -> None:
    release = Release("flights", (Served("7", 100.0), Served("8", 50.0, True), Served("9", 1.0, True)))
    made = routes(release, LISTENING, {"7": "group-7", "8": "group-8"})
    (copies,) = made["virtual_hosts"][0]["routes"][-1]["route"]["request_mirror_policies"]
    assert copies["cluster"] == "group-8"
    assert copies["runtime_fraction"]["default_value"] == {"numerator": 500_000, "denominator": "MILLION"}


def test_tokens_are_in_the_listener_s_file_alone() -> None:
    listening = Listening(8000, tokens=("secret",))
    release = Release("flights", (Served("7", 100.0),))
    others = [routes(release, listening, {"7": "7"}), groups([Group("7", "7", ("/a",))], listening)]
    assert "secret" not in json.dumps(others)
    assert "secret" in json.dumps(bootstrap(listening, Path("/x"), Path("/x/log"), Path("/x/admin")))
    assert ROUTES in json.dumps(bootstrap(listening, Path("/x"), Path("/x/log"), Path("/x/admin")))


def test_with_a_certificate_envoy_answers_by_tls_alone_at_each_port(tmp_path: Path, certificate: Path) -> None:
    port, other = free_ports(2)
    listening = Listening(port, certificate=str(certificate), key=str(certificate), drain_s=1.0, grpc_port=other)
    envoys = Envoys(listening, tmp_path, tmp_path / "log", tmp_path, 1, 1, dict(os.environ))
    envoys.write(GROUPS, [])
    envoys.write(ROUTES, [no_routes()])
    envoys.start()
    try:
        trusted = ssl.create_default_context(cafile=str(certificate))
        for each in (port, other):
            with urllib.request.urlopen(f"https://localhost:{each}/health/live", context=trusted) as answer:
                assert answer.status == 200
        with pytest.raises(OSError, match=r"refused|reset|closed"):
            urllib.request.urlopen(f"http://localhost:{port}/health/live")
    finally:
        envoys.end()


def test_what_envoy_refuses_itself_is_told_as_a_worker_tells_it_with_what_to_do(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    listening = Listening(port, tokens=("secret",), body_limit=1000, drain_s=1.0)
    release = Release("flights", (Served("7", 100.0),))
    envoys = Envoys(listening, tmp_path, tmp_path / "log", tmp_path, 1, 1, dict(os.environ))
    envoys.write(GROUPS, groups([Group("7", "7", (str(tmp_path / "nobody"),))], listening))
    envoys.write(ROUTES, [routes(release, listening, {"7": "7"})])
    envoys.start()
    token = {"authorization": "Bearer secret"}
    asked: dict[int, tuple[dict[str, str], bytes]] = {
        401: ({}, b"{}"), 413: (token, b" " * 2000), 503: (token, b"{}"),
        431: ({**token, "x-long": "x" * 40_000}, b"{}"),
    }  # fmt: skip
    try:
        for status, (headers, body) in asked.items():
            request = urllib.request.Request(f"http://localhost:{port}/predict", body, headers)
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request)
            said = json.loads(caught.value.read())
            assert caught.value.status == status
            assert said["faults"] == [{"what": said["error"], "hint": said["faults"][0]["hint"]}]
            assert None not in said.values()
    finally:
        envoys.end()
