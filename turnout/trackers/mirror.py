"""Mirrors of MLflow's runs in other trackers. MLflow stays the record; a mirror is made after it, from it.

`$TURNOUT_TRACKERS` names the trackers, separated by commas: `wandb`, or `module:Class` of one's own. Each run is
mirrored by a process of its own that has a minute: a tracker that is down, hangs or crashes costs that minute and a
warning, and never a training.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TRACKERS = "TURNOUT_TRACKERS"
KNOWN = {"wandb": "turnout.trackers.wandb:Wandb"}
PAGES = ("evaluation", "tuning")
"""Directories of a run's artifacts that are mirrored: pages for people. Models, rows and code stay in MLflow."""

_SECONDS = 60


@dataclass(frozen=True)
class Mirrored:
    """What names a run in a mirror.

    Attributes:
        run_id: of MLflow; a mirror has one run of it, however often it is told of it.
        name: of the run.
        experiment: MLflow's, whose runs a mirror keeps together.
        url: where MLflow shows it, or its URI where that is no server.
    """

    run_id: str
    name: str
    experiment: str
    url: str


class Tracker(Protocol):
    """A tracker that runs are mirrored in; made anew for each run. Each method may raise what it likes."""

    def start(self, run: Mirrored) -> None:
        """Begin, or go on with, the mirror of a run."""

    def log_parameters(self, parameters: Mapping[str, str]) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float]) -> None: ...

    def log_artifact(self, path: Path) -> None:
        """Keep a file."""

    def log_links(self, links: Mapping[str, str]) -> None:
        """Keep texts that say where the run comes from, by name: MLflow's run, code, data."""

    def finish(self) -> str:
        """End; where a person finds the mirror."""


def mirror(run_id: str) -> None:
    """Mirror an MLflow run in the trackers that are configured. What goes wrong is printed, never raised."""
    for name in _configured():
        print(_mirror_in(name, run_id), flush=True)


def _configured() -> list[str]:
    return [name.strip() for name in os.environ.get(TRACKERS, "").split(",") if name.strip()]


def _mirror_in(name: str, run_id: str) -> str:
    """Mirror a run in one tracker, in a process of its own with all that it starts; what came of it."""
    import mlflow

    environment = {**os.environ, "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    command = [sys.executable, "-m", __name__, name, run_id]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        started = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = started.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            status = -1
        with contextlib.suppress(ProcessLookupError):  # a tracker may leave services behind
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        output.seek(0)
        lines = [line for line in output.read().splitlines() if line.strip()]
    if status == 0:
        return f"mirrored in {name}: {lines[-1] if lines else ''}"
    why = f"no answer within {_SECONDS} s" if status == -1 else lines[-1] if lines else f"status {status}"
    return f"warning: the run is not mirrored in {name}: {why}"


def _tracker(name: str) -> Tracker:
    module, _, kind = KNOWN.get(name, name).partition(":")
    tracker: Tracker = getattr(importlib.import_module(module), kind)()
    return tracker


def main(arguments: Sequence[str]) -> None:
    """`python -m turnout.trackers.mirror TRACKER RUN_ID`: mirror a run; the last line says where."""
    import mlflow

    name, run_id = arguments
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    tracker = _tracker(name)
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    experiment = client.get_experiment(run.info.experiment_id).name
    uri = mlflow.get_tracking_uri()
    url = f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run_id}" if uri.startswith("http") else uri
    tracker.start(Mirrored(run_id, run.info.run_name or run_id, experiment, url))
    tracker.log_parameters(run.data.params)
    tracker.log_metrics(run.data.metrics)
    own = {key: value for key, value in run.data.tags.items() if key.startswith("turnout.") and len(value) < 500}
    tracker.log_links({"mlflow": url, "mlflow_run_id": run_id, **own})
    with tempfile.TemporaryDirectory() as directory:
        for item in client.list_artifacts(run_id):
            if item.path in PAGES:
                place = Path(client.download_artifacts(run_id, item.path, directory))
                for file in sorted(place.rglob("*")):
                    if file.is_file():
                        tracker.log_artifact(file)
        said = tracker.finish()
    print(said)


if __name__ == "__main__":
    main(sys.argv[1:])
