"""A registry with the versions of `release_models`, a server that follows it, and what a release is given for them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from conftest import copy_mlflow
from release_models import register
from waiting import free_ports, wait

from turnout.serving.directory import Directory
from turnout.serving.state import State

MODEL = "delays"
PROGRAM = Path(__file__).parent / "serve_logging.py"


class ReleaseServer:
    """Where a release takes place: `environment` is that of its processes."""

    def __init__(self, directory: Path):
        self.directory, self.port = directory, free_ports(1)[0]
        self.serving = Directory(directory / "serving" / MODEL)
        self.environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db"}

    @property
    def versions(self) -> dict[str, float]:
        return {item.version: item.percent for item in State(self.serving.path).require().versions}

    @property
    def told(self) -> str:
        return (self.directory / "told").read_text()

    def parameters(self, version: str) -> dict[str, Any]:
        """What the release pipeline is given for a version, the challenger from now on; few requests are enough."""
        import mlflow

        mlflow.MlflowClient().set_registered_model_alias(MODEL, "challenger", version)
        return {
            "registered_model": MODEL, "target": f"local:{self.directory / 'serving'}", "error_rate": 0.1,
            "golden": str(self.directory / "golden.parquet"), "golden_rows": 20, "wait_minutes": 5, "every_seconds": 1,
            "needed": ["errors", "p50", "predictions"], "latency_ratio": 4, "prediction_share": 0.3,
            "channels": [f"file:{self.directory / 'told'}"], "notices": str(self.directory / "notices.json"),
        }  # fmt: skip

    @contextlib.contextmanager
    def started(self, empty_mlflow: Path) -> Iterator[Self]:
        import mlflow

        copy_mlflow(empty_mlflow, self.directory / "mlflow.db", self.directory)
        mlflow.set_tracking_uri(self.environment["MLFLOW_TRACKING_URI"])
        mlflow.set_experiment("Default")
        register(MODEL, self.directory)
        command = [sys.executable, str(PROGRAM), str(self.serving.path), MODEL, str(self.port)]
        with (self.directory / "serve.out").open("wb") as out:
            server = subprocess.Popen(
                command, cwd=self.directory, env=self.environment, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            wait(lambda: self.serving.read_status().get("ready") or server.poll() is not None, "the server", 60)
            assert server.poll() is None, (self.directory / "serve.out").read_text()
            yield self
        finally:
            server.terminate()
            server.wait(60)
