"""A model that hangs in the server's own thread: one worker, for some seconds, and no request is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import workers
from load import ask, under_load
from waiting import free_ports, wait

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.release import Release, Served
from turnout.serving.state import State

pytestmark = pytest.mark.slow

GOOD, BAD = ({"number": number, "count": 1, "kind": "a"} for number in (1.5, 13))


class Server:
    def __init__(self, directory: Path):
        self.directory, self.port = Directory(directory), free_ports(1)[0]
        workers.compiled_model(directory / "models" / "7")
        constant = json.dumps({"prediction": 1, "probability": 0.5})
        State(directory).change(lambda _: Release("flights", (Served("7", 100.0),), fallback=constant), "first")
        command = [sys.executable, str(Path(__file__).parent / "serve_hanging.py"), str(directory), str(self.port)]
        self.out = directory / "serve.log"
        with self.out.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        wait(lambda: self.status.get("ready") or self.process.poll() is not None, "the server", 20)
        assert self.process.poll() is None, self.out.read_text()

    @property
    def status(self) -> dict[str, Any]:
        return self.directory.read_status()

    @property
    def workers(self) -> list[int]:
        return [worker["pid"] for group in self.status["workers"].values() for worker in group if worker["ready"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serving") / "flights")
    yield made
    made.process.terminate()
    made.process.wait(60)


def test_a_row_on_which_the_model_hangs_takes_one_worker_and_is_answered(server: Server) -> None:
    before = server.workers
    with under_load(server.port, clients=4, body=json.dumps(GOOD).encode(), pause=0.01) as load:
        wait(lambda: len(load.statuses) > 20, "answers", 10)
        status, answer = ask(server.port, {"x-request-id": "bad"}, json.dumps(BAD).encode())
        assert (status, answer["prediction"], answer["fallback"]["reason"]) == (200, 1, "too slow")
        wait(lambda: len(now := server.workers) == 2 and set(now) != set(before), "another worker", 20)
    assert load.counts == {200: len(load.statuses)}
    assert len(set(before) & set(server.workers)) == 1

    def line() -> dict[str, Any] | None:
        lines = access_log.Reader(server.directory.access).lines()
        return next((one for one in lines if one["request_id"] == "bad"), None)

    found = wait(line, "the access log", 5)
    assert (found["code"], found["attempts"]) == (200, 2)
    said = "".join(log.read_text() for log in server.directory.logs.glob("worker-*.log"))
    assert said.count("Fatal Python error: Aborted") == 1
    assert "in hang_on_13" in said
    assert "does not answer for 4 s, and is ended" in server.out.read_text()


def test_a_supervisor_that_stood_still_does_not_take_its_workers_for_hanging(server: Server) -> None:
    before = server.workers
    os.kill(server.process.pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(server.process.pid, signal.SIGCONT)
    told = server.status["told_at"]
    wait(lambda: server.status["told_at"] > told + 1, "a look at the workers", 5)
    assert server.workers == before


def test_workers_whose_threads_do_not_come_back_are_replaced_one_after_the_other(server: Server) -> None:
    """Rows of a table have a thread, of which three may hang; after that the worker answers nothing else.

    It still answers with what stands in for the model, so that it waits while another one is being replaced.
    """
    before = set(server.workers)
    with under_load(server.port, clients=4, body=json.dumps({"rows": [BAD]}).encode()) as load:
        wait(lambda: len(now := server.workers) == 2 and not before & set(now), "two other workers", 60)
    assert load.counts == {200: len(load.statuses)}
    wait(lambda: ask(server.port, body=json.dumps(GOOD).encode())[1].get("fallback") is None, "the model", 60)
