"""Predictions of tables: the right ones, counted, and in the table all at once."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from paths import PROJECT, TESTS
from predictions import INPUTS, ROWS, Ran, make_table, register, register_own, rows_of
from sklearn.linear_model import LinearRegression, LogisticRegression

from turnout import ComponentError
from turnout.components.pin_model import pin_model
from turnout.engines import arrow as arrow_engine
from turnout.inference import table as tables
from turnout.models.estimators import make_estimator, make_model
from turnout.models.inputs import plain_types


@pytest.fixture
def table() -> pd.DataFrame:
    return make_table()


@pytest.fixture
def fitted(tracking: str, table: pd.DataFrame) -> Any:
    """A model in the registry, as `train` makes them."""
    inputs = plain_types(table[INPUTS])
    estimator = make_estimator("lightgbm.LGBMClassifier", {"n_estimators": 10}, 0, "classification")
    model = make_model(inputs, estimator).fit(inputs, table["label"])
    register("m", model, inputs, serialization_format="cloudpickle")
    return model


def test_every_row_has_the_model_s_own_prediction(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    ran = Ran(tmp_path, table)
    found = rows_of(tmp_path / "out")
    chances = fitted.predict_proba(plain_types(table[INPUTS]))[:, 1]
    np.testing.assert_allclose(found["probability"], chances)
    np.testing.assert_array_equal(found["prediction"], fitted.predict(plain_types(table[INPUTS])))
    assert found["id"].tolist() == list(range(ROWS))
    assert set(found["model_version"]) == {"1"}
    assert set(found["model"]) == {"m"}
    assert found["date"].value_counts().to_dict() == {datetime.date(2024, 1, day): 1000 for day in (1, 2, 3)}
    assert ran.result == (ROWS, ROWS, 0, "1", "arrow")
    assert ran.artifact.uri == str(tmp_path / "out")
    assert ran.metrics.metadata["rows"] == ROWS


def test_a_rerun_replaces_its_days_and_no_others(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    Ran(tmp_path, table)
    inputs = plain_types(table[INPUTS])
    other = make_model(inputs, LogisticRegression()).fit(inputs, table["label"])
    register("m", other, inputs, serialization_format="cloudpickle")
    Ran(tmp_path, table, since="2024-01-02", until="2024-01-03")
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(ROWS))
    versions = found.groupby("date")["model_version"].unique().map(list).to_dict()
    assert {day.day: version for day, version in versions.items()} == {1: ["1"], 2: ["2"], 3: ["1"]}


def test_days_are_those_of_the_time_zone(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    zone = "America/New_York"
    ran = Ran(tmp_path, table, timezone=zone, since="2024-01-02T00:00:00-05:00", until="2024-01-03T00:00:00-05:00")
    found = rows_of(tmp_path / "out")
    assert set(found["date"]) == {datetime.date(2024, 1, 2)}
    expected = table[table["when"].dt.tz_convert(zone).dt.strftime("%Y-%m-%d") == "2024-01-02"]
    assert found["id"].tolist() == expected["id"].tolist()
    assert ran.result.rows == 1000
    assert ran.metrics.metadata["outside_the_interval"] == 2000
    with pytest.raises(ComponentError, match="not whole days in UTC"):
        Ran(tmp_path, table, since="2024-01-02T05:00:00+00:00", until="2024-01-03T05:00:00+00:00")


def test_a_version_that_is_pinned_stays(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    pinned = pin_model.python_func(model="models:/m@champion")
    assert pinned == ("models:/m/1", "1")
    inputs = plain_types(table[INPUTS])
    register("m", fitted, inputs, serialization_format="cloudpickle")
    Ran(tmp_path, table, model=pinned.model)
    assert set(rows_of(tmp_path / "out")["model_version"]) == {"1"}


@pytest.mark.parametrize(
    ("model", "what"), [("models:/m@champoin", "no such model"), ("models:/n/1", "no such model"), ("m", "not the URI")]
)
def test_a_model_that_is_not_there_is_named(fitted: Any, model: str, what: str) -> None:
    with pytest.raises(ComponentError, match=what):
        pin_model.python_func(model=model)


# --- what the input may be ------------------------------------------------------------------------------------


def test_a_missing_and_a_wrong_column_are_told_together_before_work(
    fitted: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    broken = table.rename(columns={"number": "nunber"}).assign(size="x")
    with pytest.raises(ComponentError) as error:
        Ran(tmp_path, broken)
    assert "no column 'number'" in str(error.value)
    assert "did you mean nunber?" in str(error.value)
    assert "the model takes double, and the column is" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_other_types_of_the_same_meaning_are_read(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    other = table.assign(
        number=table["number"].astype("float32").astype("float64"),
        size=table["size"].astype("int8"),
        kind=table["kind"].astype("category"),
        when=table["when"].dt.tz_localize(None),
        more=1,
    )
    ran = Ran(tmp_path, other)
    expected = fitted.predict_proba(plain_types(other[INPUTS].astype({"kind": object})))[:, 1]
    np.testing.assert_allclose(rows_of(tmp_path / "out")["probability"], expected)
    assert ran.result.rows == ROWS


def test_categories_never_seen_and_nulls_where_none_were_are_the_model_s_to_handle(
    fitted: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    changed = table.copy()
    changed.loc[:99, "kind"] = "new"
    changed.loc[100:199, "kind"] = None
    changed.loc[200:299, "number"] = np.nan
    Ran(tmp_path, changed)
    expected = fitted.predict_proba(plain_types(changed[INPUTS]))[:, 1]
    np.testing.assert_allclose(rows_of(tmp_path / "out")["probability"], expected)


def test_rows_without_a_time_are_not_lost_in_silence(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[5, "when"] = pd.NaT
    with pytest.raises(ComponentError, match="1 rows have no time"):
        Ran(tmp_path, table)


# --- rows that fail -------------------------------------------------------------------------------------------


@pytest.fixture
def fussy(tracking: str, table: pd.DataFrame) -> Any:
    """A model that takes no nulls, with some in the table."""
    inputs = table[["number", "size"]].astype(float)
    register("m", LogisticRegression().fit(inputs, table["label"]), inputs)
    table.loc[[7, 1500], "number"] = np.nan
    return table


def test_a_row_that_fails_fails_the_step_by_name(fussy: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as error:
        Ran(tmp_path, fussy)
    assert "'id': 7" in str(error.value)
    assert "contains NaN" in str(error.value)
    assert "set a quarantine" in str(error.value)
    assert tables.read(str(tmp_path / "out")).num_rows == 0
    assert not list(tmp_path.glob("out/date=*/*.parquet"))


def test_rows_that_fail_are_quarantined_with_reasons(fussy: pd.DataFrame, tmp_path: Path) -> None:
    ran = Ran(tmp_path, fussy, quarantine=str(tmp_path / "aside"))
    assert ran.result[:3] == (ROWS, ROWS - 2, 2)
    aside = rows_of(tmp_path / "aside")
    assert aside["id"].tolist() == [7, 1500]
    assert aside["reason"].str.contains("NaN").all()
    assert set(rows_of(tmp_path / "out")["id"]) == set(range(ROWS)) - {7, 1500}
    Ran(tmp_path, fussy.fillna({"number": 0.0}), quarantine=str(tmp_path / "aside"))
    assert tables.read(str(tmp_path / "aside")).num_rows == 0
    assert tables.read(str(tmp_path / "out")).num_rows == ROWS


def test_more_failures_than_allowed_change_nothing(fussy: pd.DataFrame, tmp_path: Path) -> None:
    Ran(tmp_path, fussy.fillna({"number": 0.0}))
    before = rows_of(tmp_path / "out")
    fussy.loc[:200, "number"] = np.nan
    with pytest.raises(ComponentError, match=r"more than 1\.0%"):
        Ran(tmp_path, fussy, quarantine=str(tmp_path / "aside"))
    pd.testing.assert_frame_equal(rows_of(tmp_path / "out"), before)


# --- other models ---------------------------------------------------------------------------------------------


def test_a_regression_and_several_classes_have_their_own_columns(tracking: str, table: pd.DataFrame, tmp_path: Path):
    inputs = table[["number", "size"]].astype(float)
    line = LinearRegression().fit(inputs, table["number"] * 2)
    register("line", line, inputs)
    Ran(tmp_path, table, model="models:/line/1")
    np.testing.assert_allclose(rows_of(tmp_path / "out")["prediction"], table["number"] * 2, atol=1e-9)
    classes = LogisticRegression().fit(inputs, table["kind"])
    register("classes", classes, inputs)
    with pytest.raises(ComponentError, match="the table has other columns"):
        Ran(tmp_path, table, model="models:/classes/1")
    Ran(tmp_path, table, model="models:/classes/1", table=str(tmp_path / "classes"))
    found = rows_of(tmp_path / "classes")
    by_name = pd.DataFrame([dict(row) for row in found["probabilities"]])
    assert list(by_name) == ["a", "b", "c"]
    np.testing.assert_allclose(by_name, classes.predict_proba(inputs))
    assert found["prediction"].tolist() == classes.predict(inputs).tolist()


def test_a_threshold_of_the_model_s_own_is_heeded(tracking: str, table: pd.DataFrame, tmp_path: Path) -> None:
    from sklearn.model_selection import FixedThresholdClassifier

    inputs = table[["number", "size"]].astype(float)
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.8).fit(inputs, table["label"])
    register("m", model, inputs, serialization_format="cloudpickle")
    Ran(tmp_path, table)
    found = rows_of(tmp_path / "out")
    assert (found["prediction"] == (found["probability"] >= 0.8)).all()


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return pd.DataFrame({"low": model_input["number"] - 1, "high": model_input["number"] + 1})


def test_any_pyfunc_model_will_do(tracking: str, table: pd.DataFrame, tmp_path: Path) -> None:
    inputs = table[["number"]]
    register_own("two", Doubled(), inputs, Doubled().predict(None, inputs))
    Ran(tmp_path, table, model="models:/two/1")
    np.testing.assert_allclose(rows_of(tmp_path / "out")["prediction_high"], table["number"] + 1)


def test_a_lightgbm_booster_runs_without_its_wrapper(tracking: str, table: pd.DataFrame, tmp_path: Path) -> None:
    import lightgbm

    inputs = table[["number", "size"]].astype(float)
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(inputs, table["label"]), 5)
    register("booster", booster, inputs, mlflow.lightgbm.log_model)
    Ran(tmp_path, table, model="models:/booster/1")
    np.testing.assert_allclose(rows_of(tmp_path / "out")["prediction"], booster.predict(inputs))


# --- several processes ------------------------------------------------------------------------------------------


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every input is large, and worth another process."""
    monkeypatch.setattr(arrow_engine, "cores", lambda: 2)
    monkeypatch.setattr(arrow_engine, "EARLY_ROWS", 0)
    monkeypatch.setattr(arrow_engine, "WORTH_PROCESSES_S", {True: 0.0})


@pytest.fixture
def telling(tracking: str, table: pd.DataFrame, together: None) -> pd.DataFrame:
    """Rows for a model that predicts the process it runs in: fails for a size of -1, and ends it for one of -2."""

    class Telling(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            time.sleep(0.3 if len(model_input) == 500 else 0)
            if (model_input["size"] == -2).any() and multiprocessing.parent_process():
                os.kill(os.getpid(), signal.SIGKILL)
            if (model_input["size"] == -1).any():
                raise ValueError("too small")
            return pd.DataFrame({"process": [os.getpid()] * len(model_input)})

    register_own("t", Telling(), table[INPUTS].head(), pd.DataFrame({"process": [1]}))
    return table


def test_processes_share_the_pieces(telling: pd.DataFrame, tmp_path: Path) -> None:
    Ran(tmp_path, telling, model="models:/t/1")
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(ROWS))
    assert found["prediction"].nunique() == 2


@pytest.mark.parametrize(("size", "message"), [(-1, "too small"), (-2, "a process was ended before its work was")])
def test_what_fails_in_another_process_is_told_and_changes_nothing(
    telling: pd.DataFrame, tmp_path: Path, size: int, message: str
) -> None:
    Ran(tmp_path, telling, model="models:/t/1")
    before = rows_of(tmp_path / "out")
    telling.loc[500:, "size"] = size  # this process takes the first piece
    with pytest.raises(ComponentError, match=message):
        Ran(tmp_path, telling, model="models:/t/1")
    pd.testing.assert_frame_equal(rows_of(tmp_path / "out"), before)


# --- at once, and in spite of kills -----------------------------------------------------------------------------


def test_days_written_at_once_and_out_of_order_are_all_there(fitted: Any, tmp_path: Path) -> None:
    make_table(12_000, days=12).to_parquet(tmp_path / "in.parquet", index=False, row_group_size=500)
    days = [11, 1, 8, 2, 12, 5, 3, 9, 4, 10, 6, 7]

    def run(day: int) -> None:
        Ran(tmp_path, tmp_path / "in.parquet", since=f"2024-01-{day:02}", until=f"2024-01-{day + 1:02}")

    run(5)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, days))
    found = rows_of(tmp_path / "out")
    assert found["id"].tolist() == list(range(12_000))


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from predictions import Ran
Ran(Path({directory!r}), Path({directory!r}) / "in.parquet")
"""


@pytest.mark.slow
def test_readers_see_old_or_new_however_a_job_is_killed(fitted: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    Ran(tmp_path, table)
    version = tables.prepare(str(tmp_path / "out"), tables.read(str(tmp_path / "out")).schema).version()
    program = KILLED.format(tests=str(TESTS), directory=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    for wait in (None, 0.0, 0.05, 0.2):
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, start_new_session=True)
        if wait is None:
            assert process.wait(120) == 0
            continue
        files = set(tmp_path.glob("out/date=*/*.parquet"))
        while process.poll() is None and set(tmp_path.glob("out/date=*/*.parquet")) == files:
            time.sleep(0.005)
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        found = rows_of(tmp_path / "out")
        assert found["id"].tolist() == list(range(ROWS))
        assert found["predicted_at"].nunique() == 1
    Ran(tmp_path, table)
    assert rows_of(tmp_path / "out")["id"].tolist() == list(range(ROWS))
    assert tables.prepare(str(tmp_path / "out"), tables.read(str(tmp_path / "out")).schema).version() > version
