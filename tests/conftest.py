"""What the tests share: examples run on the local track, and a tracking server of their own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import COLUMNS, Commands
from paths import PROJECT

if TYPE_CHECKING:
    import pandas as pd

# Several processes run tests at once: none takes all cores, and the many short-lived JVMs of Spark do not spend more on
# their optimising compiler than on their work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # LightGBM takes its own number of threads; as for steps, see `PATIENT`
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


TOGETHER = {
    "tests/models/test_reduced.py": "a trained network",
    "tests/inference/test_spark.py": "a Spark cluster",
    "tests/inference/test_stream.py": "a Spark session",
    "tests/features/test_feast_spark.py": "a Spark session",
    "tests/serving/test_release.py": "a server",
    "tests/serving/test_release_in_kfp_pods.py": "a server",
    "tests/serving/test_serve_command.py": "a server",
    "tests/serving/test_serving_dashboard.py": "a Prometheus",
    "tests/serving/test_hanging_model.py": "a server",
    "tests/serving/test_serving_faults.py": "a server",
    "tests/airflow/test_batch_inference.py": "a standalone Airflow",
    "tests/airflow/test_command.py": "a standalone Airflow",
    "tests/airflow/test_drift_check.py": "a standalone Airflow",
    "tests/airflow/test_journeys.py": "a standalone Airflow",
    "tests/airflow/test_new_team.py": "a standalone Airflow",
    "tests/airflow/test_release_on_airflow.py": "a standalone Airflow",
    "tests/airflow/test_standalone.py": "a standalone Airflow",
    "tests/airflow/": "a database of Airflow",
}
"""Files whose tests share something that takes long to start: one process runs them, one after the other."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests go to processes one by one, but those that share something go together.

    The mark `xdist_group` would do, but with pytest 9.2 pytest-xdist 3.8 does not see it.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((shared for path, shared in TOGETHER.items() if nodeid.startswith(path)), nodeid)

    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no process is left with one of them when the others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@dataclass(frozen=True)
class Ran:
    """A `turnout` command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.json["steps"] if step["name"] == name)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an empty MLflow, made once for all processes: MLflow takes seconds to make one."""
    made = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the directory that the workers share
        made = made.parent
    path = made / "empty-mlflow.db"
    with (made / "empty-mlflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not path.exists():
            program = "import sys, mlflow; mlflow.set_tracking_uri(sys.argv[1]); mlflow.search_experiments()"
            making = made / "mlflow-in-the-making.db"
            subprocess.run([sys.executable, "-c", program, f"sqlite:///{making}"], check=True, cwd=made)
            making.rename(path)
    return path


def copy_mlflow(empty: Path, target: Path, artifacts: Path) -> None:
    """Put a copy of the empty MLflow into a directory, with its default experiment's artifacts below another."""
    shutil.copyfile(empty, target)
    with contextlib.closing(sqlite3.connect(target)) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", [str(artifacts / "mlruns" / "0")])


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """The process that `turnout` commands are forked from."""
    made = Commands()
    yield made
    made.stop()


@pytest.fixture
def turnout(tmp_path: Path, empty_mlflow: Path, commands: Commands) -> Callable[..., Ran]:
    """Run the command as a user does, in this project, with records and MLflow in a directory of the test's."""
    copy_mlflow(empty_mlflow, tmp_path / "mlflow.db", PROJECT)

    def run(*arguments: str, directory: Path = PROJECT) -> Ran:
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
        environment |= {"TURNOUT_ROOT": str(tmp_path / "runs"), "COLUMNS": COLUMNS}
        return Ran(*commands.run([*arguments], directory, environment))

    return run


@pytest.fixture
def tracking(tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty MLflow of the test's own, for components called as functions."""
    import mlflow

    copy_mlflow(empty_mlflow, tmp_path / "mlflow.db", tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("Default")  # one that an earlier test has chosen is not in this MLflow
    return uri


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an object store that speaks S3, which the variables of S3's libraries name."""
    import boto3
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()  # of another test's server

    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="runs")
    yield "runs"
    server.stop()


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[..., Any]:
    """Makes artifacts of kfp's types in a directory of the test's, with a table where one is given."""

    def make(kind: type, name: str, table: pd.DataFrame | None = None, **metadata: Any) -> Any:
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        made = kind(name=name, uri=str(tmp_path / "artifacts" / name), metadata=metadata)
        if table is not None:
            table.to_parquet(made.path, index=False)
        return made

    return make


@pytest.fixture
def table() -> pd.DataFrame:
    """A target that depends on a number and a category, with nulls in both; 600 hours."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    number, kind = rng.normal(size=600), rng.choice(["a", "b", "c"], 600)
    chance = 1 / (1 + np.exp(-2 * number - (kind == "a")))
    return pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC"),
            "number": np.where(rng.random(600) < 0.1, np.nan, number),
            "kind": np.where(rng.random(600) < 0.1, None, kind),
            "target": (rng.random(600) < chance).astype(int),
        }
    )
