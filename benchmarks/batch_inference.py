"""Batch inference in rows per second: the `predict` component's two engines beside the ways there are already.

    .venv/bin/python benchmarks/batch_inference.py [--rows N] [--skip-slow]

The flights, repeated with noise, as 30 numbers each, scored by a linear and by a boosted-tree model:

    limit         the model alone, on rows in memory: one core's rate, times the cores
    pandas        one process: read the Parquet file in pieces, predict, write
    arrow, spark  Turnout's engines, from the file to the table
    mapInArrow    Spark, as its documentation has it: the model in the closure, rows through the JVM
    spark_udf     MLflow's `mlflow.pyfunc.spark_udf` (on fewer rows; it is slow)

All write every row. Sessions, registries and the input are made before the clock starts. Peak memory is that of all
processes of the engine, by their resident sets, at two sizes of the input.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ["PYTHONWARNINGS"] = "ignore"
warnings.simplefilter("ignore")

COLUMNS = [f"x{index}" for index in range(30)]
PIECE = 250_000


def make(rows: int, path: Path) -> None:
    """The flights, repeated with noise, as numbers."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    flights = pd.read_parquet(Path(__file__).parents[1] / "data" / "flights" / "flights.parquet")
    known = flights[["distance", "scheduled_minute", "scheduled_arrival", "weekday"]].to_numpy(float)
    known = (known - known.mean(axis=0)) / known.std(axis=0)
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        picked = rng.integers(0, len(flights), count)
        block = rng.normal(size=(count, len(COLUMNS)))
        block[:, :4] = known[picked] + 0.01 * block[:, :4]
        times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(start, start + count), unit="ms")
        table = pa.table(
            {name: block[:, index] for index, name in enumerate(COLUMNS)}
            | {"id": np.arange(start, start + count), "when": pa.array(times.as_unit("us"))}
            | {"late": flights["late"].to_numpy()[picked]}
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer
    writer.close()


def register(path: Path) -> dict[str, str]:
    """Two models in the registry; their URIs."""
    import mlflow
    import pyarrow.parquet as pq
    from lightgbm import LGBMClassifier
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    sample = pq.ParquetFile(path).read_row_group(0).to_pandas().head(100_000)
    inputs = sample[COLUMNS]
    found = {}
    models = {"linear": LogisticRegression(), "trees": LGBMClassifier(n_estimators=100, verbose=-1)}
    for name, model in models.items():
        model.fit(inputs, sample["late"])
        signature = infer_signature(inputs.head(), model.predict(inputs.head()))
        logged = mlflow.sklearn.log_model(
            model, name="model", signature=signature, serialization_format="cloudpickle", registered_model_name=name,
            pip_requirements=["scikit-learn"],
        )  # fmt: skip
        found[name] = f"models:/{name}/{logged.registered_model_version}"
    return found


# --- the ways -------------------------------------------------------------------------------------------------


def limit(model: Any, path: Path) -> float:
    """Rows per second of the model alone, over all cores."""
    import pyarrow.parquet as pq
    from threadpoolctl import threadpool_limits

    from turnout.engines.arrow import cores

    block = pq.ParquetFile(path).read_row_group(0, COLUMNS).to_pandas().to_numpy()[:65_536]
    if "n_jobs" in model.get_params():
        model.set_params(n_jobs=1)
    with threadpool_limits(1):
        model.predict_proba(block)
        started, rounds = time.perf_counter(), 0
        while time.perf_counter() - started < 3:
            model.predict_proba(block)
            rounds += 1
        return rounds * len(block) / (time.perf_counter() - started) * cores()


def pandas_loop(model: Any, path: Path, out: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"id": pa.int64(), "probability": pa.float64()})
    with pq.ParquetWriter(out, schema) as writer:
        for batch in pq.ParquetFile(path).iter_batches(65_536, columns=[*COLUMNS, "id"]):
            table = batch.to_pandas()
            chances = model.predict_proba(table[COLUMNS])[:, 1]
            writer.write_table(pa.table({"id": table["id"], "probability": chances}, schema))


def naive(session: Any, model: Any, path: Path, out: Path) -> None:
    import pyarrow as pa

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = batch.to_pandas()
            chances = model.predict_proba(table[COLUMNS])[:, 1]
            yield pa.RecordBatch.from_pydict({"id": batch["id"], "probability": chances})

    rows = session.read.parquet(str(path)).select("id", *COLUMNS)
    rows.mapInArrow(score, "id long, probability double").write.mode("overwrite").parquet(str(out))


def spark_udf(session: Any, uri: str, path: Path, out: Path) -> None:
    import mlflow.pyfunc
    from pyspark.sql.functions import struct

    predict = mlflow.pyfunc.spark_udf(session, uri, result_type="double", env_manager="local")
    rows = session.read.parquet(str(path))
    rows.select("id", predict(struct(*COLUMNS)).alias("prediction")).write.mode("overwrite").parquet(str(out))


def turnout(engine: Callable[..., Any], uri: str, path: Path, out: Path) -> None:
    from turnout.data.times import days, interval
    from turnout.inference.batch import predict
    from turnout.inference.job import Job, load_scorer
    from turnout.models.files import download
    from turnout.models.registry import look_up

    load_scorer.cache_clear()
    with tempfile.TemporaryDirectory() as directory:
        version = look_up(uri)
        day = interval("2024-01-01", "2024-01-02", "UTC")
        job = Job(version, str(download(version, directory)), str(out), "", ("id",), "when", "UTC", "run",
                  "2024-01-02T00:00:00Z", day)  # fmt: skip
        predict(str(path), job, days(day, "UTC"), engine)


# --- measuring ------------------------------------------------------------------------------------------------


def resident(process: psutil.Process) -> float:
    """MiB that a process and its children have in memory."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total / 2**20


class Memory:
    """The most that this process and its children had in memory together, in MiB, beyond what was there before."""

    def __enter__(self) -> Memory:
        self._process = psutil.Process()
        self.before, self.most, self._over = resident(self._process), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.most -= self.before

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, resident(self._process))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rows-udf", type=int, default=1_000_000, help="for mlflow.pyfunc.spark_udf")
    options = parser.parse_args()
    import mlflow.sklearn

    from turnout.engines.arrow import cores
    from turnout.engines.spark_session import connect
    from turnout.inference.engines import score_on_arrow, score_on_spark

    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
        path, fewer = home / "rows.parquet", home / "fewer.parquet"
        make(options.rows, path)
        make(options.rows_udf, fewer)
        uris = register(path)
        session = connect(f"local[{cores()}]", {"spark.driver.memory": "4g"})
        session.range(4).mapInArrow(lambda batches: batches, "id long").collect()  # the first job starts workers
        spark = functools.partial(score_on_spark, session=session)
        for name, uri in uris.items():
            model = mlflow.sklearn.load_model(uri)
            rates = {"limit": limit(model, path)}
            ways: dict[str, tuple[Callable[[Path], None], int]] = {
                "pandas": (lambda out, model=model: pandas_loop(model, path, out), options.rows),
                "arrow": (lambda out, uri=uri: turnout(score_on_arrow, uri, path, out), options.rows),
                "spark": (lambda out, uri=uri: turnout(spark, uri, path, out), options.rows),
                "mapInArrow": (lambda out, model=model: naive(session, model, path, out), options.rows),
                "spark_udf": (lambda out, uri=uri: spark_udf(session, uri, fewer, out), options.rows_udf),
            }
            for way, (run, rows) in ways.items():
                started = time.perf_counter()
                run(home / "out")
                rates[way] = rows / (time.perf_counter() - started)
                target = home / "out"
                shutil.rmtree(target) if target.is_dir() else target.unlink()
            print(f"\n{name}: {'rows/s':>22}{'of the limit':>16}{'times spark_udf':>18}")
            for way, rate in rates.items():
                print(f"{way:12}{rate:18,.0f}{rate / rates['limit']:16.0%}{rate / rates['spark_udf']:18.1f}")
        session.stop()
        print("\npeak memory of the arrow engine, trees:")
        more = home / "more.parquet"
        make(options.rows * 2, more)
        for rows, source in ((options.rows, path), (options.rows * 2, more)):
            with Memory() as memory:
                turnout(score_on_arrow, uris["trees"], source, home / "out")
            shutil.rmtree(home / "out")
            print(f"{rows:12,} rows {memory.most:8,.0f} MiB more than before")


if __name__ == "__main__":
    main()
