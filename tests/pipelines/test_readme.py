"""The README's commands for another table do what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import in_process
import mlflow
import pandas as pd
import pytest
from conftest import copy_mlflow
from paths import PROJECT
from typer.testing import CliRunner

from turnout.cli.app import app
from turnout.inference import table as tables


def commands(heading: str) -> list[str]:
    """The blocks of shell commands under a heading."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def assert_done(place: Path, printed: list[str]) -> None:
    """The tumours were trained on, predicted, and watched."""
    assert len(printed) == 4
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert int(client.get_model_version_by_alias("tumours", "champion").version) == 1
    tumours = pd.read_csv(place / "tumours.csv")
    predicted = tables.read(str(place / "predictions" / "tumours")).to_pandas().sort_values("id", ignore_index=True)
    assert predicted["id"].tolist() == tumours["id"].tolist()
    assert (predicted["prediction"] == tumours["target"]).mean() > 0.95
    assert re.search(r"monitor .*SUCCEEDED", printed[3])
    assert "monitor.drifted = False" in printed[3]
    assert re.search(r"train_again\.cool\S* .*SKIPPED", printed[3])


@pytest.mark.slow
def test_another_table_is_trained_on_predicted_and_watched(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the README's own words; `turnout` and its steps are calls in this process."""
    (tmp_path / "pipelines").symlink_to(PROJECT / "pipelines")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TURNOUT_ROOT", str(tmp_path / "runs"))
    runtime = in_process.install(monkeypatch)
    made, *run = commands("Train on something else")
    subprocess.run(["bash", "-e"], input=f"PATH={Path(sys.executable).parent}:$PATH\n{made}", text=True, check=True)
    printed = [""]
    for command in run:
        name, *arguments = shlex.split(command.replace("\\\n", " "))
        assert name == "turnout"
        done = CliRunner().invoke(app, [*arguments, "--runtime", runtime])
        assert done.exit_code == 0, f"{command}\n{done.output}"
        printed.append(done.output)
    assert_done(tmp_path, printed)


# In `make test` the same words without processes; processes in `tests/pipelines/test_training.py`.
@pytest.mark.slow
@pytest.mark.nightly
def test_the_commands_do_so_in_a_shell(tmp_path: Path, empty_mlflow: Path) -> None:
    copy_mlflow(empty_mlflow, tmp_path / "mlflow.db", tmp_path)
    (tmp_path / "pipelines").symlink_to(PROJECT / "pipelines")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "MLFLOW_"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    printed = []
    for command in commands("Train on something else"):
        done = subprocess.run(
            ["bash", "-e"], input=command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout + done.stderr)
    assert_done(tmp_path, printed)
