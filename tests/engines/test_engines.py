"""Engines call any function with pieces of a table, and know nothing of what it does."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from turnout import ComponentError
from turnout.data.parquet import Piece, open_piece, open_table, pieces
from turnout.engines import arrow, spark
from turnout.engines.spark_session import session

SETTINGS = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}


def total(factor: int, piece: Piece) -> tuple[int, int]:
    """What a piece adds up to, times a factor, and the process that did it."""
    return factor * sum(open_piece(piece).to_table()["n"].to_pylist()), os.getpid()


@pytest.fixture
def work(tmp_path: Path) -> list[Piece]:
    """Ten pieces, of the numbers below 100."""
    pq.write_table(pa.table({"n": np.arange(100)}), tmp_path / "numbers.parquet", row_group_size=10)
    return pieces(*open_table(str(tmp_path)), None)


def test_pieces_are_done_once_in_this_process_and_others(work: list[Piece], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = list(arrow.run(functools.partial(total, 2), work))
    assert [value for value, _ in alone] == [2 * sum(range(10 * i, 10 * i + 10)) for i in range(10)]
    assert {process for _, process in alone} == {os.getpid()}
    monkeypatch.setattr(arrow, "cores", lambda: 2)
    monkeypatch.setattr(arrow, "WORTH_PROCESSES_S", {False: 0.0})
    together = list(arrow.run(functools.partial(total, 2), work, preload=["pyarrow.parquet", "no.such.module"]))
    assert sorted(value for value, _ in together) == sorted(value for value, _ in alone)
    assert len({process for _, process in together}) == 2
    assert list(arrow.run(functools.partial(total, 2), [])) == []


def test_spark_does_what_this_machine_does(work: list[Piece]) -> None:
    # Functions that workers get by value, since they cannot import this file.
    def add(piece: Piece) -> int:
        return sum(open_piece(piece).to_table()["n"].to_pylist())

    def refuse(piece: Piece) -> int:
        raise ComponentError(f"row groups {piece.row_groups} are not for me", hint="none")

    def rows(batches: Iterable[pa.RecordBatch]) -> int:
        return sum(batch.num_rows for batch in batches)

    with session("local[2]", SETTINGS) as opened:
        done = list(spark.run(add, work, opened))
        assert sorted(done) == [sum(range(10 * i, 10 * i + 10)) for i in range(10)]
        assert list(spark.run(refuse, [], opened)) == []
        assert sum(spark.run_rows(rows, opened.range(0, 70, 1, 3))) == 70
        with pytest.raises(ComponentError, match=r"the Spark job failed: row groups \(0,\) are not for me"):
            list(spark.run(refuse, work[:1], opened))
