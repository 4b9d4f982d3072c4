"""The loop on a real Airflow: data drifts, people are told, a training starts by itself, the next check is quiet.

On the local track: `tests/pipelines/test_drift_loop.py`.
"""

from __future__ import annotations

import json
import urllib.parse
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import run_program
from server import Server
from waiting import wait

CHECK, TRAINING = "flight-delay-drift-check", "flight-delay-training"

MAKE = """
import sys
import numpy as np, pandas as pd
directory = sys.argv[1]
def make(day, center, sign, seed):
    rng, rows = np.random.default_rng(seed), 4_000
    number = rng.normal(center, 1, rows)
    late = (sign * (number - center) + rng.normal(size=rows) > 0).astype(int)
    when = pd.date_range(day, periods=rows, freq=pd.Timedelta(days=10) / rows, tz="UTC")
    return pd.DataFrame({"flight_id": [str(i) for i in range(rows)], "event_timestamp": when, "number": number,
                         "kind": rng.choice(["a", "b"], rows), "late": late})
make("2024-01-01", 0, 1, 0).to_parquet(f"{directory}/old.parquet")
make("2024-01-11", 2, -1, 1).to_parquet(f"{directory}/new.parquet")
make("2024-01-21", 2, -1, 2).assign(kind=None).to_parquet(f"{directory}/broken.parquet")
"""

CHAMPION = """
import mlflow, sys
print(mlflow.MlflowClient().get_model_version_by_alias(sys.argv[1], "champion").version)
"""


pytestmark = pytest.mark.slow


def run(server: Server, dag: str, expected: str = "success", **conf: Any) -> dict[str, str]:
    """The states of a run's tasks, when it has ended as expected."""
    plain = {"suite": None, "feature_service": None, "slices": None}
    server.call("PATCH", f"/dags/{dag}", {"is_paused": False})
    started = server.trigger(dag, **plain | conf)
    state = server.ended(dag, started, 240)
    assert state == expected, server.why(dag, started)
    return {name: item["state"] for name, item in server.tasks(dag, started).items()}


@dataclass(frozen=True)
class Watched:
    """A model of the tables of `MAKE`, and who is told of it."""

    server: Server
    name: str

    @classmethod
    def train(cls, server: Server, name: str) -> Watched:
        """Train its first version, on the old table."""
        run_program(MAKE, server.home)
        known(server)
        made = cls(server, name)
        run(server, TRAINING, source=str(server.home / "old.parquet"), registered_model=name)
        assert made.champion == "1"
        return made

    def check(self, day: str, until: str, table: str, expected: str = "success") -> dict[str, str]:
        data, place = str(self.server.home / f"{table}.parquet"), self.server.home / self.name
        return run(
            self.server, CHECK, expected, since=f"{day}T00:00:00Z", until=f"{until}T00:00:00Z", source=data,
            training_source=data, channels=[f"file:{place}.told"], notices=f"{place}.json", registered_model=self.name,
        )  # fmt: skip

    def check_new(self) -> None:
        """Check the new table, which has drifted: people are told, and version 2 is trained."""
        states = self.check("2024-01-11", "2024-01-21", "new")
        assert states["tell.notify"] == "success"
        assert self.champion == "2"
        (notice,) = self.notices
        assert notice["severity"] == "warning"
        assert notice["title"] == f"{self.name}/1: the data is drifted, the model is worse"
        assert "number: the median went from" in notice["text"]
        assert "roc_auc went from 0.8" in notice["text"]

    @property
    def champion(self) -> str:
        return run_program(CHAMPION, self.name, env=self.server.environment).strip()

    @property
    def notices(self) -> list[dict[str, str]]:
        file = self.server.home / f"{self.name}.told"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def known(server: Server) -> None:
    for dag in (CHECK, TRAINING):
        wait(lambda dag=dag: server.known(dag), f"the DAG {dag}", 120)


SAMPLE = """
import pandas, sys
pandas.read_parquet("data/flights/flights.parquet").sample(6_000, random_state=0).to_parquet(sys.argv[1])
"""


def test_unpaused_it_checks_yesterday(server: Server) -> None:
    known(server)
    sample = server.home / "sample.parquet"
    run_program(SAMPLE, sample)
    run(server, TRAINING, source=str(sample), registered_model="of-yesterday",
        hyperparameters={"n_estimators": 20})  # fmt: skip
    server.unpause(CHECK)
    scheduled = wait(lambda: [run for run in server.runs(CHECK) if run["run_type"] == "scheduled"], "a run", 60)[0]
    assert server.ended(CHECK, scheduled["dag_run_id"], 300) == "success", server.why(CHECK, scheduled["dag_run_id"])
    title = server.xcom(CHECK, urllib.parse.quote(scheduled["dag_run_id"]), "monitor", "title")
    assert title.startswith("of-yesterday/1: the data is ")
    assert "broken" not in title


def test_drifted_data_starts_a_training(server: Server) -> None:
    Watched.train(server, "drifting").check_new()


# In `make test`: the test above, and all of this on the local track.
@pytest.mark.nightly
def test_drifted_data_starts_one_training_and_broken_data_none(server: Server) -> None:
    watched = Watched.train(server, "watched")
    states = watched.check("2024-01-01", "2024-01-11", "old")
    assert states["monitor"] == "success"
    assert states["tell.notify"] == "skipped"
    assert watched.notices == []

    watched.check_new()
    states = watched.check("2024-01-11", "2024-01-21", "new")
    assert states["tell.notify"] == "skipped"
    assert watched.champion == "2"

    states = watched.check("2024-01-21", "2024-01-31", "broken")
    assert states["tell.notify"] == "success"
    assert {state for name, state in states.items() if name.startswith("train_again.")} == {"skipped"}
    assert [notice["severity"] for notice in watched.notices] == ["warning", "critical"]
    assert watched.champion == "2"

    # A table that ends before the interval is told of, and the run is no success: nothing was checked.
    states = watched.check("2024-02-01", "2024-02-02", "broken", "failed")
    assert states["tell.notify"] == "success"
    assert states["tell.require-rows"] == "failed"
    assert len(watched.notices) == 2  # silent, since these people have just been told that something is broken
