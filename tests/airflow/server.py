"""A standalone Airflow: its scheduler, DAG processor, triggerer and API, with a small client of the API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from waiting import free_ports, wait

AIRFLOW = Path(sys.executable).parent


class Server:
    """An Airflow of its own, in a directory; its DAG folder is `dags` there."""

    def __init__(self, home: Path, environment: dict[str, str]):
        self.home = home
        port, *others = free_ports(4)
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            **environment,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__TURNOUT__ROOT": str(home / "root"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(others[0]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(others[1]),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(others[2]),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # no file changes
            "PATH": f"{AIRFLOW}{os.pathsep}{os.environ['PATH']}",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def start(self) -> None:
        with (self.home / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [AIRFLOW / "airflow", "standalone"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def token() -> bool:
            try:
                self.token = self._request("GET", "/auth/token")["access_token"]
            except (OSError, ValueError, urllib.error.HTTPError):
                return False
            return True

        wait(token, "the API", 180)

    def stop(self) -> None:
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        finally:
            left = subprocess.run(["pgrep", "-s", str(self.process.pid)], capture_output=True, text=True)
            for pid in left.stdout.split():
                with contextlib.suppress(ProcessLookupError):  # ended meanwhile
                    os.kill(int(pid), signal.SIGKILL)

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
