"""The catalogue's components for data as functions, on small real data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kfp.dsl import HTML, Dataset
from paths import PROJECT

from turnout import ComponentError
from turnout.components.featurise import featurise
from turnout.components.ingest import ingest
from turnout.components.require_rows import require_rows
from turnout.components.split import split
from turnout.components.validate import validate

# --- ingest


@pytest.mark.parametrize("form", ["parquet", "csv", "csv.gz"])
def test_ingest_detects_the_format_and_records_what_it_read(artifact, table, tmp_path: Path, form: str) -> None:
    path = tmp_path / "source"  # no ending: the content tells, except for compression
    if form == "csv.gz":
        path = tmp_path / "source.csv.gz"
    table.to_parquet(path) if form == "parquet" else table.to_csv(path, index=False)
    data = artifact(Dataset, "data")
    ingest.python_func(source=str(path), data=data, timestamps=["when"])
    read = pd.read_parquet(data.path)
    assert read["when"].dt.tz is not None
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert data.metadata["rows"] == 600
    assert data.metadata["source_format"] == form.partition(".")[0]
    assert data.metadata["schema"]["number"] == "float64"
    assert data.metadata["data_digest"].startswith("sha256:")


def test_ingest_reads_uris(artifact, table) -> None:
    import fsspec

    with fsspec.open("memory://tables/source.parquet", "wb") as file:
        table.to_parquet(file)
    data = artifact(Dataset, "data")
    ingest.python_func(source="memory://tables/source.parquet", data=data)
    assert data.metadata["rows"] == 600


def test_ingest_reads_http(artifact, table, tmp_path: Path) -> None:
    import functools
    import http.server
    import threading

    table.to_csv(tmp_path / "source.csv", index=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        data = artifact(Dataset, "data")
        ingest.python_func(source=f"http://127.0.0.1:{server.server_port}/source.csv", data=data)
        assert data.metadata["rows"] == 600
        with pytest.raises(ComponentError, match="no such data"):
            ingest.python_func(source=f"http://127.0.0.1:{server.server_port}/none.csv", data=data)
    finally:
        server.shutdown()


def test_an_interval_without_rows_goes_on_where_it_may(artifact, table, tmp_path: Path) -> None:
    table.to_parquet(tmp_path / "source.parquet", index=False)
    data, features = artifact(Dataset, "data"), artifact(Dataset, "features")
    given = {"source": str(tmp_path / "source.parquet"), "timestamp": "when", "since": "2030-01-01"}
    ends = "the table ends on 2024-01-25 23:00 UTC, before the interval from 2030-01-01 00:00 UTC"
    with pytest.raises(ComponentError, match=ends) as refused:
        ingest.python_func(data=data, **given)
    assert "make data" in str(refused.value)
    ingest.python_func(data=data, **given, allow_empty=True)
    with pytest.raises(ComponentError, match=ends):
        require_rows.python_func(data=data)
    featurise.python_func(entities=data, features=features, feature_service="flight_delay")
    assert list(pd.read_parquet(features.path)) == list(table)
    assert features.metadata["rows"] == 0
    with pytest.raises(ComponentError, match=ends):
        require_rows.python_func(data=features)


def test_a_gap_in_a_table_is_no_end_of_it(artifact, table, tmp_path: Path) -> None:
    table.drop(index=range(100, 200)).to_parquet(tmp_path / "source.parquet", index=False)
    data = artifact(Dataset, "data")
    given = {"source": str(tmp_path / "source.parquet"), "timestamp": "when", "data": data}
    with pytest.raises(ComponentError, match=r"no rows from 2024-01-06 .* UTC; its newest is of 2024-01-25 23:00 UTC"):
        ingest.python_func(since="2024-01-06", until="2024-01-07", **given)
    ingest.python_func(since="2024-01-02", until="2024-01-03", **given)
    assert data.metadata["newest"] == "2024-01-25T23:00:00+00:00"
    require_rows.python_func(data=data)


def test_ingest_refuses_what_is_not_a_table(artifact, tmp_path: Path) -> None:
    data = artifact(Dataset, "data")
    (tmp_path / "binary").write_bytes(b"\0\1\2" * 100)
    (tmp_path / "empty.csv").write_text("a,b\n")
    for source, message in {
        "binary": "neither Parquet nor CSV",
        "empty.csv": "no rows",
        "none": "no such data",
    }.items():
        with pytest.raises(ComponentError, match=message):
            ingest.python_func(source=str(tmp_path / source), data=data)


def test_a_data_revision_pins_the_data(artifact, table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    tool = str(Path(sys.executable).parent / "dvc")

    def do(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)

    do("git", "init", "-q")
    do("git", "config", "user.email", "a@b.c")
    do("git", "config", "user.name", "a")
    do(tool, "init", "-q")
    do(tool, "remote", "add", "-d", "local", str(tmp_path / "remote"))
    digests = []
    for revision, rows in (("v1", 100), ("v2", 200)):
        table.head(rows).to_parquet("table.parquet")
        do(tool, "add", "-q", "table.parquet")
        do(tool, "push", "-q")
        do("git", "add", "-A")
        do("git", "commit", "-qm", revision)
        do("git", "tag", revision)
    for revision, rows in (("v1", 100), ("v2", 200), ("v1", 100)):
        data = artifact(Dataset, f"data-{revision}")
        ingest.python_func(source="table.parquet", revision=revision, data=data)
        assert data.metadata["rows"] == rows
        assert len(data.metadata["revision"]) == 40
        digests.append(data.metadata["data_digest"])
    assert digests[0] == digests[2] != digests[1]
    with pytest.raises(ComponentError, match="revision v3"):
        ingest.python_func(source="table.parquet", revision="v3", data=artifact(Dataset, "data"))
    with pytest.raises(ComponentError, match="no such data at revision v1"):
        ingest.python_func(source="other.parquet", revision="v1", data=artifact(Dataset, "data"))


# --- validate


def suite(tmp_path: Path, *expectations: dict) -> str:
    path = tmp_path / "suite.json"
    path.write_text(json.dumps({"name": "suite", "expectations": expectations}))
    return str(path)


NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "number"}}
KINDS = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "kind", "value_set": ["a", "b"]}}
ROWS = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 600}}


def test_a_suite_that_holds(artifact, table, tmp_path: Path) -> None:
    report = artifact(HTML, "report")
    validate.python_func(data=artifact(Dataset, "data", table), suite=suite(tmp_path, ROWS), report=report)
    assert "All 1 expectations hold" in Path(report.path).read_text()


def test_a_suite_that_fails_says_which_expectation_how_many_rows_and_examples(artifact, table, tmp_path: Path) -> None:
    report = artifact(HTML, "report")
    count, nulls = (table["kind"] == "c").sum(), table["number"].isna().sum()
    with pytest.raises(ComponentError) as raised:
        validate.python_func(
            data=artifact(Dataset, "data", table), suite=suite(tmp_path, NOT_NULL, KINDS, ROWS), report=report
        )
    text = str(raised.value)
    assert "2 of 3 expectations failed" in text
    assert f"expect_column_values_to_be_in_set(kind, value_set=['a', 'b']): {count} of 600 rows, such as 'c'" in text
    assert f"expect_column_values_to_not_be_null(number): {nulls} of 600 rows" in text
    assert "2 of 3 expectations failed" in Path(report.path).read_text()


def test_a_missing_column_fails_by_name(artifact, table, tmp_path: Path) -> None:
    data = artifact(Dataset, "data", table.drop(columns="number"))
    with pytest.raises(ComponentError, match="number"):
        validate.python_func(data=data, suite=suite(tmp_path, NOT_NULL), report=artifact(HTML, "report"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such expectation suite"),
        ("{", "not JSON"),
        ('{"name": "a", "expectations": [{"type": "expect_magic"}]}', "suite"),
    ],
)
def test_a_suite_that_is_none(artifact, table, tmp_path: Path, content: str | None, message: str) -> None:  # fmt: skip
    path = tmp_path / "suite.json"
    if content:
        path.write_text(content)
    with pytest.raises(ComponentError, match=message):
        validate.python_func(data=artifact(Dataset, "data", table), suite=str(path), report=artifact(HTML, "report"))


# --- featurise


def test_features_are_as_they_were_at_each_rows_time(artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_FEATURE_SOURCES", "")
    hours = pd.date_range("2013-05-01", periods=48, freq="h", tz="UTC")
    sources = tmp_path / "sources"
    sources.mkdir()
    weather = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    tables = {
        "weather": {"origin": "JFK", **dict.fromkeys(weather, range(48))},
        "carrier_delays": {"carrier": "AA", "carrier_late_1d": range(48), "carrier_late_7d": 0.5},
        "route_delays": {"origin": "JFK", "dest": "LAX", "route_late_1d": 0.1, "route_late_28d": 0.2},
        "airport_delays": {"origin": "JFK", "left_late_2h": range(48), "left_late_6h": 0.3},
    }
    for name, columns in tables.items():
        frame = pd.DataFrame({**columns, "event_timestamp": hours})
        keys = ("origin", "dest", "carrier", "event_timestamp")
        numbers = {column: float for column in frame if column not in keys}
        frame.astype(numbers).to_parquet(sources / f"{name}.parquet")
    asked = pd.to_datetime(["2013-05-01T10:30Z", "2013-05-01T10:00Z", "2013-04-30T00:00Z", "2013-05-03T04:59Z"])
    entities = pd.DataFrame(
        {"event_timestamp": asked, "carrier": "AA", "origin": "JFK", "dest": "LAX", "id": [3, 1, 2, 0]}
    )
    features = artifact(Dataset, "features")
    data = artifact(Dataset, "data", entities, data_digest="sha256:data")
    featurise.python_func(entities=data, features=features, feature_service="flight_delay",
                          repository=str(PROJECT / "feature_repo"), sources=str(sources))  # fmt: skip
    joined = pd.read_parquet(features.path)
    assert joined["id"].tolist() == [3, 1, 2, 0]
    assert joined["temp"].tolist()[:2] == [10.0, 10.0]  # never the 11 o'clock row
    assert pd.isna(joined["temp"][2])  # nothing was known yet
    assert joined["temp"][3] == 47.0
    assert features.metadata["data_digest"] == "sha256:data"
    assert features.metadata["features_digest"].count("sha256:") == 2
    assert set(features.metadata["features"]) == set(joined) - {"event_timestamp", "carrier", "origin", "dest", "id"}


def test_an_unknown_feature_service_is_told(artifact) -> None:
    entities = pd.DataFrame({"event_timestamp": pd.to_datetime(["2013-05-01T10:30Z"]), "carrier": "AA"})
    with pytest.raises(ComponentError, match="did you mean flight_delay"):
        featurise.python_func(entities=artifact(Dataset, "data", entities), features=artifact(Dataset, "features"),
                              feature_service="flight_dely", repository=str(PROJECT / "feature_repo"))  # fmt: skip


# --- split


def test_nothing_of_the_future_is_in_training(artifact, table) -> None:
    shuffled = table.sample(frac=1, random_state=1)
    parts = artifact(Dataset, "train"), artifact(Dataset, "test")
    split.python_func(
        data=artifact(Dataset, "data", shuffled), train=parts[0], test=parts[1], timestamp="when", gap_hours=5.0
    )
    before, after = (pd.read_parquet(part.path)["when"] for part in parts)
    assert after.min() - before.max() > pd.Timedelta(hours=5)
    assert len(after) == pytest.approx(120, abs=1)
    first, last = (pd.Timestamp(parts[0].metadata["times"][end]) for end in ("first", "last"))
    assert (first, last) == (before.min(), before.max())


def parts(artifact, table, **parameters: Any) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The rows to train and to test on, and what the test rows' metadata says."""
    made = artifact(Dataset, "train"), artifact(Dataset, "test")
    split.python_func(data=artifact(Dataset, "data", table), train=made[0], test=made[1], **parameters)
    return pd.read_parquet(made[0].path), pd.read_parquet(made[1].path), made[1].metadata


@pytest.mark.parametrize("keys", [[], ["when"], ["when", "kind"]])
def test_without_time_a_row_stays_on_its_side_as_rows_come_and_go(artifact, table, keys: list[str]) -> None:
    before, tested, metadata = parts(artifact, table, keys=keys)
    assert len(before) + len(tested) == 600
    assert len(tested) == pytest.approx(120, abs=40)
    assert metadata["split"] == {"by": "keys" if keys else "row", "seed": 0, "hash": "rows-1", "test_fraction": 0.2}
    assert metadata["row_columns"] == (keys or list(table))
    new = table.assign(when=table["when"] + pd.Timedelta(days=100))
    for changed in (table.drop(index=5), table.sample(frac=0.5, random_state=0), pd.concat([new[:100], table])):
        later, tested_later, _ = parts(artifact, changed, keys=keys)
        assert set(later["when"]).isdisjoint(tested["when"])
        assert set(tested_later["when"]).isdisjoint(before["when"])
    other_seed = parts(artifact, table, keys=keys, seed=3)[1]
    assert len(set(other_seed["when"]) & set(tested["when"])) < 60


def test_rows_with_the_same_keys_are_on_one_side_also_when_their_values_are_corrected(artifact, table) -> None:
    people = table.assign(person=table.index % 150, number=0.0)
    before, tested, _ = parts(artifact, people, keys=["person"])
    assert set(before["person"]).isdisjoint(tested["person"])
    corrected = people.assign(number=1.0).astype({"person": "float64"})
    assert set(parts(artifact, corrected, keys=["person"])[1]["person"]) == set(tested["person"])


def test_joined_features_do_not_make_a_row_another(artifact, table) -> None:
    made = artifact(Dataset, "train"), artifact(Dataset, "test")
    data = artifact(Dataset, "data", table.assign(weather=range(600)), features=["weather"])
    split.python_func(data=data, train=made[0], test=made[1])
    assert made[0].metadata["row_columns"] == list(table)
    assert set(pd.read_parquet(made[1].path)["when"]) == set(parts(artifact, table)[1]["when"])


def test_with_time_a_row_is_its_keys_at_its_time(artifact, table) -> None:
    assert parts(artifact, table, timestamp="when", keys=["kind"])[2]["row_columns"] == ["kind", "when"]
    assert parts(artifact, table, timestamp="when")[2]["row_columns"] == list(table)


def test_what_cannot_be_split_is_told(artifact, table) -> None:
    with pytest.raises(ComponentError, match=r"(?s)nothing is left to .*2 different rows"):
        parts(artifact, table, keys=["target"], test_fraction=0.001)
    with pytest.raises(ComponentError, match=r"no column 'wen' @ keys(?s:.*)did you mean when"):
        parts(artifact, table, keys=["wen"])
    unknown = int(table["kind"].isna().sum())
    with pytest.raises(ComponentError, match=f"kind null in {unknown} rows"):
        parts(artifact, table, keys=["kind"])
