"""MLflow's runs mirrored in other trackers, each by a process of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from kfp.dsl import Dataset, Metrics, Model
from processes import lives

from turnout.components.train import train
from turnout.trackers import mirror as mirrors
from turnout.trackers.mirror import mirror

OWN = """
import dataclasses, json, os, subprocess, time


class Own:
    def start(self, run):
        self.told = {"run": dataclasses.asdict(run), "files": []}

    def log_parameters(self, parameters):
        self.told["parameters"] = dict(parameters)

    def log_metrics(self, metrics):
        self.told["metrics"] = dict(metrics)

    def log_artifact(self, path):
        self.told["files"].append([path.name, path.read_text()])

    def log_links(self, links):
        self.told["links"] = dict(links)

    def finish(self):
        open("own.json", "w").write(json.dumps(self.told))
        return "own.json"


class Broken(Own):
    def log_metrics(self, metrics):
        raise ConnectionError("nobody listens")


class Hanging(Own):
    def start(self, run):
        child = subprocess.Popen(["sleep", "1000"])
        open("hanging.txt", "w").write(f"{os.getpid()} {child.pid}")
        time.sleep(1000)
"""


@pytest.fixture
def run_id(tracking: str, tmp_path: Path) -> str:
    """A run, in a directory with trackers of its own."""
    import mlflow

    (tmp_path / "own_trackers.py").write_text(OWN)
    with mlflow.start_run(run_name="nice", tags={"turnout.code": "abc"}) as run:
        mlflow.log_params({"depth": 3})
        mlflow.log_metric("r2", 0.5)
        mlflow.log_text("<p>page", "evaluation/report.html")
        mlflow.log_text("rows", "model/rows.txt")
    return run.info.run_id


def test_a_tracker_of_ones_own_is_told_all_of_a_run(run_id, tracking, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TURNOUT_TRACKERS", "own_trackers:Own")
    mirror(run_id)
    assert capsys.readouterr().out == "mirrored in own_trackers:Own: own.json\n"
    told = json.loads(Path("own.json").read_text())
    assert told["run"] == {"run_id": run_id, "name": "nice", "experiment": "Default", "url": tracking}
    assert (told["parameters"], told["metrics"]) == ({"depth": "3"}, {"r2": 0.5})
    assert told["files"] == [["report.html", "<p>page"]]
    assert told["links"] == {"mlflow": tracking, "mlflow_run_id": run_id, "turnout.code": "abc"}


def test_a_tracker_that_is_down_never_fails_a_training(artifact, table, run_id, tracking, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TURNOUT_TRACKERS", "own_trackers:Broken, no.such:Tracker")
    model = artifact(Model, "model")
    outputs = {"model": model, "metrics": artifact(Metrics, "metrics")}
    train.python_func(data=artifact(Dataset, "data", table), target="target", ignore=["when"],
                      estimator="sklearn.linear_model.LogisticRegression", **outputs)  # fmt: skip
    out = capsys.readouterr().out
    assert "warning: the run is not mirrored in own_trackers:Broken: ConnectionError: nobody listens" in out
    assert "warning: the run is not mirrored in no.such:Tracker: ModuleNotFoundError: No module named 'no'" in out
    assert (Path(model.path) / "MLmodel").is_file()


def test_a_tracker_that_hangs_is_ended_with_all_that_it_started(run_id, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TURNOUT_TRACKERS", "own_trackers:Hanging")
    monkeypatch.setattr(mirrors, "_SECONDS", 30)
    started = time.monotonic()
    mirror(run_id)
    assert "not mirrored in own_trackers:Hanging: no answer within 30 s" in capsys.readouterr().out
    assert time.monotonic() - started < 90
    assert not any(lives(int(pid)) for pid in Path("hanging.txt").read_text().split())


def test_without_an_account_weights_and_biases_has_the_run_offline(run_id, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TURNOUT_TRACKERS", "wandb")
    mirror(run_id)
    assert "(offline; upload it with `wandb sync" in capsys.readouterr().out
    (place,) = (tmp_path / "wandb").glob("offline-run-*")
    assert place.name.endswith(run_id)
    assert (place / "files" / "evaluation" / "report.html").read_text() == "<p>page"
    kept = (place / f"run-{run_id}.wandb").read_bytes()
    assert all(word in kept for word in (b"depth", b"r2", b"link.turnout.code", b"nice"))
