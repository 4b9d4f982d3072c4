"""Under load, parts are killed, hang, are replaced: no request is lost but those that a killed Envoy had at work."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from load import Load, ask, under_load
from processes import lives
from waiting import free_ports, wait

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.envoy.processes import ask as ask_socket
from turnout.serving.release import Release, Served, only, with_split, with_version, without
from turnout.serving.state import State

HERE = Path(__file__).parent


class Server:
    """A server of small workers, in a process of its own."""

    def __init__(self, directory: Path):
        self.directory, self.state = Directory(directory), State(directory)
        self.port = free_ports(1)[0]
        for version in ("7", "8", "9", "bad"):
            (directory / "models" / version).mkdir(parents=True)
        (directory / "models" / "bad" / "broken").touch()
        self.old = directory / "requests" / "date=2026-01-01"
        self.old.mkdir(parents=True)
        os.utime(self.old, (0, 0))
        self.state.change(lambda _: Release("flights", (Served("7", 100.0),)), "first")
        self.start()

    def start(self) -> None:
        self.log = (self.directory.path / "serve.log").open("wb")
        command = [sys.executable, str(HERE / "serve_small.py"), str(self.directory.path), str(self.port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        wait(lambda: self.status.get("ready") or self.process.poll() is not None, "the server", 10)
        assert self.process.poll() is None, (self.directory.path / "serve.log").read_text()

    @property
    def status(self) -> dict[str, Any]:
        return self.directory.read_status()

    @property
    def workers(self) -> list[int]:
        """The processes of the workers that answer."""
        return [worker["pid"] for group in self.status["workers"].values() for worker in group if worker["ready"]]

    def left_out(self) -> int:
        """How many workers Envoys send nothing for a while, since they failed or did not answer."""
        path = "/stats?filter=membership_(healthy|total)$&format=json"
        told = [json.loads(ask_socket(place, "GET", path)[1]) for place in self.directory.sockets.glob("admin-*")]
        counts = [item for page in told for item in page["stats"] if "value" in item]
        return sum(int(item["value"]) * (1 if item["name"].endswith("total") else -1) for item in counts)

    def change(self, make: Callable[[Release], Release]) -> None:
        """Change what is served, and wait until it is so."""
        made = self.state.change(lambda before: make(before or self.state.require()), "a test")
        wait(lambda: self.status["in_force"] == made.generation and self.status["ready"], "the change", 10)

    def lines(self) -> list[dict[str, Any]]:
        return list(access_log.Reader(self.directory.access).lines())

    def logged(self, load: Load, may_lack: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """The lines of the access log about a load's requests, when all that were answered are there."""
        answered = {name for name, status in load.statuses.items() if status is not None} - {*may_lack}

        def found() -> dict[str, dict[str, Any]]:
            lines = {line["request_id"]: line for line in self.lines()}
            return {name: lines[name] for name in load.statuses if name in lines} if answered <= set(lines) else {}

        result: dict[str, dict[str, Any]] = wait(found, "the access log", 5)
        return result


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serving") / "flights")
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(autouse=True)
def as_before(request: pytest.FixtureRequest) -> None:
    """Each test begins with version 7 alone, and all workers at work."""
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        server.change(lambda release: only(release, "7"))
        wait(lambda: len(server.workers) == 2 and len(server.status["envoys"]) == 2, "all processes", 10)
        wait(lambda: server.left_out() == 0, "the return of workers that an Envoy has left out", 10)


def adds_up(server: Server, load: Load, may_lack: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Check that what the clients saw is what the access log says, to the last request; the log's lines."""
    lines = server.logged(load, may_lack)
    for name, status in load.statuses.items():
        if status is not None and (name in lines or name not in may_lack):
            assert (lines[name]["code"], lines[name].get("version", "")) == (status, load.versions[name])
    return lines


def some(load: Load, count: int = 200) -> None:
    """Wait for so many more answers."""
    before = len(load.statuses)
    wait(lambda: len(load.statuses) >= before + count, "answers", 10)


def test_days_that_are_too_old_are_removed(server: Server) -> None:
    wait(lambda: not server.old.exists(), "the end of an old day", 5)


def test_a_killed_worker_loses_no_request_and_is_started_again(server: Server) -> None:
    with under_load(server.port) as load:
        some(load)
        killed = server.workers[0]
        os.kill(killed, signal.SIGKILL)
        some(load)
        wait(lambda: len(server.workers) == 2 and killed not in server.workers, "another worker", 10)
        some(load)
    assert load.broken <= 1, load.errors  # the one whose answer it had begun to write
    assert set(load.counts) <= {200, None}, [line for line in server.lines() if line["code"] != 200]
    adds_up(server, load)


def test_a_worker_that_hangs_holds_up_what_it_has_and_nothing_else(server: Server) -> None:
    with under_load(server.port) as load:
        some(load)
        hanging = server.workers[1]
        os.kill(hanging, signal.SIGSTOP)
        try:
            some(load, 500)
            wait(lambda: any(line["attempts"] > 1 for line in server.lines()), "a request that is sent again", 5)
        finally:
            os.kill(hanging, signal.SIGCONT)
    assert load.counts == {200: len(load.statuses)}
    lines = adds_up(server, load)
    assert sum(line["duration_us"] > 900_000 for line in lines.values()) <= 32


def test_a_killed_envoy_loses_what_it_had_at_work_only(server: Server) -> None:
    with under_load(server.port) as load:
        some(load)
        killed = server.status["envoys"][0]
        os.kill(killed, signal.SIGKILL)
        answered = list(load.statuses)
        some(load)
        envoys = wait(lambda: len(found := server.status["envoys"]) == 2 and killed not in found and found, "Envoy", 10)
        some(load)
    assert load.refused == 0
    assert load.broken <= 8
    assert set(load.counts) <= {200, None}
    # It answers first and writes the line then: its last answers may be without.
    adds_up(server, load, may_lack=answered[-64:])
    assert all(map(lives, envoys))


def test_each_envoy_has_a_log_of_its_own_with_whole_lines(server: Server) -> None:
    with under_load(server.port) as load:
        some(load)
    adds_up(server, load)
    logs = sorted(server.directory.access.glob("current*.jsonl"))
    assert len(logs) == len(server.status["envoys"]) == 2
    for log in logs:
        lines = log.read_bytes().splitlines(keepends=True)
        assert lines
        assert all(json.loads(line) for line in lines if line.endswith(b"\n"))


def test_a_model_that_raises_is_counted_and_its_worker_stays(server: Server) -> None:
    before = server.workers
    with under_load(server.port, headers={"x-do": "raise"}) as load:
        some(load)
    assert load.counts == {500: len(load.statuses)}
    assert all(line["attempts"] == 1 for line in adds_up(server, load).values())
    assert server.workers == before


def test_a_worker_with_too_much_to_do_passes_a_request_on(server: Server) -> None:
    with under_load(server.port, clients=2, headers={"x-do": "busy"}) as load:
        some(load, 50)
    assert load.counts == {200: len(load.statuses)}
    assert any(line["attempts"] == 2 for line in adds_up(server, load).values())


def test_traffic_is_split_and_each_request_says_how(server: Server) -> None:
    with under_load(server.port) as load:
        some(load)
        server.change(lambda release: with_version(release, "8", 25))
        some(load, 2000)
    assert load.counts == {200: len(load.statuses)}
    lines = [line for line in adds_up(server, load).values() if line["split"] == "8=25 7=75"]
    counted = collections.Counter(line["version"] for line in lines)
    assert len(lines) >= 1500
    assert abs(counted["8"] / len(lines) - 0.25) < 5 * (0.25 * 0.75 / len(lines)) ** 0.5
    assert {line["version"] for line in server.logged(load).values() if line["split"] == "7=100"} == {"7"}


def test_a_user_keeps_the_version_also_when_its_part_grows(server: Server) -> None:
    users = [f"user-{number}" for number in range(60)]

    def versions() -> dict[str, str]:
        return {user: ask(server.port, {"x-user": user})[1]["version"] for user in users}

    import dataclasses

    server.change(lambda release: dataclasses.replace(with_version(release, "8", 20), sticky="x-user"))
    first = versions()
    assert first == versions()
    assert 2 <= list(first.values()).count("8") <= 28
    wait(lambda: {line.get("user") for line in server.lines()} >= {*users}, "the users in the access log", 5)
    server.change(lambda release: with_split(release, {"7": 50, "8": 50}))
    later = versions()
    assert all(later[user] == "8" for user in users if first[user] == "8")
    assert list(later.values()).count("8") > list(first.values()).count("8")
    server.change(lambda release: dataclasses.replace(release, sticky=""))


def test_a_shadow_sees_requests_and_users_do_not_see_it(server: Server) -> None:
    seen = server.directory.requests / "seen.jsonl"
    server.change(lambda release: with_version(release, "9", 100, shadow=True))
    with under_load(server.port) as load:
        some(load)
    assert set(load.versions.values()) == {"7"}
    adds_up(server, load)

    def copied() -> bool:
        lines = map(json.loads, seen.read_text().splitlines())
        return {line["id"] for line in lines if line["version"] == "9"} >= set(load.statuses)

    wait(copied, "the copies", 5)
    server.change(lambda release: without(release, "9"))


def test_another_version_takes_over_with_no_failed_request_and_the_old_one_ends(server: Server) -> None:
    old = server.workers
    with under_load(server.port) as load:
        some(load)
        server.change(lambda release: only(release, "8"))
        some(load)
        wait(lambda: not any(map(lives, old)), "the end of the old workers", 10)
        some(load)
    assert load.counts == {200: len(load.statuses)}
    adds_up(server, load)
    in_order = [load.versions[name] for name in sorted(load.versions, key=lambda name: int(name.split("-")[1]))]
    assert (in_order[0], in_order[-1]) == ("7", "8")


def test_a_request_that_takes_long_is_answered_by_the_version_that_goes(server: Server) -> None:
    with under_load(server.port, clients=2, headers={"x-do": "wait0.8"}) as load:
        wait(lambda: load.statuses, "answers", 5)
        server.change(lambda release: only(release, "8"))
        wait(lambda: "8" in load.versions.values(), "the other version", 5)
    assert load.counts == {200: len(load.statuses)}


def test_a_version_that_comes_back_while_it_goes_loses_nothing(server: Server) -> None:
    with under_load(server.port, clients=2, headers={"x-do": "wait0.9"}) as load:
        wait(lambda: load.statuses, "answers", 5)
        server.change(lambda release: only(release, "8"))
        wait(lambda: "7" not in server.status["workers"], "the end of the other version", 5)
        server.change(lambda release: only(release, "7"))
        before = len(load.statuses)
        wait(lambda: len(load.statuses) > before + 4, "answers", 10)
    assert load.counts == {200: len(load.statuses)}, load.errors
    assert list(load.versions.values())[-1] == "7"


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_in_service(server: Server) -> None:
    server.state.change(lambda release: only(release or server.state.require(), "bad"), "a test")
    with under_load(server.port) as load:
        wait(lambda: server.status["problems"], "the problem", 10)
        some(load)
    assert load.counts == {200: len(load.statuses)}
    assert set(load.versions.values()) == {"7"}
    assert "workers of version bad do not run: status 1: the model is broken" in server.status["problems"][0]
    assert not server.status["ready"]


def test_a_state_that_is_none_changes_nothing(server: Server) -> None:
    before = server.state.path.read_text()
    server.state.path.write_text("{")
    with under_load(server.port) as load:
        wait(lambda: any("not what shall be served" in text for text in server.status["problems"]), "the problem", 5)
        some(load)
    server.state.path.write_text(before)
    assert load.counts == {200: len(load.statuses)}


def test_a_second_server_is_refused(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "serve_small.py"), str(server.directory.path), "1"]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"a server runs here already, process {server.process.pid}" in second.stderr
    assert ask(server.port)[0] == 200


def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_goes_on(server: Server) -> None:
    server.change(lambda release: with_version(release, "8", 50))
    before = [*server.workers, *server.status["envoys"]]
    assert len(before) == 6
    server.process.kill()
    server.process.wait()
    wait(lambda: not any(map(lives, before)), "the end of all", 5)
    assert not server.directory.is_served()
    server.directory.status.unlink()
    server.start()
    assert server.status["serving"] == [
        {"version": "7", "percent": 50.0, "shadow": False},
        {"version": "8", "percent": 50.0, "shadow": False},
    ]
    assert ask(server.port)[0] == 200


def test_a_full_disk_of_the_log_stops_no_request(tmp_path: Path) -> None:
    access = tmp_path / "flights" / "access"
    access.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(access)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs leave to mount")
    try:
        server = Server(tmp_path / "flights")
        ballast = access / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], capture_output=True, check=False)
        with under_load(server.port) as load:
            some(load, 1000)
        assert load.counts == {200: len(load.statuses)}
        logged = {line["request_id"] for line in server.lines()}
        assert not set(load.statuses) <= logged
        ballast.unlink()
        with under_load(server.port) as later:
            some(later, 100)
        adds_up(server, later)
        server.process.terminate()
        server.process.wait(20)
    finally:
        subprocess.run(["umount", "--lazy", str(access)], check=True)


def test_at_the_end_requests_at_work_are_answered(server: Server) -> None:
    with under_load(server.port, headers={"x-do": "wait0.2"}) as load:
        some(load, 30)
        server.process.terminate()
        server.process.wait(20)
    assert server.process.returncode == 0
    assert set(load.counts) <= {200, None}
    assert load.refused > 0
    adds_up(server, load)
    # A connection that was being made when it ended is lost; no request that had come is.
    lost = {name for name, status in load.statuses.items() if status is None}
    assert not lost & {line["request_id"] for line in server.lines()}, load.errors
    server.start()
