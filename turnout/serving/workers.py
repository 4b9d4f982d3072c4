"""The worker processes of a version: started, watched until they answer, started again when they die or hang."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from turnout.models.compiled.answering import Answering
from turnout.runtimes.process import supervised
from turnout.serving.answering import forget, told
from turnout.serving.envoy.api import LIVE_PATH, READY_PATH
from turnout.serving.envoy.processes import ask, child

State = Literal["waiting", "loading", "serving", "failed", "ending"]

FAILURES = 3
"""Ends before a worker was ready, after which a version is said to fail. It is tried again, more and more seldom."""

_CANNOT_SERVE = 3
"""A worker's exit status when it is of no use to start it again as it is."""

_PROBE_S, _PROBE_TIME_OUT_S = 0.2, 2.0
_HANGS_S, _ABORTS_S, _STANDSTILL_S = 10.0, 2.0, 1.0
_LOADS_S = 300.0
_STEADY_S = 60.0
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class _Health:
    """What a worker says of itself: whether it answers requests, and whether its model's calls come back."""

    ready: bool
    live: bool


@dataclass
class _Worker:
    """One process; what is known of it now.

    Attributes:
        stuck: it answers requests, but its model does not: with what stands in for the model, or with 504.
    """

    index: int
    socket: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    answered: float = 0.0
    silent: float = 0.0
    aborted: bool = False
    asked: float = 0.0
    ready: bool = False
    stuck: bool = False
    failures: int = 0
    restarts: int = 0
    why: str = ""
    answering: Answering | None = None
    answer: concurrent.futures.Future[_Health] | None = field(default=None, repr=False)

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Workers:
    """The workers of a version with a fallback.

    Args:
        name: of the group, unlike any other's.
        sockets: the directory of their sockets, whose path is short.
        generation: of the workers with this name: others that end at this time have sockets of their own.
        logs: the directory of their logs.
        command: of the worker with a number, that listens on a socket.
        variables: the environment of the processes.
        probes: where it is asked whether workers are ready: one that hangs holds up nobody.
    """

    def __init__(
        self,
        name: str,
        version: str,
        count: int,
        sockets: Path,
        logs: Path,
        command: Callable[[int, Path], list[str]],
        variables: Mapping[str, str],
        probes: concurrent.futures.Executor,
        generation: int = 0,
    ):
        self.name, self.version = name, version
        self._command, self._variables, self._probes = command, dict(variables), probes
        named = f"{name}.{generation}"
        self._workers = [
            _Worker(index, sockets / f"{named}-{index}", logs / f"worker-{name}-{index}.log") for index in range(count)
        ]
        self._looked = time.monotonic()
        self.loaded = False
        """Whether all have been ready once."""

    @property
    def sockets(self) -> tuple[str, ...]:
        return tuple(str(worker.socket) for worker in self._workers)

    @property
    def ready(self) -> int:
        """How many answer."""
        return sum(worker.ready and worker.lives for worker in self._workers)

    @property
    def complete(self) -> bool:
        """Whether all answer."""
        return self.ready == len(self._workers)

    @property
    def problem(self) -> str:
        """Why workers are missing; empty when none is."""
        missing = [worker for worker in self._workers if worker.why and not worker.ready]
        if not missing:
            return ""
        counted = f"{len(missing)} of {len(self._workers)} workers of version {self.version}"
        return f"{counted} do not run: {missing[0].why}"

    @property
    def failed(self) -> bool:
        """Whether the version cannot be loaded, as far as is known."""
        return not self.loaded and any(worker.failures >= FAILURES for worker in self._workers)

    def tick(self) -> list[str]:
        """Look after each worker; what there is to say."""
        now = time.monotonic()
        # While this process, or the whole machine, stood still nobody could answer.
        passed, self._looked = min(now - self._looked, _STANDSTILL_S), now
        for worker in self._workers:
            worker.silent += passed
        said = [line for worker in self._workers if (line := self._look_after(worker, now))]
        if not self.loaded and self.complete:
            self.loaded = True
            said.append(f"version {self.version} is ready, in {now - min(w.started for w in self._workers):.1f} s")
        return said

    def status(self) -> list[dict[str, Any]]:
        return [
            {
                "pid": child(worker.process.pid) if worker.lives and worker.process else 0,
                "ready": worker.ready and worker.lives,
                "restarts": worker.restarts,
                "problem": worker.why if not worker.ready else "",
                "form": worker.answering.form if worker.answering else "",
                "form_reason": worker.answering.why if worker.answering else "",
            }
            for worker in self._workers
        ]

    def metrics(self) -> dict[str, str]:
        """Of each worker that answers, in Prometheus' text form."""
        found = {}
        for worker in self._workers:
            if worker.ready and worker.lives:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    status, body = ask(worker.socket, "GET", "/metrics")
                    if status == 200:
                        found[f"worker-{self.name}-{worker.index}"] = body.decode()
        return found

    def end(self, seconds: float) -> None:
        """Let them end what they have at work, for so many seconds."""
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in running:
            process.terminate()
        end = time.monotonic() + seconds
        for process in running:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait()
        for worker in self._workers:
            worker.socket.unlink(missing_ok=True)
            forget(worker.socket)

    def _look_after(self, worker: _Worker, now: float) -> str:
        if not worker.lives:
            return self._ended(worker, now)
        self._probe(worker, now)
        if worker.ready and now - worker.started > _STEADY_S:
            worker.failures = 0
        allowed = _HANGS_S if worker.ready or worker.answered else _LOADS_S
        if worker.silent <= allowed or worker.process is None or (worker.stuck and self._lacks_another(worker)):
            return ""
        if not worker.aborted and (pid := child(worker.process.pid)):
            worker.aborted = True
            worker.why = f"it did not answer for {worker.silent:.0f} s"
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)  # it tells its log where it hangs
            return f"worker {self.name}-{worker.index} does not answer for {worker.silent:.0f} s, and is ended"
        if worker.silent > allowed + _ABORTS_S:
            worker.process.send_signal(signal.SIGQUIT)
        return ""

    def _lacks_another(self, worker: _Worker) -> bool:
        """Whether another worker is about to be there: who still answers waits for it, so that one always does."""
        others = [other for other in self._workers if other is not worker]
        return any(other.aborted or not other.ready or not other.lives for other in others)

    def _ended(self, worker: _Worker, now: float) -> str:
        """Start a worker that does not run, when it is time."""
        said = ""
        if worker.process is not None and worker.started:
            status = worker.process.returncode
            worker.failures = max(worker.failures + 1, FAILURES if status == _CANNOT_SERVE else 0)
            worker.restarts += 1
            worker.why = worker.why if worker.why.startswith("it did not answer") else self._why(worker, status)
            said = f"worker {self.name}-{worker.index} has ended ({worker.why}), and is started again"
            worker.process, worker.ready, worker.answer = None, False, None
            worker.asked = now  # the time of its end, from now on
        wait = min(_LONGEST_WAIT_S, 0.1 * 4 ** (worker.failures - 1)) if worker.failures > 1 else 0.0
        if now - worker.asked >= wait:
            self._start(worker, now)
        return said

    def _start(self, worker: _Worker, now: float) -> None:
        worker.socket.unlink(missing_ok=True)
        forget(worker.socket)
        with worker.log.open("ab") as log:
            worker.process = supervised(
                self._command(worker.index, worker.socket),
                None,
                env={**self._variables, "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        worker.started, worker.answered, worker.asked = now, 0.0, 0.0
        worker.silent, worker.aborted, worker.stuck = 0.0, False, False

    def _probe(self, worker: _Worker, now: float) -> None:
        """Ask again whether a worker is ready, and note what it said before."""
        if worker.answer is not None and worker.answer.done():
            health = worker.answer.result()
            worker.stuck = health.ready and not health.live
            if health.ready and health.live:
                if not worker.ready:
                    worker.answering = told(worker.socket)
                worker.answered, worker.ready, worker.why, worker.silent = now, True, "", 0.0
            worker.answer = None
            worker.asked = now
        pause = 1.0 if worker.ready else _PROBE_S
        if worker.answer is None and now - worker.asked >= pause:
            worker.answer = self._probes.submit(_health, worker.socket)

    def _why(self, worker: _Worker, status: int) -> str:
        how = f"killed by signal {-status}" if status < 0 else f"status {status}"
        with worker.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "cannot" in line or "Error" in line] or lines
        return f"{how}: {errors[-1][:300]}" if lines and status > 0 else how


def _health(path: Path) -> _Health:
    try:
        return _Health(*(ask(path, "GET", page, _PROBE_TIME_OUT_S)[0] == 200 for page in (READY_PATH, LIVE_PATH)))
    except (OSError, http.client.HTTPException):
        return _Health(ready=False, live=False)
