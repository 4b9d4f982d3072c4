"""Data drifts, people are told, a training starts by itself, and the next check is quiet; broken data trains nothing.

On a real Airflow: `tests/airflow/test_drift_check.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import in_process
import numpy as np
import pandas as pd
import pytest

import turnout
from turnout.models.promotion import champion

MODEL = "m"


def rows(day: str, center: float, sign: int, seed: int) -> pd.DataFrame:
    """Ten days of a number, a category, and a target that depends on the number."""
    rng, count = np.random.default_rng(seed), 1_000
    number = rng.normal(center, 1, count)
    return pd.DataFrame({
        "flight_id": [str(index) for index in range(count)],
        "event_timestamp": pd.date_range(day, periods=count, freq=pd.Timedelta(days=10) / count, tz="UTC"),
        "number": number,
        "kind": rng.choice(["a", "b"], count),
        "late": (sign * (number - center) + rng.normal(size=count) > 0).astype(int),
    })  # fmt: skip


@pytest.fixture
def run(tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, dict[str, str]]]:
    """Runs a pipeline; its state, and those of its steps."""
    runtime = in_process.install(monkeypatch)
    plain: dict[str, Any] = {
        "suite": "", "feature_service": "", "registered_model": MODEL, "slices": [],
        "estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {},
    }  # fmt: skip

    def run(pipeline: str, **given: Any) -> tuple[str, dict[str, str]]:
        source = f"turnout.pipelines.{pipeline}:{pipeline}"
        parameters = plain | given
        ended = turnout.run(
            source, parameters, runtime=runtime, root=tmp_path / "runs", cache=False, watch=lambda *_: None
        )
        return ended.state, {step.name: step.state.value for step in ended.steps}

    return run


@pytest.mark.slow
def test_drifted_data_is_told_and_trained_on_and_broken_data_is_told(run: Any, tmp_path: Path) -> None:
    tables = {
        "old": rows("2024-01-01", 0, 1, 0),
        "new": rows("2024-01-11", 2, -1, 1),
        "broken": rows("2024-01-21", 2, -1, 2).assign(kind=None),
    }
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet")

    def check(name: str, since: str, until: str) -> tuple[str, dict[str, str]]:
        data = str(tmp_path / f"{name}.parquet")
        return run(
            "drift_check", since=f"{since}T00:00:00Z", until=f"{until}T00:00:00Z", source=data, training_source=data,
            channels=[f"file:{tmp_path}/told"], notices=str(tmp_path / "notices.json"),
        )  # fmt: skip

    def notices() -> list[dict[str, str]]:
        file = tmp_path / "told"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def version() -> str:
        found = champion(MODEL)
        assert found is not None
        return str(found.version)

    assert run("training", source=str(tmp_path / "old.parquet"))[0] == "SUCCEEDED"
    assert version() == "1"

    state, steps = check("old", "2024-01-01", "2024-01-11")
    assert (state, steps["tell.notify"], notices()) == ("SUCCEEDED", "SKIPPED", [])

    state, steps = check("new", "2024-01-11", "2024-01-21")
    assert (state, steps["tell.notify"], version()) == ("SUCCEEDED", "SUCCEEDED", "2")
    (notice,) = notices()
    assert notice["severity"] == "warning"
    assert notice["title"] == "m/1: the data is drifted, the model is worse"
    assert "number: the median went from" in notice["text"]

    state, steps = check("new", "2024-01-11", "2024-01-21")
    assert (state, steps["tell.notify"], version()) == ("SUCCEEDED", "SKIPPED", "2")

    state, steps = check("broken", "2024-01-21", "2024-01-31")
    assert (state, steps["tell.notify"], version()) == ("SUCCEEDED", "SUCCEEDED", "2")
    assert {state for name, state in steps.items() if name.startswith("train_again.")} == {"SKIPPED"}
    assert [notice["severity"] for notice in notices()] == ["warning", "critical"]

    # A table that ends before the interval is told of, and the run is no success: nothing was checked.
    state, steps = check("broken", "2024-02-01", "2024-02-02")
    assert (state, steps["tell.notify"], steps["tell.require-rows"]) == ("FAILED", "SUCCEEDED", "FAILED")
    assert len(notices()) == 2  # silent, since these people have just been told that something is broken
