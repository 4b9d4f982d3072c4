"""A track of somebody else's: found by its entry point, with no edit in Turnout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from paths import EXAMPLES, PROJECT

MODULE = '''
"""A track that draws a pipeline as a Mermaid flow chart; it cannot draw what starts a pipeline again."""

from pathlib import Path

from turnout.errors import TrackError
from turnout.plan.support import lowered, refused, refusals
from turnout.tracks.kfp.support import SUPPORT as KFP
from turnout.tracks.registry import Track

SUPPORT = {
    **KFP,
    "PipelineContainerSpec.image": lowered("a drawing runs no image"),
    "airflow.schedule": refused("cannot be drawn; compile the pipeline without it"),
}


def support(runtime):
    return SUPPORT


def faults(plan, runtime):
    return refusals(plan.document, SUPPORT)


def compile(plan):
    if found := faults(plan, None):
        raise TrackError(found)
    lines = [f"    {step.path}" for step in plan.steps()]
    return {Path(f"{plan.stem}.mmd"): "\\n".join(["flowchart LR", *lines, ""])}


TRACK = Track("sketch", support, faults, compile=compile)
'''


@pytest.fixture
def sketch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the track's package, as an installer leaves it, on the path of every new Python."""
    site = tmp_path / "site"
    metadata = site / "sketch_track-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "sketch_track.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sketch-track\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[turnout.tracks]\nsketch = sketch_track:TRACK\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


BRANCH = f"{EXAMPLES / 'shapes.py'}:branch"


def test_it_is_listed_and_checked_beside_the_others(turnout: Callable[..., Ran], sketch: Path) -> None:
    ran = turnout("check", BRANCH, "--json")
    assert ran.status == 0, ran.err
    tracks = ran.json["pipelines"][0]["tracks"]
    assert list(tracks) == ["airflow", "kfp", "local", "sketch"]
    (image, *_) = [fact for fact in tracks["sketch"]["lowered"] if fact["fact"].endswith(".image")]
    assert image["how"] == "a drawing runs no image"


def test_a_pipeline_compiles_to_it(turnout: Callable[..., Ran], sketch: Path, tmp_path: Path) -> None:
    ran = turnout("compile", BRANCH, "--track", "sketch", "--out", str(tmp_path / "out"))
    assert ran.status == 0, ran.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["branch.mmd"]
    text = (tmp_path / "out" / "branch.mmd").read_text()
    steps = [line.strip() for line in text.splitlines()[1:]]
    assert text.startswith("flowchart LR\n")
    assert len(steps) >= 2
    assert turnout("compile", BRANCH, "--track", "sketch", "--out", str(tmp_path / "out"), "--check").status == 0


def test_what_it_refuses_is_refused_by_its_own_words(turnout: Callable[..., Ran], sketch: Path, tmp_path: Path) -> None:
    source = f"{PROJECT / 'pipelines' / 'drift_check.py'}"
    ran = turnout("compile", source, "--track", "sketch", "--out", str(tmp_path / "out"))
    assert ran.status == 1
    assert "airflow.schedule cannot be drawn; compile the pipeline without it" in ran.err
    assert not (tmp_path / "out").exists()
    checked = turnout("check", source, "--track", "sketch", "--json")
    assert checked.status == 1
    (outcome,) = checked.json["pipelines"]
    assert [fact["fact"] for fact in outcome["tracks"]["sketch"]["refused"]] == ["airflow.schedule"]


def test_running_on_it_says_that_it_only_compiles(sketch: Path) -> None:
    code = f"import turnout; turnout.run({BRANCH!r}, track='sketch')"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "the track 'sketch' runs nothing here @ branch" in done.stderr
    assert "hint: compile for it: turnout compile --track sketch" in done.stderr


def test_a_misspelt_track_gets_its_name_as_a_hint(turnout: Callable[..., Ran], sketch: Path) -> None:
    ran = turnout("check", BRANCH, "--track", "sketsch")
    assert ran.status == 1
    assert "available here: airflow, kfp, local, sketch" in ran.err
    assert "hint: did you mean sketch?" in ran.err


def test_without_its_package_there_is_no_such_track(turnout: Callable[..., Ran]) -> None:
    ran = turnout("check", BRANCH, "--track", "sketch")
    assert ran.status == 1
    assert "no track 'sketch'" in ran.err
