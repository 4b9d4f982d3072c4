"""Streams on a real Spark: each row in the table once, whatever happens meanwhile."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from kfp.dsl import Dataset, Metrics
from paths import PROJECT, TESTS
from predictions import INPUTS, Ran, make_table, register, rows_of, slow_model
from waiting import wait

from turnout import ComponentError
from turnout.components.predict_stream import predict_stream
from turnout.inference import table as tables
from turnout.inference.job import Job, output_schemas
from turnout.models.estimators import make_estimator, make_model
from turnout.models.inputs import plain_types

SETTINGS = {"spark.sql.shuffle.partitions": "2", "spark.driver.bindAddress": "127.0.0.1"}
pytestmark = pytest.mark.slow


@pytest.fixture
def model(tracking: str) -> Any:
    table = make_table()
    inputs = plain_types(table[INPUTS])
    model = make_model(inputs, make_estimator("lightgbm.LGBMClassifier", {"n_estimators": 10}, 0, "classification"))
    model.fit(inputs, table["label"])
    register("m", model, inputs, serialization_format="cloudpickle")
    return model


def make_job(directory: Path, version: Any, model_directory: str) -> Job:
    return Job(
        version, model_directory, str(directory / "out"), str(directory / "failed"), ("id", "offset"), "when", "UTC",
        "r", "2024-02-01T00:00:00+00:00",
    )  # fmt: skip


def put(directory: Path, rows: pd.DataFrame, name: str) -> None:
    """A file of the stream, whole from the moment it is seen."""
    (directory / "in").mkdir(exist_ok=True)
    rows.to_parquet(directory / f"in/.{name}", index=False)
    (directory / f"in/.{name}").rename(directory / f"in/{name}")


def take(directory: Path, **parameters: Any) -> Any:
    given: dict[str, Any] = {
        "model": "models:/m@champion",
        "source": str(directory / "in"),
        "table": str(directory / "out"),
        "checkpoint": str(directory / "checkpoint"),
        "timestamp": "when",
        "keys": ["id"],
        "master": "local[2]",
        "spark_conf": SETTINGS,
    }
    return predict_stream.python_func(
        predictions=Dataset(name="predictions", uri=str(directory / "unused")),
        metrics=Metrics(name="metrics", uri=str(directory / "metrics")),
        **given | parameters,
    )


def test_each_run_takes_what_came_since_the_last(model: Any, tmp_path: Path) -> None:
    table = make_table()
    put(tmp_path, table[:1000], "a.parquet")
    assert take(tmp_path) == (1, 1000, 1000, 0, "1")
    assert take(tmp_path)[:2] == (0, 0)
    put(tmp_path, table[1000:2000], "b.parquet")
    put(tmp_path, table[2000:], "c.parquet")
    assert take(tmp_path, options={"maxFilesPerTrigger": "1"})[:3] == (2, 2000, 2000)
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(3000))
    np.testing.assert_allclose(found["probability"], model.predict_proba(plain_types(table[INPUTS]))[:, 1])
    assert found["date"].astype(str).value_counts().to_dict() == dict.fromkeys(
        ["2024-01-01", "2024-01-02", "2024-01-03"], 1000
    )


def test_several_classes_are_probable_by_name(tracking: str, tmp_path: Path) -> None:
    table = make_table(300)
    inputs = plain_types(table[["number", "size"]])
    model = make_model(inputs, make_estimator("sklearn.linear_model.LogisticRegression", {}, 0, "classification"))
    register("m", model.fit(inputs, table["kind"]), inputs, serialization_format="cloudpickle")
    put(tmp_path, table, "a.parquet")
    assert take(tmp_path)[:3] == (1, 300, 300)
    Ran(tmp_path, table, table=str(tmp_path / "batch"), engine="spark", master="local[2]", spark_conf=SETTINGS)
    for place in ("out", "batch"):
        found = rows_of(tmp_path / place)
        chances = pd.DataFrame([dict(row) for row in found["probabilities"]])
        assert list(chances) == ["a", "b", "c"]
        np.testing.assert_allclose(chances, model.predict_proba(inputs))
        assert found["prediction"].tolist() == model.predict(inputs).tolist()


PROGRAM = """
import json, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/inference"]
from test_stream import take
from pathlib import Path
print(json.dumps(take(Path({directory!r}), **json.loads({given!r}))))
"""


def start(directory: Path, **given: Any) -> subprocess.Popen[str]:
    program = PROGRAM.format(tests=str(TESTS), directory=str(directory), given=json.dumps(given))
    return subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(PROJECT)}, cwd=directory, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def test_a_killed_stream_loses_and_doubles_nothing(tracking: str, tmp_path: Path) -> None:
    table = make_table(600)
    slow_model(table)
    for number in range(6):
        put(tmp_path, table[number * 100 : (number + 1) * 100], f"{number:02}.parquet")

    def reached(count: int) -> bool:
        return len(list(tmp_path.glob("out/_delta_log/*.json"))) > count

    given = {"model": "models:/slow/1", "options": {"maxFilesPerTrigger": "1"}}
    process = start(tmp_path, **given)
    wait(functools.partial(reached, 3), "3 batches", 120)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    ending = start(tmp_path, **given)
    out, _ = ending.communicate(timeout=200)
    assert ending.returncode == 0, out
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(600))


def test_a_batch_whose_commit_spark_did_not_hear_of_is_not_added_again(model: Any, tmp_path: Path) -> None:
    table = make_table()
    put(tmp_path, table, "a.parquet")
    take(tmp_path)
    for file in (tmp_path / "checkpoint/commits").iterdir():
        file.unlink()  # as if killed between the table's commit and Spark's
    assert take(tmp_path)[:2] == (0, 0)
    assert len(rows_of(tmp_path / "out")) == len(table)


def test_rows_that_cannot_be_predicted(tracking: str, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    table = make_table()
    inputs = table[["number", "size"]].astype(float)
    register("m", LogisticRegression().fit(inputs, table["label"]), inputs)
    table.loc[7, "number"] = np.nan
    table.loc[9, "when"] = pd.NaT
    put(tmp_path, table, "a.parquet")
    with pytest.raises(ComponentError, match=r"2 rows cannot be predicted, the first is \{'id': 7"):
        take(tmp_path)
    assert rows_of(tmp_path / "out").empty
    quarantine = tmp_path / "failed"
    assert take(tmp_path, quarantine=str(quarantine))[:4] == (1, 3000, 2998, 2)
    failed = tables.read(str(quarantine)).to_pandas().sort_values("id")
    assert failed["id"].tolist() == [7, 9]
    assert "NaN" in failed["reason"].iloc[0]
    assert failed["reason"].iloc[1] == "the row has no time"


def test_messages_of_kafka(model: Any, tmp_path: Path) -> None:
    """All but the broker, which cannot run here: messages as Spark's Kafka source gives them."""
    from turnout.engines.spark_session import connect
    from turnout.inference.stream import from_messages, score_rows
    from turnout.models.files import download
    from turnout.models.registry import look_up
    from turnout.models.scorer import Scorer

    table = make_table(10)
    values = [*table.to_json(orient="records", lines=True, date_format="iso").splitlines(), "no JSON"]
    version = look_up("models:/m@champion")
    job = make_job(tmp_path, version, str(download(version, str(tmp_path))))
    scorer = Scorer(job.model_directory)
    session = connect("local[1]", SETTINGS)
    try:
        rows = [(value.encode(), "flights", 0, index) for index, value in enumerate(values)]
        found = session.createDataFrame(rows, "value binary, topic string, partition int, offset bigint")
        batch = from_messages(found, scorer, {"id": "bigint", "when": "timestamp"})
        schemas = output_schemas(job, batch.limit(0).toArrow().schema, scorer)
        rows, parts = score_rows(session, batch, job, schemas)
    finally:
        session.stop()
    assert rows == 11
    assert sum(part.rows for part in parts if part.table == job.table) == 10
    failed = pq.read_table(next((tmp_path / "failed").rglob("*.parquet"))).to_pylist()
    assert [(row["offset"], row["reason"]) for row in failed] == [(10, "the row has no time")]


def test_a_stream_that_cannot_be_opened(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"stream cannot be opened: .*\n.*make the directory"):
        take(tmp_path)
    with pytest.raises(ComponentError, match=r"stream cannot be opened.*\n.*spark.jars.packages"):
        take(tmp_path, kind="kafka", source="flights", options={"kafka.bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(ComponentError, match="name a cluster by its master URL"):
        take(tmp_path, master="sc://127.0.0.1:1")
    put(tmp_path, make_table().drop(columns="kind"), "a.parquet")
    with pytest.raises(ComponentError, match="no column 'kind'"):
        take(tmp_path)
