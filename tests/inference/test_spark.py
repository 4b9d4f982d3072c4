"""The Spark engine, on a real standalone cluster and on Spark Connect: the table that the other engine writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from paths import PROJECT, TESTS
from predictions import INPUTS, ROWS, Ran, make_table, register, rows_of, slow_model
from spark_cluster import SparkServers
from waiting import wait

from turnout.models.compiled.judged import keep_rows
from turnout.models.compiled.keeping import keep_compiled
from turnout.models.estimators import make_estimator, make_model
from turnout.models.files import download
from turnout.models.inputs import plain_types
from turnout.models.registry import look_up

SETTINGS = {"spark.executor.memory": "512m", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
pytestmark = pytest.mark.slow

STEP = """
import json, sys
sys.path.insert(0, {tests!r})
from predictions import Ran
from pathlib import Path
given = json.loads({given!r})
print(json.dumps(Ran(Path({directory!r}), Path({directory!r}) / "in.parquet", engine="spark", **given).result))
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkServers]:
    servers = SparkServers(tmp_path_factory.mktemp("spark"), Path(sys.executable))
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def cluster(servers: SparkServers) -> str:
    return servers.start_cluster()


@pytest.fixture(scope="module")
def connect(servers: SparkServers) -> str:
    return servers.start_connect()


def start(directory: Path, **given: Any) -> subprocess.Popen[str]:
    """The component in a process of its own, as a step has it."""
    program = STEP.format(tests=str(TESTS), directory=str(directory), given=json.dumps(given))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.fixture
def table(tracking: str, tmp_path: Path) -> pd.DataFrame:
    table = make_table()
    inputs = plain_types(table[INPUTS])
    estimator = make_estimator("lightgbm.LGBMClassifier", {"n_estimators": 10}, 0, "classification")
    fitted = make_model(inputs, estimator).fit(inputs, table["label"])
    with mlflow.start_run():
        register("m", fitted, inputs, serialization_format="cloudpickle")
    Ran(tmp_path, table, table=str(tmp_path / "expected"))
    return table


def check(tmp_path: Path) -> None:
    """Hold the table against the one of the other engine."""
    columns = ["id", "when", "prediction", "probability", "model_version", "date"]
    pd.testing.assert_frame_equal(rows_of(tmp_path / "out")[columns], rows_of(tmp_path / "expected")[columns])


def test_a_standalone_cluster_writes_the_same_table(cluster: str, table: pd.DataFrame, tmp_path: Path) -> None:
    status, out, err = ended(start(tmp_path, master=cluster, spark_conf=SETTINGS))
    assert status == 0, err
    assert json.loads(out.splitlines()[-1]) == [ROWS, ROWS, 0, "1", "spark"]
    check(tmp_path)


def test_spark_connect_writes_the_same_table_by_the_compiled_form_alone(
    connect: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    version = look_up("models:/m/1")
    keep_rows(version.run_id, plain_types(table[INPUTS]))
    (tmp_path / "model").mkdir()
    assert keep_compiled(version, download(version, str(tmp_path / "model"))).startswith("compiled: ")
    (pickle,) = tmp_path.glob("mlruns/**/model.pkl")
    pickle.unlink()
    status, out, err = ended(start(tmp_path, master=connect))
    assert status == 0, err
    assert "models:/m/1: its compiled form answers" in out
    assert json.loads(out.splitlines()[-1]) == [ROWS, ROWS, 0, "1", "spark"]
    check(tmp_path)


# In `make test`: a stream on Spark, `test_rows_that_cannot_be_predicted`.
@pytest.mark.nightly
def test_a_row_that_fails_on_a_cluster_is_named(cluster: str, tracking: str, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    table = make_table()
    inputs = table[["number", "size"]].astype(float)
    register("m", LogisticRegression().fit(inputs, table["label"]), inputs)
    table.loc[7, "number"] = np.nan
    table.to_parquet(tmp_path / "in.parquet", index=False, row_group_size=500)
    once = SETTINGS | {"spark.task.maxFailures": "1"}  # by default Spark tries four times
    status, _, err = ended(start(tmp_path, master=cluster, spark_conf=once))
    assert status == 1
    assert "the Spark job failed: 1 rows cannot be predicted" in err
    assert "'id': 7" in err
    assert "contains NaN" in err
    assert rows_of(tmp_path / "out").empty


def test_a_worker_that_is_lost_costs_time_and_no_row(
    servers: SparkServers, cluster: str, tracking: str, tmp_path: Path
) -> None:
    table = make_table(6_000)
    slow_model(table)
    table.to_parquet(tmp_path / "in.parquet", index=False, row_group_size=500)
    process = start(tmp_path, master=cluster, spark_conf=SETTINGS, model="models:/slow/1")
    wait(lambda: len(list(tmp_path.glob("out/date=*/*.parquet"))) >= 3, "some pieces", 120)
    assert process.poll() is None
    servers.kill("worker-1")
    status, out, err = ended(process)
    assert status == 0, err
    assert json.loads(out.splitlines()[-1])[:3] == [6_000, 6_000, 0]
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(6_000))
    np.testing.assert_allclose(found["prediction"], table["number"] * 2)
