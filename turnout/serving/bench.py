"""How fast a server answers: in a closed loop (clients that wait for an answer), and in an open one (a given rate).

The load is made by `h2load` of nghttp2, which writes down when each request began and how long it took.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from turnout.errors import ServerError

QUANTILES = (0.5, 0.9, 0.99, 0.999)
PARTS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
"""Of the most that closed loops reach: the rates of the open loop."""

_KNEE = 5.0
_KEPT_UP = 0.95
_CLIENTS, _CLIENT_RATE = 64, 10.0
"""Of an open loop, at most, and what each sends a second. A client sends its next request when its time has come, if it
has the answer to the one before: with many, one slow answer holds up little."""


@dataclass(frozen=True)
class Measured:
    """What came of a load.

    Attributes:
        loop: `closed` or `open`.
        connections: of clients at the same time.
        asked: requests a second that were to be sent; 0 in a closed loop.
        rate: answers with status 200, a second.
        errors: other answers, and none.
        latencies_ms: at `QUANTILES`.
    """

    loop: str
    connections: int
    asked: float
    rate: float
    requests: int
    errors: int
    latencies_ms: tuple[float, ...] = field(default=())


def closed(
    url: str, body: bytes, connections: int, seconds: float, headers: Sequence[str] = (), socket: str = ""
) -> Measured:
    """So many clients, each of which sends the next request when it has an answer.

    Args:
        socket: a Unix socket to connect to, in the place of the address's host.
    """
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as place:
        table = _load(url, body, connections, seconds, headers, Path(place) / "only", socket=socket)
    return measured(table, connections, 0.0)


def opened(url: str, body: bytes, rate: float, seconds: float, headers: Sequence[str] = ()) -> Measured:
    """So many requests a second, however fast answers come.

    Each client is a process that begins at a time of its own: clients of one process would all send at once.
    """
    clients = min(_CLIENTS, max(1, round(rate / _CLIENT_RATE)))
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as place, ThreadPoolExecutor(clients) as pool:

        def client(index: int) -> np.ndarray:
            time.sleep(index / rate)
            return _load(url, body, 1, seconds, headers, Path(place) / str(index), rate / clients)

        return measured(np.concatenate(list(pool.map(client, range(clients)))), clients, rate)


def knee(found: Sequence[Measured]) -> Measured | None:
    """Of open loops, the highest rate that the server keeps up with: above it answers take much longer.

    It keeps up when it answers 95 % of what it is asked, without errors, and its p99 is at most five times that of the
    lowest rate.
    """
    loops = sorted((item for item in found if item.loop == "open" and item.latencies_ms), key=lambda item: item.asked)
    best = None
    for item in loops:
        slow = item.latencies_ms[2] > _KNEE * loops[0].latencies_ms[2]
        if slow or item.errors or item.rate < _KEPT_UP * item.asked:
            break
        best = item
    return best


def program() -> str:
    """The path of `h2load`. Raises ServerError when it is not installed."""
    if found := shutil.which("h2load"):
        return found
    hint = "install nghttp2: apt-get install nghttp2-client, or brew install nghttp2"
    raise ServerError("h2load is not installed; it makes the load", where="PATH", hint=hint)


def _load(
    url: str,
    body: bytes,
    connections: int,
    seconds: float,
    headers: Sequence[str],
    place: Path,
    rate: float = 0.0,
    socket: str = "",
) -> np.ndarray:
    """What h2load has written down in a directory that it makes; see `written`."""
    place.mkdir()
    (place / "body").write_bytes(body)
    command = [program(), "--h1", "-t", "1", "-c", str(connections), "-D", f"{max(1, round(seconds))}",
               "--warm-up-time", "1", "-d", str(place / "body"), "--log-file", str(place / "log")]  # fmt: skip
    for header in ("content-type: application/json", *headers):
        command += ["-H", header]
    if socket:
        command += ["--base-uri", f"unix:{socket}"]
    if rate:
        command += ["--rps", f"{rate:.6f}"]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
    table = written((place / "log").read_text() if (place / "log").exists() else "")
    if done.returncode or not len(table):
        raise ServerError(f"no request was answered: {(done.stderr or done.stdout).strip()[-300:]}", where=url,
                          hint="does the server run? Look: turnout serve status")  # fmt: skip
    return table


def written(log: str) -> np.ndarray:
    """What h2load's log says: start in microseconds, status, microseconds; shape (requests, 3).

    A request that failed has the status -1. One with 0 was answered, and is left out: its headers came in the time to
    warm up, of which h2load keeps no status, and its body after that.
    """
    rows = [line.split("\t")[:3] for line in log.splitlines()]
    return np.array([row for row in rows if row[1] != "0"], dtype=float).reshape(-1, 3)


def measured(table: np.ndarray, connections: int, rate: float) -> Measured:
    """What came of a load, from what was `written`."""
    good = table[table[:, 1] == 200]
    ends = table[:, 0] + table[:, 2]
    seconds = max(1e-6, (ends.max() - table[:, 0].min()) / 1e6)
    latencies = tuple(float(value) / 1000 for value in np.quantile(good[:, 2], QUANTILES)) if len(good) else ()
    loop = "open" if rate else "closed"
    return Measured(
        loop, connections, float(rate), float(len(good) / seconds), len(table), len(table) - len(good), latencies
    )
