"""Spark on loopback, from the wheel: a standalone cluster, and a Spark Connect server."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from waiting import free_ports, wait


class SparkServers:
    """Processes of Spark, each in a group of its own.

    Args:
        directory: for logs and the work of executors.
        python: of the environment with pyspark.
    """

    def __init__(self, directory: Path, python: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.python = directory, python
        find = [python, "-c", "import pyspark; print(pyspark.__path__[0])"]
        self.home = Path(subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip())
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_cluster(self, workers: int = 2, port: int = 0) -> str:
        """Start a master, at a port that is given or free, and workers of one core; the master's URL."""
        page, *pages = free_ports(1 + workers)
        port = port or free_ports(1)[0]
        self._start("master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port),
                    "--webui-port", str(page))  # fmt: skip
        url = f"spark://127.0.0.1:{port}"
        self._wait("master", "I have been elected leader")
        for index in range(workers):
            name = f"worker-{index}"
            self._start(name, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1",
                        "--memory", "1g", "--webui-port", str(pages[index]), "--work-dir", str(self.directory / name),
                        url)  # fmt: skip
        for index in range(workers):
            self._wait(f"worker-{index}", "Successfully registered")
        return url

    def start_connect(self) -> str:
        """Start a Spark Connect server with two cores; its URL."""
        (port,) = free_ports(1)
        command = [self.home / "bin" / "spark-submit", "--master", "local[2]", "--class",
                   "org.apache.spark.sql.connect.service.SparkConnectServer", "--conf", "spark.ui.enabled=false",
                   "--conf", f"spark.connect.grpc.binding.port={port}",
                   "--conf", "spark.connect.grpc.binding.address=127.0.0.1", "spark-internal"]  # fmt: skip
        self._run("connect", command)
        self._wait("connect", "Spark Connect server started at")
        return f"sc://127.0.0.1:{port}"

    def kill(self, name: str) -> None:
        """End a process and its children without warning."""
        os.killpg(self.processes.pop(name).pid, signal.SIGKILL)

    def stop(self) -> None:
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            process.wait(30)
        self.processes.clear()

    def _start(self, name: str, *arguments: str) -> None:
        self._run(name, [self.home / "bin" / "spark-class", *arguments])

    def _run(self, name: str, command: list[Any]) -> None:
        environment = {
            **os.environ,
            "PYSPARK_PYTHON": str(self.python),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.directory / "local"),
            "SPARK_HOME": str(self.home),
        }
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment, cwd=self.directory, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def _wait(self, name: str, text: str, seconds: float = 90) -> None:
        log = self.directory / f"{name}.log"
        wait(lambda: text in log.read_text(errors="replace"), f"'{text}' of {name}", seconds)
