"""Trainings repeated from what they recorded: code at its commit, data by its revision, on a small git and DVC
repository, with a real MLflow and the real local track."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kfp.dsl import Dataset, Metrics, Model

from turnout import ComponentError
from turnout.components.ingest import ingest
from turnout.components.register import register
from turnout.components.split import split
from turnout.components.train import train
from turnout.reproduction.compare import compare
from turnout.reproduction.data import bring_back
from turnout.reproduction.facts import read_training
from turnout.reproduction.program import write_program
from turnout.reproduction.repeat import reproduce

CODE = '''"""An estimator of the repository's own."""

from sklearn.linear_model import LogisticRegression


class Shrunk(LogisticRegression):
    def fit(self, X, y):
        self.C = {strength}
        return super().fit(X, y)
'''


def do(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tracking: str, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git repository with code of its own and a table beside it; the working directory."""
    made = tmp_path / "repository"
    made.mkdir()
    monkeypatch.chdir(made)
    monkeypatch.syspath_prepend(str(made))
    do("git", "init", "-q")
    do("git", "config", "user.email", "a@b.c")
    do("git", "config", "user.name", "a")
    Path(".gitignore").write_text("/table.csv\n")
    (made / "estimators_here.py").write_text(CODE.format(strength=0.1))
    do("git", "add", "-A")
    do("git", "commit", "-qm", "code")
    table.to_csv("table.csv", index=False)
    yield made
    sys.modules.pop("estimators_here", None)


def commit(table: pd.DataFrame, tag: str) -> None:
    """Commit a table with DVC."""
    dvc = str(Path(sys.executable).parent / "dvc")
    if not Path(".dvc").exists():
        do(dvc, "init", "-q")
        do(dvc, "remote", "add", "-d", "local", str(Path("../remote").absolute()))
    table.to_parquet("table.parquet", index=False)
    do(dvc, "add", "-q", "table.parquet")
    do(dvc, "push", "-q")
    do("git", "add", "-A")
    do("git", "commit", "-qm", tag)
    do("git", "tag", tag)


def trained(artifact, source: str, revision: str = "", **parameters: Any) -> str:
    """Train and register as the pipeline does, by the components as functions; the version."""
    data, rows, test = (artifact(Dataset, name) for name in ("data", "rows", "test"))
    ingest.python_func(source=source, revision=revision, data=data, timestamps=["when"])
    split.python_func(data=data, train=rows, test=test, timestamp="when", gap_hours=6.0)
    model = artifact(Model, "model")
    given = {"estimator": "sklearn.linear_model.LogisticRegression", "ignore": ["when"], "seed": 3} | parameters
    train.python_func(data=rows, model=model, metrics=artifact(Metrics, "metrics"), target="target", **given)
    return register.python_func(model=model, registered_model="m").version


def count() -> tuple[int, int]:
    import mlflow

    client = mlflow.MlflowClient()
    return len(client.search_runs(["0", "1"])), len(client.search_model_versions())


@pytest.mark.slow
def test_a_training_is_repeated_to_the_bit_though_code_and_data_went_on(
    artifact, repository, table, tmp_path: Path
) -> None:
    commit(table, "v1")
    # A change that is in no commit; the data by its revision.
    code = repository / "estimators_here.py"
    code.write_text(CODE.format(strength=0.01))
    trained(artifact, "table.parquet", "v1", estimator="estimators_here.Shrunk")
    code.write_text(CODE.format(strength=100))
    commit(table.head(300), "v2")
    before = count()
    said: list[str] = []
    result = reproduce("m/1", repository=Path(), say=said.append)
    assert result.same == "bit", (result, said)
    assert "all predictions for the" in result.says
    assert result.differences == []
    assert any("with changes that were in no commit" in line for line in said)
    assert "data table.parquet (revision" in said[2]
    assert said[-1] == "running ingest, split, train"
    assert count() == before
    assert do("git", "worktree", "list").count("\n") == 1
    assert do("git", "status", "--porcelain", "--untracked-files=no") == ""
    # Had no revision been named, DVC would be asked for the code's commit, and the content says whether it is that.
    known = read_training("m/1").recipe["inputs"]["data"]["inputs"]["data"]
    digest = known["read"]["source"]["digest"]
    for number, (recorded, how) in enumerate(((digest, "the code's commit"), ("sha256:0", "as it is now"))):
        node = {**known, "read": {"source": {"digest": recorded, "revision": ""}}}
        local, (found,) = bring_back({"inputs": {"data": node}}, "v1", Path.cwd(), tmp_path / str(number))
        assert found.how.startswith(how)
        assert found.same is (recorded == digest)
        assert len(pd.read_parquet(local["inputs"]["data"]["parameters"]["source"])) == (600 if found.same else 300)
    Path("table.parquet").unlink()
    with pytest.raises(ComponentError, match="data of the training is not to be had"):
        bring_back({"inputs": {"data": node}}, "no-such-commit", Path.cwd(), tmp_path / "nowhere")


STEP = '''"""A train step of the repository's own."""

from turnout import Dataset, Input, Model, Output, component


@component
def fit(data: Input[Dataset], model: Output[Model], trees: int) -> None:
    """Fit a model.

    Args:
        data: the rows.
        model: the model.
        trees: how many.
    """
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    from turnout.data.recipe import made_by
    from turnout.models import log

    table = pd.read_parquet(data.path)
    fitted = HistGradientBoostingClassifier(max_iter=trees, random_state=0).fit(table[["number"]], table["target"])
    recipe = made_by("steps_here:fit", {"trees": trees}, inputs={"data": data.metadata})
    log(fitted, model, table, target="target", task="classification", ignore=["when", "kind"], data=data, recipe=recipe)
'''


@pytest.mark.slow
def test_a_train_step_of_ones_own_is_repeated_too(artifact, repository) -> None:
    import importlib

    Path("steps_here.py").write_text(STEP)
    do("git", "add", "-A")
    do("git", "commit", "-qm", "step")
    data, model = artifact(Dataset, "data"), artifact(Model, "model")
    ingest.python_func(source="table.csv", data=data, timestamps=["when"])
    importlib.import_module("steps_here").fit.python_func(data=data, model=model, trees=7)
    register.python_func(model=model, registered_model="m")
    Path("steps_here.py").unlink()
    said: list[str] = []
    result = reproduce("m/1", repository=Path(), say=said.append)
    assert (result.same, result.differences) == ("bit", [])
    assert said[-1] == "running ingest, fit"


@pytest.mark.slow
def test_data_that_changed_and_packages_that_differ_are_told(artifact, repository, table) -> None:
    import mlflow

    trained(artifact, "table.csv")
    run_id = mlflow.MlflowClient().get_model_version("m", "1").run_id
    text = mlflow.artifacts.load_text(f"runs:/{run_id}/reproduction/packages.txt")
    assert len(text.splitlines()) > 100
    older = text.replace(next(line for line in text.splitlines() if line.startswith("lightgbm==")), "lightgbm==4.0.0")
    mlflow.MlflowClient().log_text(run_id, older + "gone==1.0\n", "reproduction/packages.txt")
    table.assign(target=table["target"].to_numpy()[::-1]).to_csv("table.csv", index=False)
    command = [sys.executable, "-c", "from turnout.cli import main; main()", "reproduce", "m@challenger", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert result["same"] == "no"
    assert result["says"].startswith("not the same model: training_roc_auc")
    data, environment = result["differences"]
    assert data.startswith("data: table.csv (as it is now) is sha256:")
    assert environment.startswith("environment: lightgbm 4.0.0 → ")
    assert environment.endswith(", gone 1.0 → (absent)")


def test_the_program_has_each_step_once_and_values_that_cannot_become_code() -> None:
    made = {"component": "a:read", "output": "data", "inputs": {}, "parameters": {"text": "'); import os  # \n{x}"}}
    both = {
        "component": "a:join",
        "output": "",
        "parameters": {},
        "inputs": {"one": made, "two": {**made, "output": "o"}},
    }
    program = write_program(both)
    compile(program, "program", "exec")
    assert program.count("component('a:read')") == 1
    assert 'one=step_0.outputs["data"], two=step_0.outputs["o"]' in program
    assert "\nimport os" not in program


def test_what_is_missing_is_told_all_at_once(artifact, repository, table) -> None:
    import mlflow

    model = artifact(Model, "model")
    outputs = {"model": model, "metrics": artifact(Metrics, "metrics")}
    train.python_func(data=artifact(Dataset, "rows", table), target="target", ignore=["when"],
                      estimator="sklearn.linear_model.LogisticRegression", **outputs)  # fmt: skip
    register.python_func(model=model, registered_model="m")
    with pytest.raises(ComponentError, match=r"missing: how 'data' of turnout.components.train:train was made"):
        reproduce("m/1", repository=Path())
    with mlflow.start_run():
        other = mlflow.sklearn.log_model(mlflow.sklearn.load_model(model.metadata["mlflow_model_uri"]), name="model",
                                         serialization_format="cloudpickle")  # fmt: skip
    mlflow.register_model(other.model_uri, "m")
    with pytest.raises(ComponentError, match=r"git commit.*how its rows were made.*what the model predicts"):
        reproduce("m/2", repository=Path())
    with pytest.raises(ComponentError, match="no such model"):
        reproduce("n/1", repository=Path())


def test_a_commit_that_is_not_here_is_told(artifact, repository, tmp_path: Path) -> None:
    trained(artifact, "table.csv")
    other = tmp_path / "other"
    do("git", "init", "-q", str(other))
    with pytest.raises(ComponentError, match="the code of the training cannot be checked out"):
        reproduce("m/1", repository=other)
    with pytest.raises(ComponentError, match="not a git repository"):
        reproduce("m/1", repository=tmp_path)


def test_a_model_is_the_same_by_bits_by_its_score_or_not(artifact, repository) -> None:
    trained(artifact, "table.csv")
    before = read_training("m/1")
    assert before.packages[0].startswith("# python 3.")
    assert compare(before, before, [], 0).same == "bit"
    score = before.metrics["training_roc_auc"]
    near = dataclasses.replace(
        before, predictions="other", metrics={**before.metrics, "training_roc_auc": score + 1e-5}
    )
    assert compare(before, near, [], 1e-4).same == "metric"
    far = compare(before, near, [], 1e-6)
    assert far.same == "no"
    assert "nothing that was recorded" in far.differences[0]
    fewer = dataclasses.replace(near, metrics={**before.metrics, "training_rows": 3.0})
    assert compare(before, fewer, [], 1e-4).same == "no"
