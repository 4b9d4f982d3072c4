"""Repeats a training: its code in a worktree, its data in a temporary directory, its steps on the local track."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError
from turnout.models.registry import ModelVersion
from turnout.reproduction.compare import Reproduction, compare
from turnout.reproduction.data import bring_back
from turnout.reproduction.facts import Training, read_run, read_training
from turnout.reproduction.program import write_program


def reproduce(
    model: str, *, repository: Path, tolerance: float = 1e-4, say: Callable[[str], None] = lambda text: None
) -> Reproduction:
    """Repeat the training of a model version, and hold the model that it gives against it.

    Nothing is registered or deployed, and nothing is written to the MLflow that has the model.

    Args:
        model: `NAME/VERSION`, or `NAME@ALIAS`.
        repository: a directory in the git repository of the code, from which the training ran: relative paths are from
            here, and DVC is asked here.
        tolerance: how far the scores on the training rows may be from what they were, in the metric's own unit.
        say: called with each thing that is being done.

    Raises:
        ComponentError: what was recorded does not suffice, the code or the data are not to be had, or a step failed.
    """
    before = read_training(model)
    say(f"{before.version.uri}: MLflow run {before.version.run_id}")
    home = repository.absolute()
    with tempfile.TemporaryDirectory(prefix="turnout-") as directory:
        place = Path(directory)
        with _checked_out(before, home, place / "code") as code:
            say(f"code {before.code[:12]}{', with changes that were in no commit' if before.changes else ''}")
            recipe, data = bring_back(before.recipe, before.code, home, place / "data")
            for item in data:
                say(f"data {item.source} ({item.how}): {'the same' if item.same else 'not the same'} content")
            (place / "reproduction.py").write_text(write_program(recipe))
            say(f"running {', '.join(_names(recipe))}")
            run_id, tracking = _run(place / "reproduction.py", code, place)
            after = read_run(ModelVersion(before.version.name, "repeated", run_id), tracking)
    return compare(before, after, data, tolerance)


@contextlib.contextmanager
def _checked_out(training: Training, home: Path, target: Path) -> Iterator[Path]:
    """The code of a training in a worktree of its own, as the directory in it that corresponds to `home`."""
    top = _git(home, "rev-parse", "--show-toplevel", hint="go to a clone of the code's repository").strip()
    hint = "fetch it: is this a clone of the repository that the model was trained from?"
    _git(home, "worktree", "add", "--quiet", "--detach", str(target), training.code, hint=hint)
    try:
        if training.changes:
            changes = target.with_name("changes.diff")
            changes.write_bytes(training.changes)
            _git(target, "apply", "--whitespace=nowarn", str(changes), hint="the diff is an artifact of the MLflow run")
        yield target / home.resolve().relative_to(Path(top).resolve())
    finally:
        subprocess.run(["git", "-C", str(home), "worktree", "remove", "--force", str(target)],
                       capture_output=True, check=False)  # fmt: skip


def _git(directory: Path, *arguments: str, hint: str) -> str:
    done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        what = f"the code of the training cannot be checked out: {done.stderr.strip()}"
        raise ComponentError(what, where=str(directory), hint=hint)
    return done.stdout


def _run(program: Path, code: Path, place: Path) -> tuple[str, str]:
    """Run the pipeline with the code of a worktree: the id of the training's run, and the MLflow that has it."""
    tracking = f"sqlite:///{place}/mlflow.db"
    environment = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_RUN_ID", "TURNOUT_RUN_ID")}
    paths = [str(code), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "MLFLOW_TRACKING_URI": tracking}
    command = [sys.executable, "-c", "from turnout.cli import main; main()", "run", str(program)]
    command += ["--root", str(place / "runs"), "--json"]
    done = subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True, check=False)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        result = {}
    if done.returncode:
        faults = [f"{item.get('what')} @ {item.get('where')}" for item in result.get("faults", ())]
        errors = [f"{step['name']}: {step['error']}" for step in result.get("steps", ()) if step.get("error")]
        said = "\n".join([*faults, *errors]) or done.stderr.strip()[-2000:]
        hint = "the code ran in this environment: are its packages those of the training?"
        raise ComponentError(f"the training could not be repeated: {said}", hint=hint)
    outputs = [output for step in result["steps"] for output in step["outputs"].values() if isinstance(output, dict)]
    runs = [output["metadata"]["mlflow_run_id"] for output in outputs if "mlflow_run_id" in output.get("metadata", {})]
    return runs[-1], tracking


def _names(recipe: Mapping[str, Any]) -> list[str]:
    """The components of a recipe in order."""
    before = [name for made in recipe["inputs"].values() for name in _names(made)]
    return list(dict.fromkeys([*before, recipe["component"].partition(":")[2]]))
