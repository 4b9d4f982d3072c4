"""The README's commands for another table do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from conftest import copy_mlflow
from paths import PROJECT

from turnout.inference import table as tables


def commands(heading: str) -> list[str]:
    """The blocks of shell commands under a heading."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.mark.slow
def test_another_table_is_trained_on_predicted_and_watched(tmp_path: Path, empty_mlflow: Path) -> None:
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
    assert len(printed) == 4

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert int(client.get_model_version_by_alias("tumours", "champion").version) == 1
    tumours = pd.read_csv(tmp_path / "tumours.csv")
    predicted = tables.read(str(tmp_path / "predictions" / "tumours")).to_pandas().sort_values("id", ignore_index=True)
    assert predicted["id"].tolist() == tumours["id"].tolist()
    assert (predicted["prediction"] == tumours["target"]).mean() > 0.95
    assert re.search(r"monitor .*SUCCEEDED", printed[3])
    assert "monitor.drifted = False" in printed[3]
    assert re.search(r"train_again\.cool\S* .*SKIPPED", printed[3])
