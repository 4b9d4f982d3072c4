"""A real Airflow: its database migrated once, its DAG folder this project's and the tests' own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
COMPONENTS = PROJECT / ".venv" / "bin"
# A test's own process has the home of the tests that started it.
HOME = Path(os.environ.get("TURNOUT_TEST_HOME") or tempfile.mkdtemp(prefix="turnout-airflow-"))
DAGS = HOME / "dags"
RANDOM = int(os.environ.get("TURNOUT_RANDOM_PIPELINES", "12"))
"""How many random pipelines to run."""
OWN = {"test_new_team.py"}
"""Files whose tests make all that they need themselves."""
SCHEDULED = ("nightly", "consumer", "killed", "two", "both", "six_hours", "workdays", "late")

(HOME / "secrets.yaml").write_text("secrets: {warehouse: {password: hush}}\nconfig_maps: {limits: {rows: '10'}}\n")

# Airflow reads its configuration when it is first imported.
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__TURNOUT__ROOT=str(HOME / "root"),
    AIRFLOW__TURNOUT__PYTHON=str(COMPONENTS / "python"),
    AIRFLOW__TURNOUT__DIRECTORY=str(PROJECT),
    MLFLOW_TRACKING_URI=f"sqlite:///{HOME}/mlflow.db",
    AIRFLOW__TURNOUT__SECRETS=str(HOME / "secrets.yaml"),
    PYTHONPATH=os.pathsep.join(str(PROJECT / "tests" / name) for name in ("examples", "")),
    # But for uv's, which has what the tests install.
    UV_CACHE_DIR=os.environ.get("UV_CACHE_DIR")
    or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "uv"),
    XDG_CACHE_HOME=str(HOME / "cache"),
    TURNOUT_ENVIRONMENTS=str(PROJECT / ".turnout" / "environments"),
)

import pytest  # noqa: E402 - after the configuration
from playwright.sync_api import Browser, sync_playwright  # noqa: E402

sys.path.insert(0, str(PROJECT / "tests"))
from contract.cases import CASES  # noqa: E402
from server import Server  # noqa: E402
from spark_cluster import SparkServers  # noqa: E402
from visitor import Visitor, chromium  # noqa: E402
from waiting import free_ports  # noqa: E402

PROGRAM = """
import sys
from turnout.runtimes.forkserver import run_to_end
text = sys.argv.pop(1)
run_to_end(lambda: exec(text, {"__name__": "__main__"}) or 0)
"""


TABLES = """
import sys, pandas
small, bad = sys.argv[1:]
table = pandas.read_parquet("data/flights/flights.parquet")
table = table[table.event_timestamp < table.event_timestamp.min() + pandas.Timedelta(days=60)]
table = table.sample(6000, random_state=0).sort_values("event_timestamp")
table.to_parquet(small)
table.loc[table.index[:7], "origin"] = "XXX"
table.to_parquet(bad)
"""
"""A program that writes two tables of flights. In the second, seven start in no airport of New York."""


def run_program(text: str, *arguments: Any, **more: Any) -> str:
    """What a Python program in the components' environment prints; it ends as a step does."""
    command = [COMPONENTS / "python", "-c", PROGRAM, text, *arguments]
    return subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def run_dag(dag: Any, conf: dict[str, Any] | None = None) -> Any:
    """The run of a DAG in this process, as `dag.test()` makes it.

    Each call of that reads all files of the DAG's bundle and writes them to the database: here the DAG's file is one.
    """
    bundle = {
        "name": dag.dag_id,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": dag.fileloc},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)  # tests share warm processes, as tasks of a worker do
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
        return dag.test(run_conf=conf)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests have the database, but for those of the standalone Airflow, which makes one of its own."""
    for item in items:
        inside = Path(__file__).parent in item.path.parents and item.path.name not in OWN
        if inside and not {"airflow", "server"} & set(item.fixturenames):
            item.fixturenames.insert(0, "airflow")


def pytest_unconfigure() -> None:
    """Each process of the tests has a home of its own."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow() -> Path:
    """Compile the tests' pipelines, and make a database."""
    shutil.copytree(PROJECT / "dags", DAGS, ignore=shutil.ignore_patterns("__pycache__"))
    shapes = [f"tests/examples/shapes.py:{name}" for name in ("branch", "failing", "flaky", "nested")]
    shapes.append("tests/examples/lineage.py:lineage")
    subprocess.run([COMPONENTS / "turnout", "compile", *shapes, "--out", DAGS], cwd=PROJECT, check=True)
    contract = dict.fromkeys([*(case.shape for case in CASES), "hostile"])
    sources = [f"tests/contract/shapes.py:{shape}" for shape in contract]
    subprocess.run([COMPONENTS / "turnout", "compile", *sources, "--out", DAGS / "contract"], cwd=PROJECT, check=True)
    (DAGS / "random").mkdir()
    programs = [
        COMPONENTS / "python",
        PROJECT / "tests" / "contract" / "random_programs.py",
        DAGS / "random",
        str(RANDOM),
    ]
    subprocess.run(programs, cwd=PROJECT, check=True)
    subprocess.run([Path(sys.executable).parent / "airflow", "db", "migrate"], check=True, capture_output=True)
    return DAGS


def default(file: Path, parameter: str, value: str) -> None:
    """Give a parameter of a DAG file another default."""
    text, count = re.subn(
        rf'("{parameter}": Param\(\s*)"[^"]*"', lambda found: found[1] + json.dumps(value), file.read_text()
    )
    assert count == 1
    file.write_text(text)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one standalone Airflow, with MLflow, and a connection to the Spark cluster that `spark` starts.

    On SQLite, whose one lock the scheduler can hold for a minute, the API refuses calls under load.
    """
    home = tmp_path_factory.mktemp("standalone")
    shutil.copytree(PROJECT / "dags", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    # Scheduled runs have the defaults; these two would be of the project, and of another test.
    default(home / "dags/flight_delay_batch_inference.py", "table", str(home / "yesterday"))
    default(home / "dags/flight_delay_drift_check.py", "registered_model", "of-yesterday")
    sources = [*(f"tests/examples/scheduled.py:{name}" for name in SCHEDULED), "tests/examples/batch.py:small_batch"]
    subprocess.run([COMPONENTS / "turnout", "compile", *sources, "--out", home / "dags"], cwd=PROJECT, check=True)
    (master,) = free_ports(1)
    environment = {
        "NOTIFIED": str(home),
        "AIRFLOW__TURNOUT__SPARK_CONN_ID": "cluster",
        "AIRFLOW_CONN_CLUSTER": json.dumps({"conn_type": "spark", "host": "spark://127.0.0.1", "port": master}),
    }
    server = Server(home, environment, spark_port=master)
    try:
        server.start()
        assert "database  PostgreSQL" in server.told(), server.told()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def spark(server: Server) -> Iterator[None]:
    """The Spark cluster of the server's connection `cluster`."""
    servers = SparkServers(server.home / "spark", COMPONENTS / "python")
    try:
        servers.start_cluster(port=server.spark_port)
        yield
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def tables(server: Server) -> dict[str, Path]:
    """Small tables of flights: one that is `good`, and one that does not pass its expectations, `bad`."""
    # Pictures of the documentation show where they are.
    place = Path("/tmp/flights") if os.environ.get("UPDATE_SCREENSHOTS") else server.home
    place.mkdir(exist_ok=True)
    found = {name: place / f"{name}.parquet" for name in ("good", "bad")}
    run_program(TABLES, *found.values())
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real one, without a window."""
    with sync_playwright() as playwright:
        path = chromium(playwright.chromium.executable_path)
        if path is None:
            pytest.skip("no Chromium here: install Debian's `chromium`, or call `playwright install chromium`")
        # Its sandbox needs rights that containers lack, and it opens only pages of these tests.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser: Browser, server: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, server)
    yield visitor
    visitor.close()
