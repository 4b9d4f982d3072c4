"""Serving one row: Turnout, with Envoy and without, beside `mlflow models serve`; the same model, rows and machine.

    .venv/bin/python benchmarks/serving.py [--model flight-delay@champion] [--seconds 5]

For each server: the time from the command to the first answer, p50 and p99 of one client, requests a second of 16
clients, and the memory of all its processes (shared pages in parts). Each has one worker process.
The servers run one after the other, in rounds, and the best one counts. The load is made by h2load,
Debian's `nghttp2-client`.

`make demo` trains the model and registers it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from turnout.models.files import download
from turnout.models.registry import look_up
from turnout.serving import bench
from turnout.serving.directory import Directory
from turnout.serving.start import example

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Server:
    """A server that answers: where, what it takes, and the process above all of its own."""

    url: str
    body: bytes
    process: subprocess.Popen[bytes]
    socket: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Result:
    ready_s: float
    p50_ms: float
    p99_ms: float
    rate: float
    memory: float


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as item:
        return int(item.getsockname()[1])


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                with contextlib.suppress(psutil.Error):
                    child.terminate()
            process.wait(60)


@contextlib.contextmanager
def turnout(model: str, row: dict[str, object], alone: bool) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        command = [str(BIN / "turnout"), "serve", model, "--port", str(port), "--directory", place, "--workers", "1",
                   "--log-sample", "0"]  # fmt: skip

        def worker() -> str:
            return str(next(path for path in Directory(Path(place)).sockets.iterdir() if "admin" not in path.name))

        with started(command) as process:
            url = f"http://127.0.0.1:{port}/predict"
            yield Server(url, json.dumps(row).encode(), process, worker if alone else lambda: "")


@contextlib.contextmanager
def mlflow(model: str, row: dict[str, object]) -> Iterator[Server]:
    port = free_port()
    command = [str(BIN / "mlflow"), "models", "serve", "-m", f"models:/{model}", "-p", str(port),
               "--env-manager", "local", "--workers", "1"]  # fmt: skip
    body = json.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}).encode()
    with started(command) as process:
        yield Server(f"http://127.0.0.1:{port}/invocations", body, process)


def answers(server: Server) -> bool:
    request = urllib.request.Request(server.url, server.body, {"content-type": "application/json"})
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=30) as answer:
        return bool(answer.status == 200)
    return False


def memory(process: subprocess.Popen[bytes]) -> float:
    """MiB of a process and all below it: the proportional set size."""
    found = 0
    for item in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            found += item.memory_full_info().pss
    return found / 2**20


def measure(make: Callable[[], contextlib.AbstractContextManager[Server]], seconds: float) -> Result:
    begin = time.monotonic()
    with make() as server:
        while not answers(server):
            if server.process.poll() is not None:
                raise SystemExit(f"{server.url}: the server has ended")
            time.sleep(0.05)
        ready = time.monotonic() - begin
        single = bench.closed(server.url, server.body, 1, seconds, socket=server.socket())
        many = bench.closed(server.url, server.body, 16, seconds, socket=server.socket())
        for item in (single, many):
            if item.errors:
                raise SystemExit(f"{server.url}: {item.errors} of {item.requests} requests failed")
        return Result(ready, single.latencies_ms[0], single.latencies_ms[2], many.rate, memory(server.process))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="flight-delay@champion")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    version = look_up(f"models:/{options.model}")
    with tempfile.TemporaryDirectory() as place:
        row = example(download(version, place))
    name = f"{version.name}/{version.version}"
    servers: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
        "turnout": lambda: turnout(name, row, alone=False),
        "turnout, worker alone": lambda: turnout(name, row, alone=True),
        "mlflow models serve": lambda: mlflow(name, row),
    }
    rounds = [{label: measure(make, options.seconds) for label, make in servers.items()} for _ in range(options.rounds)]
    print(f"{name}, {len(row)} columns, {os.cpu_count()} cores")
    print(f"{'':24}{'ready s':>9}{'p50 ms':>9}{'p99 ms':>9}{'16 clients/s':>14}{'MiB':>7}{'p50 times':>11}")
    best = {
        label: Result(
            min(found[label].ready_s for found in rounds),
            min(found[label].p50_ms for found in rounds),
            min(found[label].p99_ms for found in rounds),
            max(found[label].rate for found in rounds),
            min(found[label].memory for found in rounds),
        )
        for label in servers
    }
    for label, item in best.items():
        ratio = item.p50_ms / best["turnout"].p50_ms
        print(f"{label:24}{item.ready_s:9.1f}{item.p50_ms:9.2f}{item.p99_ms:9.2f}{item.rate:14,.0f}{item.memory:7.0f}"
              f"{ratio:11.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
