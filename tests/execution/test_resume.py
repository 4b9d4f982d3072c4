"""A run survives its runner: killed at any moment, it is resumed to the end it would have had."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from paths import EXAMPLES, PROJECT

from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Run

TURNOUT = str(Path(sys.executable).parent / "turnout")
KILLS = int(os.environ.get("TURNOUT_KILLS", "12"))
"""How often runners are killed; a training's, which takes longer, a sixth of that."""


class Interrupted:
    """Runs a pipeline whose runner is killed again and again; counts the kills."""

    def __init__(self, source: Path, root: Path, seed: int, longest: float, environment: dict[str, str]):
        self.source, self.root, self.longest = source, root, longest
        self.random = random.Random(seed)
        self.environment = {**os.environ, **environment}
        self.kills = 0

    def run(self, run_id: str, parameters: list[str]) -> dict:
        """Run to the end, resuming after each kill; the result as JSON.

        The more often it was killed, the later it is: on a slow machine too it comes to its end.
        """
        known, longest = False, self.longest
        while True:
            start = [str(self.source), "--run-id", run_id, *parameters]
            command = [TURNOUT, "run", *(["--resume", run_id] if known else start), "--root", str(self.root)]
            command += ["--no-cache", "--json"]
            process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self.environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            try:
                out, err = process.communicate(timeout=self.random.uniform(0.1, longest))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                self.kills += 1
                longest *= 1.1
            else:
                if "has succeeded; there is nothing to resume" in err:  # killed between its end and its exit
                    return json.loads(next(self.root.glob(f"*/{run_id}/run.json")).read_text())
                assert process.returncode == 0, err + out
                return json.loads(out)
            known = any(self.root.glob(f"*/{run_id}/run.json"))


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_been(tmp_path: Path, turnout) -> None:
    assert turnout("compile", "tests/examples/resumable.py", "--track", "kfp", "--out", str(tmp_path)).status == 0
    source, root = tmp_path / "resumable.yaml", tmp_path / "root"

    def kill(seed: int) -> int:
        runs = Interrupted(source, root, seed, longest=2.5, environment={"PYTHONPATH": str(EXAMPLES)})
        for run_id in (f"run-{seed}-{count}" for count in itertools.count()):
            result = runs.run(run_id, ["-p", f"marker={tmp_path}/marker-{run_id}"])
            assert result["state"] == "SUCCEEDED"
            assert result["outputs"] == {"Output": "12 squared is 144; [0, 1, 4, 9]; in the mood"}
            assert [step["state"] for step in result["steps"]] == ["SUCCEEDED"] * 8
            # Nothing of it lives any more: whatever acts for a run holds its lock.
            with ArtifactStore(str(root)).lock(Run("resumable", run_id, ""), patience=5):
                if runs.kills >= KILLS / 2:
                    break
        return runs.kills

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(kill, (7, 8))) >= KILLS


# In `make test`: the run of small steps above, and `test_the_same_run_registered_twice_is_one_version`.
@pytest.mark.slow
@pytest.mark.nightly
def test_a_training_killed_at_random_moments_registers_one_version(tmp_path: Path, tracking: str) -> None:
    import mlflow
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 3)), columns=["a", "b", "c"])
    table["target"] = (table["a"] + rng.normal(size=400) > 0).astype(int)
    table.to_parquet(tmp_path / "table.parquet")
    parameters = {
        "source": str(tmp_path / "table.parquet"),
        "suite": "",
        "feature_service": "",
        "target": "target",
        "timestamp": "",
        "ignore": "[]",
        "slices": "[]",
        "estimator": "sklearn.linear_model.LogisticRegression",
        "hyperparameters": "{}",
        "registered_model": "killed",
    }
    runs = Interrupted(PROJECT / "pipelines/training.py", tmp_path / "root", 3, 9.0, {"MLFLOW_TRACKING_URI": tracking})
    result = None
    while runs.kills < KILLS / 6:
        result = runs.run(f"run-{runs.kills}", [part for item in parameters.items() for part in ("-p", "=".join(item))])
        assert result["state"] == "SUCCEEDED"
        version = mlflow.MlflowClient().get_model_version_by_alias("killed", "champion")
        assert str(version.version) == "1"
    assert len(mlflow.MlflowClient().search_model_versions("name='killed'")) == 1


@pytest.mark.parametrize("how", ["unknown", "finished"])
def test_what_cannot_be_resumed(turnout, how: str) -> None:
    assert turnout("run", "tests/examples/shapes.py:branch", "--run-id", "done").status == 0
    ran = turnout("run", "--resume", "done" if how == "finished" else "dne")
    assert ran.status == 1
    assert ("has succeeded" if how == "finished" else "no run 'dne'") in ran.err


RECOVERS = '''
from pathlib import Path
from kfp import dsl
from turnout import PipelineTaskFinalStatus, component, pipeline


@component
def fail_at_first(marker: str) -> str:
    """Fail where there is no marker, and leave one.

    Args:
        marker: path of a file.
    """
    if Path(marker).exists():
        return "recovered"
    Path(marker).touch()
    raise ValueError("at first")


@component
def tell(log: str, status: PipelineTaskFinalStatus):
    """Write down how it ended.

    Args:
        log: path of a file.
        status: of what was before.
    """
    with open(log, "a") as file:
        file.write(f"{status.state} ")


@component
def look(log: str, text: str = "nothing"):
    """Write down a text.

    Args:
        log: path of a file.
        text: what came before.
    """
    with open(log, "a") as file:
        file.write(f"{text} ")


@pipeline
def p(directory: str):
    """Recover.

    Args:
        directory: for the files.
    """
    told = tell(log=f"{directory}/told")
    with dsl.ExitHandler(told, name="guarded"):
        tried = fail_at_first(marker=f"{directory}/marker")
        look(log=f"{directory}/seen", text=tried.output).ignore_upstream_failure()
        look(log=f"{directory}/once")
'''


def test_steps_that_saw_a_failure_run_again_when_the_run_has_recovered(turnout, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(RECOVERS)
    given = ["-p", f"directory={tmp_path}", "--no-cache"]
    assert turnout("run", f"{tmp_path}/p.py", "--run-id", "r", *given, directory=tmp_path).status == 1
    resumed = turnout("run", "--resume", "r", "--no-cache", directory=tmp_path)
    assert resumed.status == 0, resumed.err
    assert (tmp_path / "told").read_text() == "FAILED SUCCEEDED "
    assert (tmp_path / "seen").read_text() == "nothing recovered "
    assert (tmp_path / "once").read_text() == "nothing "


def test_a_failed_run_is_resumed_from_where_it_failed(turnout, tmp_path: Path) -> None:
    marker = f"marker={tmp_path}/marker"
    first = turnout("run", "tests/contract/shapes.py:failure", "--run-id", "again", "--json")
    assert first.status == 1
    second = turnout("run", "--resume", "again", "--json")
    assert second.status == 1
    assert second.step("give-2")["outputs"] == first.step("give-2")["outputs"]
    assert second.step("fail")["attempts"] == 1
    assert turnout("run", "--resume", "again", "-p", marker).status == 2
