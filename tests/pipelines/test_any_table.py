"""Any table by parameters alone: trained on, predicted and watched; CSV and Parquet, with times and without, wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import in_process
import numpy as np
import pandas as pd
import pytest

import turnout
from turnout.inference import table as tables

ROWS = 400
DAYS = 4
NO_FLIGHTS: dict[str, Any] = {"suite": "", "feature_service": ""}
"""What every table that is not the example's sets to empty."""

ESTIMATORS = {
    "binary": ("classification", "sklearn.naive_bayes.GaussianNB", "roc_auc"),
    "several": ("classification", "sklearn.naive_bayes.GaussianNB", "roc_auc"),
    "regression": ("regression", "sklearn.linear_model.Ridge", "r2"),
}


def make_table(task: str, times: bool, columns: int, seed: int) -> pd.DataFrame:
    """Numbers, one category and a target that depends on both; a row for some minutes of each day."""
    rng = np.random.default_rng(seed)
    numbers = pd.DataFrame(rng.normal(size=(ROWS, columns)), columns=[f"n{index}" for index in range(columns)])
    kind = rng.choice(["a", "b"], ROWS)
    score = 3 * numbers["n0"] + 3 * (kind == "a") + rng.normal(size=ROWS)
    targets = {
        "binary": (score > 1.5).astype(int),
        "several": pd.cut(score, [-np.inf, 0, 3, np.inf], labels=["low", "middle", "high"]).astype(str),
        "regression": score,
    }
    table = numbers.assign(kind=kind, target=targets[task])
    table.insert(0, "id", np.arange(ROWS))
    if times:
        every = pd.Timedelta(days=DAYS) / ROWS
        table.insert(1, "date", pd.date_range("2024-01-01", periods=ROWS, freq=every, tz="UTC"))
    return table


@pytest.fixture
def run(tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    runtime = in_process.install(monkeypatch)

    def run(pipeline: str, **parameters: Any) -> dict[str, Any]:
        source = f"turnout.pipelines.{pipeline}:{pipeline}"
        lines: list[str] = []
        result = turnout.run(
            source,
            NO_FLIGHTS | parameters,
            runtime=runtime,
            root=tmp_path / "runs",
            cache=False,
            watch=lambda step, line: lines.append(line or ""),
        )
        assert result.state == "SUCCEEDED", "\n".join(lines)
        return {step.name: step.to_dict() for step in result.steps}

    return run


WIDE = 1_200


@pytest.mark.parametrize(
    ("form", "times", "task", "columns"),
    [
        ("csv", True, "binary", 3),
        ("csv", False, "regression", 3),
        ("parquet", True, "regression", 3),
        ("parquet", False, "several", 3),
        ("csv", True, "several", 3),
        pytest.param("csv", False, "binary", 60, marks=pytest.mark.slow),
        pytest.param("csv", False, "binary", WIDE, marks=[pytest.mark.slow, pytest.mark.nightly]),
    ],
)
def test_a_table_is_trained_on_predicted_and_watched(
    run: Any, tmp_path: Path, form: str, times: bool, task: str, columns: int
) -> None:
    sources = [tmp_path / f"{name}.{form}" for name in ("learned", "new")]
    for seed, source in enumerate(sources):
        table = make_table(task, times, columns, seed)
        table.to_csv(source, index=False) if form == "csv" else table.to_parquet(source, index=False)
    learned, new = ({"source": str(source)} for source in sources)
    kind, estimator, metric = ESTIMATORS[task]
    read = {"timestamps": ["date"] if times else [], "timestamp": "date" if times else ""}
    ignore = ["id", "date"] if times else ["id"]
    learn = {"target": "target", "task": kind, "estimator": estimator, "hyperparameters": {}, "metric": metric,
             "slices": [], "registered_model": "m"}  # fmt: skip
    trained = run("training", **learned, **read, **learn, ignore=ignore, gap_hours=0)
    assert trained["evaluate"]["outputs"]["promote"] is True

    day = {"since": "2024-01-02T00:00:00Z", "until": "2024-01-03T00:00:00Z"} if times else {}
    scored = {"model": "models:/m@champion", "table": str(tmp_path / "out"), "keys": ["id"], "prefix": "scored_"}
    predicted = run("batch_inference", **new, **read, **day, **scored)
    rows = ROWS // DAYS if times else ROWS
    assert predicted["predict"]["outputs"]["predicted"] == rows
    found = tables.read(str(tmp_path / "out")).to_pandas()
    expected = table[table["date"].dt.day == 2]["id"] if times else table["id"]
    assert sorted(found["id"]) == expected.tolist()

    watched = run(
        "drift_check", **new, **read, **day, **learn, keys=["id"], predictions=str(tmp_path / "out"), prefix="scored_",
        training_source=learned["source"], not_learned=ignore, notices=str(tmp_path / "notices.json"),
    )  # fmt: skip
    assert watched["monitor"]["outputs"]["broken"] is False
