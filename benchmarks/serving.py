"""Serving one row: Turnout, with Envoy and without, beside other servers; the same model, rows and machine.

    .venv/bin/python benchmarks/serving.py [--environments DIRECTORY] [--model flight-delay@champion]

Beside `mlflow models serve`, these are KServe's model server, MLServer, BentoML and LitServe, each as its documentation
says that an MLflow model is served (`serving_rivals/`), in an environment of its own. The environments are made in the
directory that is named (3 GB); without one these are left out. The bare loop is uvicorn with the compiled model and
nothing else.

For each server, which has one worker process: the time from the command to the first answer; p50 and p99 of one client;
requests a second of 16 clients; what a request then costs, in milliseconds of the processes' own time, which other work
on the machine changes little; and the memory of all its processes (shared pages in parts). Before it is measured, its
predictions for some rows are held against the model's own.
The servers run one after the other, in rounds, and each one's best round counts. The load is made by h2load, Debian's
`nghttp2-client`. Two rounds of all take about eight minutes on a quiet machine of two cores.

`make demo` trains the model and registers it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import serving_servers as servers
from serving_servers import Row, Server, Start

from turnout.models.compiled.keeping import fetch
from turnout.models.registry import ModelVersion, look_up
from turnout.serving import bench
from turnout.serving.start import example

CHECKED_ROWS = 50
READY_WITHIN_S = 180.0


@dataclass(frozen=True)
class Result:
    """What was measured in one round, or the best of each in several."""

    ready_s: float
    p50_ms: float
    p99_ms: float
    rate: float
    cpu_ms: float
    memory: float


def rows_of(version: ModelVersion, directory: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    """Rows for the model, its example first and then some of its evaluation, and what MLflow says that it predicts."""
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(directory))
    columns = model.metadata.get_input_schema().input_dict()
    kept = pd.read_parquet(mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/evaluation/rows.parquet"))
    first = pd.DataFrame([example(directory)])
    for frame in (first, kept):
        for name, column in columns.items():
            frame[name] = frame[name].astype(column.type.to_pandas())
    frame = pd.concat([first, kept[list(columns)]], ignore_index=True)
    predictions = model.predict(frame)
    kinds = [frame.index[predictions == kind][: CHECKED_ROWS // 2] for kind in sorted(set(predictions))]
    chosen = sorted({0, *(place for places in kinds for place in places)})
    rows = [
        {name: None if value != value else value for name, value in row.items()}
        for row in frame.iloc[chosen].to_dict("records")
    ]
    return rows, predictions[chosen].tolist()


def ask(server: Server, row: Row) -> Any:
    request = urllib.request.Request(server.url, server.body(row), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return server.label(json.loads(answer.read()))


def wait_until_ready(server: Server, row: Row) -> None:
    end = time.monotonic() + READY_WITHIN_S
    while True:
        with contextlib.suppress(OSError):
            ask(server, row)
            return
        if server.process.poll() is not None or time.monotonic() > end:
            said = server.log.read_text(errors="replace").strip()[-1500:]
            raise RuntimeError(f"it does not answer; it said:\n{said}")
        time.sleep(0.05)


def tree(server: Server) -> list[psutil.Process]:
    top = psutil.Process(server.process.pid)
    return [top, *top.children(recursive=True)]


def cpu_s(server: Server) -> float:
    total = 0.0
    for item in tree(server):
        with contextlib.suppress(psutil.Error):
            times = item.cpu_times()
            total += times.user + times.system
    return total


def memory(server: Server) -> float:
    """MiB: the proportional set size."""
    found = 0
    for item in tree(server):
        with contextlib.suppress(psutil.Error):
            found += item.memory_full_info().pss
    return found / 2**20


def cpu_ms(server: Server, body: bytes, requests: int) -> float:
    """What a request costs with 16 clients, in milliseconds of all processes of the server."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = [bench.program(), "--h1", "-t", "1", "-c", "16", "-n", str(requests), "-d", file.name,
                   "-H", "content-type: application/json"]  # fmt: skip
        if path := server.socket():
            command += ["--base-uri", f"unix:{path}"]
        before = cpu_s(server)
        done = subprocess.run([*command, server.url], capture_output=True, text=True, check=True)
        taken = cpu_s(server) - before
    found = re.search(r"status codes: (\d+) 2xx", done.stdout)
    if not found or int(found[1]) != requests:
        raise RuntimeError(f"requests failed: {done.stdout}")
    return 1000 * taken / requests


def measure(start: Start, rows: Sequence[Row], predictions: Sequence[Any], seconds: float) -> Result:
    """Raises RuntimeError when the server does not start, fails, or predicts something else."""
    begin = time.monotonic()
    with start() as server:
        wait_until_ready(server, rows[0])
        ready = time.monotonic() - begin
        for row, expected in zip(rows, predictions, strict=True):
            if (found := ask(server, row)) != expected:
                raise RuntimeError(f"it predicts {found!r}, and the model {expected!r}, for {row}")
        body = server.body(rows[0])
        single = bench.closed(server.url, body, 1, seconds, socket=server.socket())
        many = bench.closed(server.url, body, 16, seconds, socket=server.socket())
        for item in (single, many):
            if item.errors:
                raise RuntimeError(f"{item.errors} of {item.requests} requests failed")
        cost = cpu_ms(server, body, max(100, round(many.rate * seconds / 2)))
        return Result(ready, single.latencies_ms[0], single.latencies_ms[2], many.rate, cost, memory(server))


def best(found: Sequence[Result]) -> Result:
    return Result(
        min(item.ready_s for item in found),
        min(item.p50_ms for item in found),
        min(item.p99_ms for item in found),
        max(item.rate for item in found),
        min(item.cpu_ms for item in found),
        min(item.memory for item in found),
    )


def starts(name: str, directory: Path, environments: Path | None, left_out: dict[str, str]) -> dict[str, Start]:
    """The servers that there are; why others are not goes to `left_out`."""
    found: dict[str, Start] = {
        "Turnout": partial(servers.turnout, name, alone=False),
        "Turnout's worker alone": partial(servers.turnout, name, alone=True),
        "bare loop": partial(servers.bare_loop, directory),
        "mlflow models serve": partial(servers.mlflow, directory),
    }
    for other, start in servers.OTHERS.items():
        if environments is None:
            left_out[other] = "no --environments"
            continue
        try:
            found[other] = partial(start, directory, servers.environment(other, environments))
        except subprocess.CalledProcessError as error:
            left_out[other] = f"it cannot be installed: {str(error.output).strip()[-500:]}"
    return found


def report(results: dict[str, list[Result]], left_out: dict[str, str]) -> None:
    found = {label: best(rounds) for label, rounds in results.items() if rounds}
    for label, why in left_out.items():
        print(f"{label}: not measured: {why}")
    if "Turnout" not in found:
        sys.exit("Turnout itself was not measured")
    ours = found["Turnout"]
    print(f"{'':24}{'ready s':>9}{'p50 ms':>9}{'p99 ms':>9}{'16 clients/s':>14}{'CPU ms':>9}{'MiB':>7}"
          f"{'p50 times':>11}{'per s, times':>14}")  # fmt: skip
    for label, item in found.items():
        print(f"{label:24}{item.ready_s:9.1f}{item.p50_ms:9.2f}{item.p99_ms:9.2f}{item.rate:14,.0f}{item.cpu_ms:9.3f}"
              f"{item.memory:7.0f}{item.p50_ms / ours.p50_ms:11.1f}{item.rate / ours.rate:14.2f}")  # fmt: skip
    rivals = [item for label, item in found.items() if label in ("mlflow models serve", *servers.OTHERS)]
    if rivals:
        fastest = min(item.p50_ms for item in rivals)
        print(
            f"p50 through Envoy {ours.p50_ms:.2f} ms, {fastest / ours.p50_ms:.1f} times better than the best other one"
        )
    if bare := found.get("bare loop"):
        worker = found.get("Turnout's worker alone", ours)
        print(f"through Envoy {ours.rate / bare.rate:.2f} of the bare loop's requests a second; the worker alone costs "
              f"{worker.cpu_ms / bare.cpu_ms:.2f} times its time a request")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="flight-delay@champion")
    parser.add_argument("--environments", type=Path, help="where the other servers' environments are, or are made")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="of the servers, by parts of their names")
    options = parser.parse_args()
    version = look_up(f"models:/{options.model}")
    name = f"{version.name}/{version.version}"
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place:
        directory = fetch(version, place)
        rows, predictions = rows_of(version, directory)
        found = starts(name, directory, options.environments, left_out)
        if options.only:
            found = {label: start for label, start in found.items() if any(part in label for part in options.only)}
        print(f"{name}, {len(rows[0])} columns, {len(set(predictions))} kinds of predictions for {len(rows)} rows, "
              f"{os.cpu_count()} cores", flush=True)  # fmt: skip
        results: dict[str, list[Result]] = {label: [] for label in found}
        for _ in range(options.rounds):
            for label, start in found.items():
                if label in left_out:
                    continue
                try:
                    results[label].append(measure(start, rows, predictions, options.seconds))
                except RuntimeError as error:
                    left_out[label] = str(error)
                    print(f"{label}: {error}", file=sys.stderr)
    report(results, left_out)


if __name__ == "__main__":
    main()
