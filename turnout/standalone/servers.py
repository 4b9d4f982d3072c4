"""Starts the servers of a project, watches them, and ends all that they have started."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turnout.errors import ServerError
from turnout.runtimes.process import supervised
from turnout.standalone import postgres
from turnout.standalone.ports import LOOPBACK, check_free
from turnout.standalone.settings import (
    Project,
    airflow_variables,
    mlflow_command,
    mlflow_variables,
    no_postgres,
    serves_mlflow,
)

AIRFLOW = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),  # whose servers would listen on all interfaces; the API reads the files
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
"""Airflow's own processes, with their options."""

_HEALTHY_PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_POLL_S = 0.3
_GRACE_S = 8.0
_SOON_S = 60.0
_WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class _Server:
    """One process, with what it was started with."""

    name: str
    command: list[str]
    variables: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)
    started: float = field(init=False)

    def start(self) -> None:
        self.started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = supervised(self.command, None, env=self.variables, stdout=log, stderr=subprocess.STDOUT)

    def why(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(f"  {line}" for line in lines)


class Servers:
    """The servers of a project. Each is below a process that ends all of it, also when this process is killed.

    Args:
        say: prints a line.
    """

    def __init__(self, project: Project, say: Callable[[str], None]):
        self.project, self._say = project, say
        self._given = dict(os.environ)
        self._logs = project.home / "servers"
        self._servers: list[_Server] = []
        self._database: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        """Start all, say when they are ready, and watch them until a signal comes. Raises ServerError."""
        project = self.project
        check_free(project.port, "Airflow", "--port")
        if serves_mlflow(self.project, self._given):
            check_free(project.mlflow_port, "MLflow", "--mlflow-port")
        project.check()
        self._logs.mkdir(parents=True, exist_ok=True)
        with self._alone(), self._until_signal():
            try:
                self._say(f"starting Airflow in {project.home} (a minute; the first time, two)")
                self._start()
                self._watch()
            finally:
                self._stop()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two would write to one database: the second is refused."""
        with (self.project.home / "running").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                hint = "end it with Ctrl-C, or take another directory with --home"
                what = f"Airflow is running for this project, in process {lock.read().strip()}"
                raise ServerError(what, where=str(self.project.home), hint=hint) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @contextlib.contextmanager
    def _until_signal(self) -> Iterator[None]:
        """An interrupt, SIGTERM, and the end of the terminal stop everything; further ones change nothing."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: self._stopping.set()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        if serves_mlflow(self.project, self._given):
            self._begin("mlflow", mlflow_command(self.project, self._given), mlflow_variables(self._given))
        address, database = self._start_database()
        variables = airflow_variables(self.project, address, self._given)
        airflow = str(self.project.environment / "bin" / "airflow")
        migration = _Server("db-migrate", [airflow, "db", "migrate"], variables, self._logs / "db-migrate.log")
        migration.start()
        self._servers.append(migration)
        while migration.process.poll() is None and not self._stopping.wait(_POLL_S):
            pass
        if self._stopping.is_set():
            return
        self._servers.remove(migration)
        if migration.process.returncode:
            raise ServerError(f"Airflow's database cannot be made\n{migration.why()}", where=str(migration.log))
        for name, options in AIRFLOW.items():
            self._begin(name, [airflow, name, *options], variables)
        while not self._healthy():
            if self._stopping.wait(_POLL_S):
                return
            self._check()
        self._say(self._ready(database, variables))

    def _begin(self, name: str, command: list[str], variables: Mapping[str, str]) -> None:
        server = _Server(name, command, dict(variables), self._logs / f"{name}.log")
        server.log.unlink(missing_ok=True)
        server.start()
        self._servers.append(server)

    def _start_database(self) -> tuple[str, str]:
        """The address of the database, and what it is, in words."""
        reason = no_postgres(self.project)
        if not reason:
            log = self._logs / "postgres.log"
            python = str(self.project.environment / "bin" / "python")
            command = [python, postgres.__file__, str(self.project.home / "postgres")]
            with log.open("wb") as file:
                self._database = supervised(command, None, stdout=subprocess.PIPE, stderr=file)
            assert self._database.stdout is not None
            address = self._database.stdout.readline().decode().strip()
            if address:
                return address, "PostgreSQL"
            reason = f"PostgreSQL did not start: {log}"
        weak = "Pause a DAG while you make a backfill of it, or Airflow's scheduler can fail."
        return f"sqlite:///{self.project.home}/airflow.db", f"SQLite ({reason}). {weak}"

    def _healthy(self) -> bool:
        """Whether all of Airflow answers, and MLflow."""
        try:
            parts = json.loads(_read(f"http://{LOOPBACK}:{self.project.port}/api/v2/monitor/health"))
            if serves_mlflow(self.project, self._given):
                _read(f"http://{LOOPBACK}:{self.project.mlflow_port}/health")
        except (OSError, ValueError):
            return False
        return all(parts[part]["status"] == "healthy" for part in _HEALTHY_PARTS)

    def _check(self) -> None:
        """Start again what has ended. Raises ServerError when something ends soon after its start."""
        for server in self._servers:
            status = server.process.poll()
            if status is None:
                continue
            if time.monotonic() - server.started < _SOON_S:
                what = f"{server.name} has ended, with status {status}"
                raise ServerError(f"{what}\n{server.why()}", where=str(server.log))
            self._say(f"{server.name} has ended, with status {status}, and is started again; see {server.log}")
            server.start()

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_S):
            self._check()

    def _ready(self, database: str, variables: Mapping[str, str]) -> str:
        mlflow = variables.get("MLFLOW_TRACKING_URI") or "none: the steps' environment has no turnout[train]"
        dags = len([*self.project.dags.glob("**/*.py")])
        return f"""
Airflow is ready: {self.project.url}

  log in    nobody is asked: whoever reaches {LOOPBACK} of this machine may do everything
  MLflow    {mlflow}
  DAGs      {dags} files in {self.project.dags}
  steps     {variables["AIRFLOW__CORE__PARALLELISM"]} at once, by {variables["AIRFLOW__TURNOUT__PYTHON"]}
  runs      {variables["AIRFLOW__TURNOUT__ROOT"]}
  database  {database}
  logs      {self._logs}
  stop      Ctrl-C
"""

    def _stop(self) -> None:
        """End everything: the servers at once, and then what they write to."""
        self._say("stopping")
        _end([server.process for server in self._servers])
        if self._database is not None:
            _end([self._database])
        self._say("all has ended")


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End supervised processes: with SIGTERM, and what has not ended in time, with all that it has started, at once."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
            continue
        process.send_signal(signal.SIGQUIT)
    for process in processes:
        process.wait()


def _read(address: str) -> bytes:
    with _WITHOUT_PROXY.open(address, timeout=5) as response:
        found: bytes = response.read()
        return found
