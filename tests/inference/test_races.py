"""Processes that predict the same new day at once, some of them killed: no row is doubled or lost."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from predictions import make_table, register
from sklearn.linear_model import LinearRegression

from turnout import ComponentError
from turnout.data.times import Interval
from turnout.inference import table as tables
from turnout.inference.batch import predict
from turnout.inference.engines import score_on_arrow
from turnout.inference.job import Job
from turnout.models.files import download
from turnout.models.registry import look_up

ROUNDS = int(os.environ.get("TURNOUT_TEST_RACES", "10"))
DAY_ROWS = 20
FIRST = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_MOST_S = 120


def date_of(day: int) -> datetime.datetime:
    return FIRST + datetime.timedelta(days=day)


def work(connection: Connection, data: str, given: dict[str, Any]) -> None:
    """In a process of its own: predict each day that is asked for, from the moment on that is asked for."""
    while True:
        start, day = connection.recv()
        chosen = Interval(date_of(day), date_of(day + 1))
        time.sleep(max(0.0, start - time.time()))
        try:
            predict(data, Job(**given, interval=chosen), [date_of(day).date().isoformat()], score_on_arrow)
            connection.send("wrote")
        except ComponentError as error:
            connection.send("told" if "another run wrote the same dates meanwhile" in str(error) else str(error))


class Writer:
    """A process that predicts days."""

    def __init__(self, data: str, given: dict[str, Any]):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["turnout.inference.engines", "mlflow.sklearn", "sklearn.linear_model"])
        self.connection, theirs = context.Pipe()
        self.process: ForkServerProcess = context.Process(target=work, args=(theirs, data, given), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, start: float, day: int) -> None:
        self.connection.send((start, day))

    def end(self) -> str:
        """How it ended: `wrote`, `told` that another wrote the day, or `killed`."""
        assert self.connection.poll(_MOST_S)
        try:
            return str(self.connection.recv())
        except EOFError:
            return "killed"


@pytest.fixture
def given(tracking: str, tmp_path: Path) -> dict[str, Any]:
    """A model, and rows for each day of all rounds."""
    table = make_table(DAY_ROWS * 2 * ROUNDS, days=2 * ROUNDS)
    inputs = table[["number"]]
    register("m", LinearRegression().fit(inputs, inputs["number"]), inputs)
    table.to_parquet(tmp_path / "in.parquet", index=False)
    version = look_up("models:/m/1")
    return {"model": version, "model_directory": str(download(version, str(tmp_path))), "table": str(tmp_path / "out"),
            "quarantine": str(tmp_path / "aside"), "keys": ("id",), "timestamp": "when", "timezone": "UTC",
            "run_id": "r", "predicted_at": "2024-02-01T00:00:00+00:00"}  # fmt: skip


@pytest.fixture
def writers(given: dict[str, Any], tmp_path: Path) -> Iterator[list[Writer]]:
    """Three for a day, and one for another."""
    started = [Writer(str(tmp_path / "in.parquet"), given) for _ in range(4)]
    yield started
    for writer in started:
        writer.process.kill()


@pytest.mark.slow
def test_a_new_day_that_several_write_is_there_once(
    given: dict[str, Any], writers: list[Writer], tmp_path: Path
) -> None:
    def ids(day: int) -> list[int]:
        return sorted(tables.read(str(tmp_path / "out"), [date_of(day).date().isoformat()])["id"].to_pylist())

    rng, ended, took = random.Random(0), Counter[str](), 0.5
    for number in range(ROUNDS):
        day, other = 2 * number, 2 * number + 1
        start = time.time() + 0.02
        for writer, what in zip(writers, [day, day, day, other], strict=True):
            writer.begin(start, what)
        if number % 2:  # killed at any point of its work
            time.sleep(max(0.0, start - time.time()) + rng.uniform(0, 1.5) * took)
            writers[0].process.kill()
        outcomes = [writer.end() for writer in writers]
        took = 0.8 * took + 0.2 * (time.time() - start) if number else 0.1
        ended.update(outcomes[:3])
        assert set(outcomes) <= {"wrote", "told", "killed"}
        assert outcomes[3] == "wrote"
        rows = list(range(DAY_ROWS * day, DAY_ROWS * other))
        assert ids(day) == rows or ("wrote" not in outcomes[:3] and not ids(day))
        assert ids(other) == [row + DAY_ROWS for row in rows]
        if number % 2:
            writers[0].process.join()
            writers[0] = Writer(str(tmp_path / "in.parquet"), given)
            writers[0].begin(0.0, day)  # as a rerun
            assert writers[0].end() == "wrote"
            assert ids(day) == rows
    print(f"{ROUNDS} rounds: {dict(ended)}")
    assert ended["told"], "no two of them were at work at once"
