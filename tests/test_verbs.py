"""The Python verbs: a pipeline is run, looked at and compiled as from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import EXAMPLES

import turnout
from turnout import TurnoutError
from turnout.errors import ParameterError, SourceError, TrackError

SHAPES = EXAMPLES / "shapes.py"


@pytest.fixture
def nested(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A pipeline, as a module has it."""
    monkeypatch.syspath_prepend(str(SHAPES.parent))
    import shapes

    return shapes.nested


def test_a_pipeline_runs_and_its_result_can_be_read(nested, tmp_path: Path) -> None:
    result = turnout.run(nested, {}, root=tmp_path / "runs")
    assert result.state == "SUCCEEDED"
    again = turnout.run(f"{SHAPES}:nested", root=tmp_path / "runs", run_id="again")
    assert (again.outputs, again.states) == (result.outputs, result.states)
    assert all(step.cached for step in again.steps if step.state == "SUCCEEDED")


def test_artifacts_are_read_where_they_are(tmp_path: Path) -> None:
    result = turnout.run(f"{SHAPES}:branch", {"rows": 3}, root=tmp_path)
    artifact = result.artifacts["make.data"]
    assert artifact.path.read_text() == "line\n" * 3


def test_a_notebook_shows_the_run_s_page(nested, tmp_path: Path) -> None:
    result = turnout.run(nested, root=tmp_path)
    shown = result._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "SUCCEEDED" in shown
    (Path(result.path) / "report.html").unlink()
    assert result._repr_html_() == f"<pre>{result.pipeline} {result.run_id}: SUCCEEDED</pre>"


def test_bad_input_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no parameter 'row'"):
        turnout.run(f"{SHAPES}:branch", {"row": 3}, root=tmp_path)
    with pytest.raises(TrackError, match="the track 'airflow' runs nothing here"):
        turnout.run(f"{SHAPES}:branch", track="airflow", root=tmp_path)
    with pytest.raises(TrackError, match=r"no track 'airflaw'\n.*\n  hint: did you mean airflow"):
        turnout.compile(f"{SHAPES}:branch", "airflaw")
    with pytest.raises(SourceError, match=r"not a pipeline: 3\n  hint"):
        turnout.run(3, root=tmp_path)
    with pytest.raises(TrackError, match="compiles to no file"):
        turnout.compile(f"{SHAPES}:branch", "local")
    assert list(tmp_path.iterdir()) == []


def test_compiled_files_are_those_of_the_command_line(turnout, nested, tmp_path: Path) -> None:
    import turnout as package

    files = package.compile(nested, out=tmp_path / "python")
    assert turnout("compile", f"{SHAPES}:nested", "--out", str(tmp_path / "shell")).status == 0
    assert {path.name for path in files} == {"nested.py", "nested.yaml"}
    for path, text in files.items():
        assert (tmp_path / "python" / path).read_text() == text == (tmp_path / "shell" / path).read_text()


def test_the_command_says_its_version(turnout) -> None:
    from turnout import __version__

    assert turnout("--version").out == f"turnout {__version__}\n"


def test_a_result_is_told_as_json(turnout) -> None:
    ran = turnout("run", f"{SHAPES}:nested", "--json")
    assert json.loads(ran.out)["state"] == "SUCCEEDED"


def test_every_error_of_ours_has_one_form() -> None:
    error = TurnoutError("no such thing", where="here", available=["a", "b"], hint="name a")
    assert str(error) == "no such thing @ here\n  available here: a, b\n  hint: name a"
