"""Training puts a better model into service on a server that runs: a part of its requests, as a release begins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import in_process
import numpy as np
import pandas as pd
import pytest
from load import ask
from waiting import free_ports, wait

import turnout
from turnout.components.deploy import Deployed, deploy
from turnout.errors import ParameterError
from turnout.models.promotion import champion
from turnout.models.registry import look_up
from turnout.serving.directory import Directory
from turnout.serving.rollout.steps import go_back
from turnout.serving.state import State
from turnout.serving.targets.local import LocalTarget

pytestmark = pytest.mark.slow

MODEL = "m"
WORSE = {"estimator": "sklearn.tree.DecisionTreeClassifier", "hyperparameters": {"max_depth": 1}}
BETTER = {"estimator": "sklearn.linear_model.LogisticRegression", "hyperparameters": {}}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(500, 2)), columns=["size", "weight"])
    rows["late"] = (rows["size"] + rows["weight"] > 0).astype(int)
    rows["id"] = np.arange(len(rows))
    rows.to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


@pytest.fixture
def train(tracking: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    runtime = in_process.install(monkeypatch)

    def train(pipeline: str = "training", **parameters: Any) -> Any:
        given = {"source": str(table), "suite": "", "feature_service": "", "target": "late", "timestamp": "",
                 "keys": ["id"], "ignore": ["id"], "slices": [], "registered_model": MODEL}  # fmt: skip
        source = f"turnout.pipelines.{pipeline}:{pipeline}"
        return turnout.run(source, given | parameters, runtime=runtime, root=tmp_path / "runs", watch=lambda *_: None)

    return train


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Starts a server for the champion, as a user does; gives its port."""
    begun: list[subprocess.Popen[bytes]] = []

    def serve() -> int:
        (port,) = free_ports(1)
        command = [str(Path(sys.executable).parent / "turnout"), "serve", MODEL, "--port", str(port), "--workers", "1"]
        out = (tmp_path / "serve.out").open("wb")
        server = subprocess.Popen(command, cwd=tmp_path, env=os.environ, stdout=out, stderr=subprocess.STDOUT)
        begun.append(server)
        status = Directory(tmp_path / ".turnout" / "serving" / MODEL).read_status
        wait(lambda: status().get("ready") or server.poll() is not None, "the server", 60)
        assert server.poll() is None, (tmp_path / "serve.out").read_text()
        return port

    yield serve
    for server in begun:
        server.terminate()
        server.wait(60)


def steps(result: Any) -> dict[str, dict[str, Any]]:
    return {step.name: step.to_dict() for step in result.steps}


def served(tmp_path: Path) -> dict[str, float]:
    release = State(tmp_path / ".turnout" / "serving" / MODEL).require()
    return {item.version: item.percent for item in release.versions}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"deploy_target": "locla"}, "no such target: locla"),
        ({"deploy_target": "kubernetes:none.yaml"}, "none.yaml"),
        ({"deploy_percent": 5.0}, "the target registry does not give a version a part of the traffic"),
        ({"deploy_shadow": True}, "the target registry does not send copies of requests"),
        ({"deploy_target": "local"}, "start it: turnout serve m; the first version of a model is trained with"),
    ],
)
def test_a_place_where_no_model_can_be_put_is_told_before_one_is_trained(train, asked, message) -> None:
    found = steps(train(**WORSE, **asked))
    assert found["require-target"]["state"] == "FAILED"
    assert message in found["require-target"]["error"]
    assert found["train"]["state"] == "NOT_TRIGGERED"


def test_a_better_model_gets_its_part_of_the_requests_of_a_server_that_runs(train, serve, tmp_path: Path) -> None:
    first = steps(train(**WORSE))
    assert first["promote.deploy"]["outputs"] == {"version": "1", "previous": "", "champion": "1"}
    port = serve()

    begun = train(**BETTER, deploy_target="local", deploy_percent=5.0)
    assert begun.state == "SUCCEEDED", steps(begun)
    assert steps(begun)["promote.deploy"]["outputs"] == {"version": "2", "previous": "1", "champion": ""}
    assert served(tmp_path) == {"1": 95.0, "2": 5.0}
    body = json.dumps({"size": 1.5, "weight": 0.2}).encode()
    answered = [ask(port, body=body)[1]["version"] for _ in range(300)]
    assert 1 <= answered.count("2") < 60
    assert set(answered) == {"1", "2"}
    assert champion(MODEL).version == "1"  # type: ignore[union-attr]  # what batch inference uses, and is judged by
    assert look_up(f"models:/{MODEL}@challenger").version == "2"

    state = State(tmp_path / ".turnout" / "serving" / MODEL)
    before = state.require()
    again = deploy.python_func(registered_model=MODEL, version="2", target="local", percent=5.0)
    assert (again, state.require()) == (Deployed("2", "1", ""), before)  # a step that is tried again changes nothing

    for _ in range(2):
        done = deploy.python_func(registered_model=MODEL, version="2", target="local")
        assert done == Deployed("2", "1", "2")
    assert served(tmp_path) == {"2": 100.0}
    assert ask(port, body=body)[1]["version"] == "2"
    assert go_back(LocalTarget(), MODEL, who="ada", why="wrong") == "1"
    assert champion(MODEL).version == "1"  # type: ignore[union-attr]


def test_training_takes_the_precision_of_the_form_that_answers(train) -> None:
    network = {"estimator": "sklearn.neural_network.MLPClassifier", "hyperparameters": {"hidden_layer_sizes": [8]}}
    told = steps(train(**network, precision="float16", maximum_loss=0.2))["promote.register"]["outputs"]
    assert told["answers"] == "compiled float16", told
    with pytest.raises(ParameterError, match="int8"):
        train(estimator="lightgbm.LGBMClassifier", precision="int8")  # no network: told before anything runs


def test_training_after_drift_deploys_as_every_training_does(train, table: Path) -> None:
    """The target is passed on: one that is wrong is told by the training within, before it trains."""
    train(**WORSE)
    moved = pd.read_parquet(table)
    moved["size"] += 3
    moved.to_parquet(table.parent / "moved.parquet")
    checked = steps(train(
        "drift_check", source=str(table.parent / "moved.parquet"), training_source=str(table), not_learned=["id"],
        ignore=[], cool_down_days=0.0, notices=str(table.parent / "notices.json"), deploy_target="locla",
        deploy_percent=5.0,
    ))  # fmt: skip
    (told,) = [step for name, step in checked.items() if name.endswith("require-target")]
    assert told["state"] == "FAILED"
    assert "no such target: locla" in told["error"]
