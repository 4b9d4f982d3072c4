"""`turnout serve` as a user has it: a model of the registry answers; the alias is moved, versions come and go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran, copy_mlflow
from load import Load, ask, under_load
from processes import lives
from waiting import free_ports, wait

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.state import State
from turnout.serving.targets.local import LocalTarget

pytestmark = pytest.mark.slow

ROW = {"size": 1.5, "weight": 0.2}


class Project:
    """A directory of a user's, with a registry of its own, in which commands are called."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/mlflow.db", "COLUMNS": "200"}
        self.turnout = str(Path(sys.executable).parent / "turnout")
        self.port = free_ports(1)[0]
        self.serving = Directory(directory / ".turnout" / "serving" / "small")
        self.server: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> Ran:
        done = subprocess.run(
            [self.turnout, *arguments], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def serve(self, *arguments: str) -> None:
        command = [self.turnout, "serve", *arguments, "--port", str(self.port)]
        out = (self.directory / "serve.out").open("wb")
        self.server = subprocess.Popen(
            command, cwd=self.directory, env=self.environment, stdout=out, stderr=subprocess.STDOUT
        )
        wait(lambda: self.status.get("ready") or self.server.poll() is not None, "the server", 30)  # type: ignore[union-attr]
        assert self.server.poll() is None, self.said

    @property
    def said(self) -> str:
        return (self.directory / "serve.out").read_text()

    @property
    def status(self) -> dict[str, Any]:
        return self.serving.read_status()

    def end(self) -> None:
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(60)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Project]:
    """Versions 1 and 2 of the model `small` predict 1 and 2; version 3 fails on all but its example; 4 has no files."""
    import mlflow
    import numpy as np
    import pandas as pd
    from sklearn.dummy import DummyClassifier

    directory = tmp_path_factory.mktemp("project")
    copy_mlflow(empty_mlflow, directory / "mlflow.db", directory)
    made = Project(directory)
    (made.serving.models / "9").mkdir(parents=True)
    os.utime(made.serving.models / "9", (0, 0))
    mlflow.set_tracking_uri(made.environment["MLFLOW_TRACKING_URI"])
    mlflow.set_experiment("Default")
    rows = pd.DataFrame({"size": np.linspace(0, 1, 20), "weight": np.linspace(1, 2, 20)})
    for version in (1, 2):
        model = DummyClassifier(strategy="most_frequent").fit(rows, np.full(20, version))
        signature = mlflow.models.infer_signature(rows, model.predict(rows))
        example = rows.head(1).assign(weight=np.nan)
        mlflow.sklearn.log_model(
            model, name="model", signature=signature, input_example=example, registered_model_name="small"
        )
    client = mlflow.MlflowClient()
    client.create_model_version("small", "/nowhere")
    client.set_registered_model_alias("small", "champion", "1")
    yield made
    made.end()


@pytest.fixture
def served(project: Project) -> Project:
    """Version 1 is served by the champion's alias."""
    if project.server is None or project.server.poll() is not None:
        project.serve("small")
    LocalTarget(directory=project.serving.path).deploy("small", "1", why="as before")
    release = State(project.serving.path).require()
    wait(lambda: project.status["ready"] and project.status["in_force"] == release.generation, "version 1", 20)
    return project


def some(load: Load, count: int = 100) -> None:
    before = len(load.statuses)
    wait(lambda: len(load.statuses) >= before + count, "answers", 10)


def predicting(project: Project) -> Any:
    return under_load(project.port, clients=4, body=json.dumps(ROW).encode())


def adds_up(project: Project, load: Load) -> None:
    lines: dict[str, Any] = wait(
        lambda: (found := {line["request_id"]: line for line in access_log.Reader(project.serving.access).lines()})
        and load.statuses.keys() <= found.keys() and found,
        "the access log", 5,
    )  # fmt: skip
    for name, status in load.statuses.items():
        assert (lines[name]["code"], lines[name]["version"]) == (status, load.versions[name])


def test_files_of_a_version_that_nobody_serves_are_removed(served: Project) -> None:
    wait(lambda: not (served.serving.models / "9").exists(), "the removal", 20)
    assert "the files of version 9 are removed" in served.said
    assert (served.serving.models / "1").exists()


def test_the_command_that_it_prints_predicts(served: Project) -> None:
    (line,) = [line for line in served.said.splitlines() if "try it" in line]
    done = subprocess.run(line.partition("try it")[2], shell=True, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    assert (answer["prediction"], answer["version"], answer["model"]) == (1, "1", "small")
    assert '"weight": null' in line


def test_when_the_alias_moves_the_new_version_takes_over_with_no_failed_request(served: Project) -> None:
    import mlflow

    with predicting(served) as load:
        some(load)
        mlflow.MlflowClient().set_registered_model_alias("small", "champion", "2")
        wait(lambda: "2" in load.versions.values(), "version 2", 20)
        some(load)
    assert load.counts == {200: len(load.statuses)}
    adds_up(served, load)
    told = served.run("serve", "status", "--json").json
    why = "it was not registered by the component register, which compiles"
    assert told["forms"] == {"2": {"form": "model", "why": why}}
    release = told["details"]["release"]
    assert release["changed_by"] == "alias champion"
    assert release["reason"] == "the alias champion moved from version 1 to 2"


def test_a_version_that_cannot_be_had_leaves_the_champion_in_service(served: Project) -> None:
    import mlflow

    with predicting(served) as load:
        mlflow.MlflowClient().set_registered_model_alias("small", "champion", "3")
        wait(lambda: served.status["problems"], "the problem", 20)
        some(load)
    assert load.counts == {200: len(load.statuses)}
    assert set(load.versions.values()) == {"1"}
    shown = served.run("serve", "status")
    assert shown.status == 1
    assert "version 3: the model itself answers: it was not registered by the component register" in shown.out
    assert "problem: version 3 cannot be had: no model is among the files" in shown.out


def test_traffic_is_split_and_rolled_back_by_hand_with_who_and_why(served: Project) -> None:
    import mlflow

    assert served.run("serve", "split", "1=50", "2=50", "--who", "ada", "--why", "a trial").status == 0
    wait(lambda: served.status["ready"], "both versions", 20)
    with predicting(served) as load:
        some(load, 400)
    assert 120 < list(load.versions.values()).count("2") < len(load.versions) - 120
    adds_up(served, load)
    assert served.run("serve", "promote", "2", "--who", "ada", "--why", "better").status == 0
    champion = mlflow.MlflowClient().get_model_version_by_alias("small", "champion")
    assert str(champion.version) == "2"
    wait(lambda: ask(served.port, body=json.dumps(ROW).encode())[1]["version"] == "2", "version 2", 20)
    shown = served.run("serve", "rollback", "--who", "bob", "--why", "wrong for ships")
    assert shown.status == 0, shown.err
    assert "by bob: wrong for ships" in shown.out
    wait(lambda: ask(served.port, body=json.dumps(ROW).encode())[1]["version"] == "1", "version 1", 20)
    assert str(mlflow.MlflowClient().get_model_version_by_alias("small", "champion").version) == "1"
    tags = mlflow.MlflowClient().get_model_version("small", "2").tags
    assert (tags["turnout.rolled_back_by"], tags["turnout.rolled_back_because"]) == ("bob", "wrong for ships")


def test_a_killed_worker_and_a_killed_envoy_lose_nothing_but_what_that_envoy_had(served: Project) -> None:
    with predicting(served) as load:
        some(load)
        worker = served.status["workers"]["1"][0]["pid"]
        os.kill(worker, signal.SIGKILL)
        some(load)
        wait(lambda: not lives(worker) and all(w["ready"] for w in served.status["workers"]["1"]), "a new one", 20)
        assert load.broken <= 1, load.errors  # the one whose answer it had begun to write
        os.kill(served.status["envoys"][0], signal.SIGKILL)
        some(load)
    assert load.broken <= 5, load.errors
    assert set(load.counts) <= {200, None}
    assert load.refused == 0


def test_a_taken_port_a_missing_model_and_an_open_address_are_told_in_a_line(served: Project) -> None:
    other = str(served.directory / "other")
    taken = served.run("serve", "small/2", "--port", str(served.port), "--directory", other)
    assert taken.status == 1
    assert f"error: cannot answer there: Address already in use @ 127.0.0.1:{served.port}\n" in taken.err
    nobody = served.run("serve")
    assert "error: no model is named\n  available here: small\n" in nobody.err
    missing = served.run("serve", "smal")
    assert "did you mean small?" in missing.err
    opened = served.run("serve", "small", "--address", "0.0.0.0", "--directory", other)
    assert "an address that is not loopback needs tokens" in opened.err
    assert (taken.status, nobody.status, missing.status, opened.status) == (1, 1, 1, 1)


def test_a_model_that_cannot_be_loaded_at_the_start_is_an_error(project: Project) -> None:
    port = str(free_ports(1)[0])
    ran = project.run("serve", "small/3", "--port", port, "--directory", str(project.directory / "third"))
    assert ran.status == 1
    assert "the version cannot be served" in ran.err
    assert "Traceback" not in ran.err


def test_with_tokens_who_has_none_gets_401(project: Project) -> None:
    project.end()
    (project.directory / "tokens").write_text("secret\nother\n")
    project.serve("small", "--tokens", "tokens")
    body = json.dumps(ROW).encode()
    assert ask(project.port, body=body)[0] == 401
    assert ask(project.port, {"authorization": "Bearer secre"}, body)[0] == 401
    assert ask(project.port, {"authorization": "Bearer other"}, body)[0] == 200
    assert "-H 'authorization: Bearer TOKEN'" in project.said
    project.end()
    assert project.server is not None
    assert project.server.returncode == 0
