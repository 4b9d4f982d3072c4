"""Features joined on Spark are those that the repository's own store gives."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from kfp.dsl import Dataset
from paths import PROJECT

from turnout import ComponentError
from turnout.components.featurise import featurise
from turnout.features.feast_spark import check_skew

FLIGHTS = PROJECT / "data/flights"
UNTIL = pd.Timestamp("2013-03-01", tz="UTC")
LOCAL = {"master": "local[2]", "spark_conf": {"spark.sql.shuffle.partitions": "4", "spark.ui.enabled": "false"}}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of two months."""
    place = tmp_path_factory.mktemp("sources")
    for file in FLIGHTS.glob("*.parquet"):
        pd.read_parquet(file, filters=[("event_timestamp", "<", UNTIL)]).to_parquet(place / file.name, index=False)
    return place


@pytest.fixture
def entities(sources: Path, tmp_path: Path) -> Dataset:
    """Flights, some of them twice, and one of a year of which nothing is known."""
    flights = pd.read_parquet(sources / "flights.parquet").sample(1500, random_state=0)
    strange = flights.head(1).assign(event_timestamp=pd.Timestamp("2012-01-01", tz="UTC"))
    table = pd.concat([flights, flights.head(100), strange])
    table.to_parquet(tmp_path / "entities.parquet", index=False)
    return Dataset(name="entities", uri=str(tmp_path / "entities.parquet"))


def join(entities: Dataset, sources: Path, target: Path, **more: object) -> pd.DataFrame:
    featurise.python_func(
        entities=entities, features=Dataset(name="features", uri=str(target)), feature_service="flight_delay",
        repository=str(PROJECT / "feature_repo"), sources=str(sources), **more,
    )  # fmt: skip
    table = pd.read_parquet(target)
    return table.sort_values(list(table.columns), ignore_index=True)


@pytest.mark.slow
def test_spark_joins_the_same_features(
    entities: Dataset,
    sources: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(os.environ, "TURNOUT_FEATURE_SOURCES", "")
    expected = join(entities, sources, tmp_path / "own.parquet")
    found = join(entities, sources, tmp_path / "spark.parquet", offline_store="spark", **LOCAL)
    assert len(found) == 1601
    assert expected["temp"].notna().any()
    columns = list(expected.columns)
    same = found.astype({"event_timestamp": expected["event_timestamp"].dtype})[columns]
    pd.testing.assert_frame_equal(same.sort_values(columns, ignore_index=True), expected, check_dtype=False)
    assert "1,000 rows have the same features in the repository's own offline store" in capsys.readouterr().out


def test_features_that_differ_are_told(
    entities: Dataset, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TURNOUT_FEATURE_SOURCES", "")
    table = join(entities, sources, tmp_path / "own.parquet")
    table.loc[table.index % 2 == 0, "humid"] += 1e-3
    table.to_parquet(tmp_path / "skewed.parquet")
    told = r"1,601 rows that were compared @ flight_delay\n  humid: [78]\d\d rows differ, the first at"
    with pytest.raises(ComponentError, match=told):
        check_skew(str(tmp_path / "skewed.parquet"), ["temp", "humid"], PROJECT / "feature_repo", "flight_delay", 9999)
