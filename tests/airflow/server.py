"""A standalone Airflow: its scheduler, DAG processor, triggerer and API, with a small client of the API."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from paths import PROJECT
from processes import lives, parent
from waiting import free_ports, wait

AIRFLOW = Path(sys.executable).parent
TURNOUT = PROJECT / ".venv" / "bin" / "turnout"


class Server:
    """An Airflow of its own, in a directory, as `turnout airflow` starts it; its DAG folder is `dags` there.

    Args:
        environment: further variables.
        turnout: the command that starts it, of the environment whose steps it runs.
        directory: of the project whose steps it runs.
        spark_port: of the Spark master that its connection `cluster` leads to.
    """

    def __init__(
        self,
        home: Path,
        environment: dict[str, str],
        turnout: Path = TURNOUT,
        directory: Path = PROJECT,
        spark_port: int = 0,
    ):
        self.home, self.turnout, self.directory, self.spark_port = home, turnout, directory, spark_port
        # Where the tests are root's, the database is another user's, whom pytest lets into none of its directories.
        self.place = Path(tempfile.mkdtemp(prefix="turnout-airflow-home-"))
        self.place.chmod(0o755)
        self.port, self.mlflow_port = free_ports(2)
        self.url, self.mlflow_url = f"http://localhost:{self.port}", f"http://localhost:{self.mlflow_port}"
        self._variables = {
            **os.environ,
            **environment,
            "AIRFLOW__CORE__PARALLELISM": "4",
            # It waits for half an hour beside other tests: to look ten times a second took a quarter of a core.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # no file changes
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",  # which is served
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(home / "mlruns"),
        }
        self.environment = {**self._variables, "MLFLOW_TRACKING_URI": self.mlflow_url}
        """Of a program that uses the same MLflow."""
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def start(self) -> None:
        command = [
            *(self.turnout, "airflow", "--port", str(self.port), "--mlflow-port", str(self.mlflow_port)),
            *("--environment", AIRFLOW.parent, "--root", self.home / "root"),
            *("--dags", self.home / "dags", "--home", self.place),
        ]
        with (self.home / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self._variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.told()
            return "Airflow is ready" in self.told()

        wait(ready, "Airflow", 180)
        self.token = self._request("GET", "/auth/token")["access_token"]

    def told(self) -> str:
        """What the command has printed."""
        return (self.home / "server.log").read_text()

    def stop(self) -> None:
        """End it as Ctrl-C does, and nothing that it has started is left."""
        if self.process is None:
            return
        before = self.processes()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)
        left = {pid: command for pid, command in {**before, **self.processes()}.items() if lives(pid)}
        shutil.rmtree(self.place, ignore_errors=True)
        assert not left, left

    def processes(self) -> dict[int, str]:
        """What it has started: its descendants, and what has its variables, with their commands."""
        assert self.process is not None
        own, found = {self.process.pid}, {}
        for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
            with contextlib.suppress(OSError):  # it has ended
                command, variables = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
                if parent(int(entry.name)) in own or b"=%s/mlruns\0" % bytes(self.home) in variables:
                    own.add(int(entry.name))
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode()
        return found

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API; the answer, or an `HTTPError` with the reason in its text."""
        return self._request(method, f"/api/v2{path}", body)

    def page(self, path: str, token: str = "") -> str:
        """A page as a browser gets it."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=60) as response:
            return str(response.read().decode())

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read() or b"null")

    def unpause(self, *dags: str) -> None:
        for dag in dags:
            wait(lambda dag=dag: self.known(dag), f"the DAG {dag}", 120)
            self.call("PATCH", f"/dags/{dag}", {"is_paused": False})

    def known(self, dag: str) -> bool:
        try:
            return bool(self.call("GET", f"/dags/{dag}"))
        except urllib.error.HTTPError:
            return False

    def trigger(self, dag: str, **conf: Any) -> str:
        run = self.call("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def backfill(self, dag: str, since: str, until: str, seconds: float = 600, **more: Any) -> None:
        """Make a backfill of an unpaused DAG, and wait for its end; what failed in it, and why, is told."""
        body = {"dag_id": dag, "from_date": since, "to_date": until, **more}
        self.unpause(dag)
        made = self.call("POST", "/backfills", body)
        wait(lambda: self.call("GET", f"/backfills/{made['id']}")["completed_at"], "the backfill", seconds)
        runs = [run for run in self.runs(dag) if run["run_type"] == "backfill"]
        failed = [str(run["dag_run_id"]) for run in runs if run["state"] != "success"]
        assert not failed, "\n".join(self.why(dag, run) for run in failed)

    def why(self, dag: str, run: str) -> str:
        """The states of a run's tasks, and the logs of those that failed."""
        tasks = self.tasks(dag, run)
        told = [run, *(f"{name}: {task['state']}" for name, task in tasks.items())]
        for name, task in tasks.items():
            if task["state"] == "failed":
                path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{name}/logs/{task['try_number']}"
                told += [f"--- {name}", *(line["event"] for line in self.call("GET", path)["content"])]
        return "\n".join(told)

    def runs(self, dag: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/dags/{dag}/dagRuns?limit=100")["dag_runs"]
        return found

    def ended(self, dag: str, run: str, seconds: float = 120) -> str:
        """The state of a run when it has ended."""

        def state() -> str:
            found: str = self.call("GET", f"/dags/{dag}/dagRuns/{run}")["state"]
            return found if found in ("success", "failed") else ""

        return wait(state, f"the end of {dag} {run}", seconds)

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        found = self.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {item["task_id"]: item for item in found}

    def xcom(self, dag: str, run: str, task: str, key: str) -> Any:
        path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}?deserialize=true"
        return self.call("GET", path)["value"]
