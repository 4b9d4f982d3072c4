"""`turnout runs`, `tag` and `compare`: which run was best, found in a list and between runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from judged_runs import make_runs
from typer.testing import CliRunner, Result

from turnout.cli.app import app
from turnout.spec.step_contract import State


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    make_runs(root)
    return root


@pytest.fixture
def turnout(root: Path) -> Any:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--root", str(root)], env={"COLUMNS": "80", "NO_COLOR": "1"})

    return call


def listed(ran: Result) -> list[str]:
    assert ran.exit_code == 0, ran.output
    return [run["run_id"] for run in json.loads(ran.stdout)]


def test_the_list_says_how_runs_ended_and_which_was_best(turnout: Any) -> None:
    ran = turnout("runs", "--pipeline", "judged")
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["one", "succeeded"], ["two", "succeeded"], ["three", "succeeded"], ["bad", "failed"],
    ]  # fmt: skip
    assert "0.9000*" in lines[4]
    assert "Promote" in lines[4]
    assert "Do not promote" in lines[3]
    assert "judge: ValueError" in lines[5]
    assert "* the best by roc_auc" in ran.stdout


def test_pipelines_have_tables_and_metrics_of_their_own(turnout: Any) -> None:
    text = turnout("runs").stdout
    assert text.index("judged") > text.index("watched")  # what ran last comes first
    assert "largest_distance" in text
    assert text.count("the best by") == 1  # of checks none is
    assert "toy/1: the data is" in text


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--state", "failed"], ["bad"]),
        (["--tag", "baseline"], ["one"]),
        (["--tag", "owner=ann"], ["two"]),
        (["--tag", "owner=bob"], []),
        (["--tag", "owner", "--tag", "baseline"], []),
        (["--pipeline", "judged", "--limit", "2"], ["three", "bad"]),
        (["--sort", "roc_auc"], ["three", "one", "two"]),
        (["--sort", "log_loss", "--limit", "1"], ["three"]),
        (["--since", "1h", "--pipeline", "watched", "--limit", "1"], ["day-2026-11-22"]),
        (["--since", "2100-01-01"], []),
        (["--track", "airflow"], []),
    ],
)
def test_runs_are_filtered_and_sorted(turnout: Any, options: list[str], found: list[str]) -> None:
    assert listed(turnout("runs", *options, "--json")) == found


def test_json_has_all_that_is_known(turnout: Any) -> None:
    (run,) = json.loads(turnout("runs", "--tag", "baseline", "--json").stdout)
    assert (run["state"], run["track"], run["tags"]) == ("SUCCEEDED", "local", {"baseline": ""})
    assert run["verdict"]["good"] is True
    assert run["metrics"][0] == {"step": "judge", "name": "roc_auc", "value": 0.7, "low": None, "high": None}
    assert run["changed"] == {"quality": 0.7}
    assert [event["serves"] for event in run["versions"]] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--pipeline", "juged"], "did you mean judged?"),
        (["runs", "--sort", "roc_acu"], "did you mean roc_auc?"),
        (["runs", "--state", "done"], "no state 'done'"),
        (["runs", "--since", "yesterday"], "write --since 2026-11-20"),
        (["compare", "one", "thre"], "did you mean three?"),
        (["compare", "one", "judged/one"], "one run cannot be compared"),
        (["show", "thre"], "did you mean three?"),
        (["tag", "one", "--remove", "basline"], "did you mean baseline?"),
        (["tag", "one", "=x"], "is no tag"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_like_it(turnout: Any, arguments: list[str], said: str) -> None:
    ran = turnout(*arguments)
    assert ran.exit_code != 0
    assert said in " ".join(ran.stderr.replace("│", "").split())


def test_tags_are_given_and_taken_away(turnout: Any) -> None:
    assert turnout("tag", "three", "final", "owner=bob").stdout == "judged/three: final, owner=bob\n"
    assert listed(turnout("runs", "--tag", "owner=bob", "--json")) == ["three"]
    assert turnout("tag", "three", "--remove", "final").stdout == "judged/three: owner=bob\n"
    assert turnout("tag", "three", "--remove", "owner").stdout == "judged/three: no tags\n"


def test_a_comparison_says_what_differs(turnout: Any) -> None:
    ran = turnout("compare", "one", "three")
    text = ran.stdout
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("three is the best by roc_auc: 0.9000")
    assert "settings.depth" in text
    assert "settings.seed" not in text
    assert "0.9000 (+0.2000)" in text
    assert "0.1000 (-0.2000)" in text
    found = json.loads(turnout("compare", "one", "two", "--json").stdout)
    assert [item["name"] for item in found["data"]] == ["prepare.data"]
    assert found["data"][0]["values"][1].startswith("5 rows, source made here")
    differs = {step["name"]: step["differs"] for step in found["steps"] if step["differs"]}
    assert differs["judge"] == ["inputs"]
    assert differs["promote.register"] == ["state"]


def test_runs_of_different_pipelines_are_compared_by_what_they_share(turnout: Any) -> None:
    ran = turnout("compare", "one", "day-2026-11-22")
    assert ran.exit_code == 0, ran.output
    assert "Runs of different pipelines (judged, watched)" in ran.stdout
    assert "judged/one" in ran.stdout


def test_models_are_listed_with_who_serves_and_what_drifted(turnout: Any, tmp_path: Path) -> None:
    ran = turnout("models")
    assert ran.exit_code == 0, ran.output
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].strip() == "toy"
    assert lines[2].split()[:2] == ["2", "0.9000"]
    assert "judged/three" in lines[2]
    assert "compiled int8" in lines[2]
    assert "version 1: not compiled, the model itself answers: there is no converter" in lines
    assert lines[-1] == "2026-11-22: the data is drifted"
    (toy,) = json.loads(turnout("models", "--json").stdout)
    assert (toy["serves"], toy["put_by"]) == ("2", "judged/three")
    assert [version["form"] for version in toy["versions"]] == ["compiled int8", "model"]
    assert [version["made_by"] for version in toy["versions"]] == ["judged/three", "judged/one"]
    assert turnout("models", "--html", str(tmp_path / "models.html")).exit_code == 0
    assert "In service: toy 2" in (tmp_path / "models.html").read_text()


def test_a_run_of_airflow_is_shown_with_its_steps(turnout: Any, root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "judged" / "one", tmp_path / "judged" / "one")
    record = json.loads((tmp_path / "judged" / "one" / "run.json").read_text())
    told = {key: value for key, value in record.items() if key not in ("steps", "outputs", "errors")}
    (tmp_path / "judged" / "one" / "run.json").write_text(
        json.dumps(told | {"track": "airflow", "state": State.RUNNING})
    )
    ran = CliRunner().invoke(app, ["show", "one", "--root", str(tmp_path)], env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert ran.exit_code == 0, ran.output
    assert "judge" in ran.stdout
    assert "still running, as airflow has last told" in ran.stdout
    assert "--resume" not in ran.stdout


def test_pages_are_written(turnout: Any, tmp_path: Path) -> None:
    compared, listed = tmp_path / "compared.html", tmp_path / "runs.html"
    assert turnout("compare", "one", "two", "three", "--html", str(compared)).exit_code == 0
    assert turnout("runs", "--pipeline", "judged", "--html", str(listed)).exit_code == 0
    assert "three is the best by roc_auc: 0.9000" in compared.read_text()
    assert "judged/one/report.html" in listed.read_text()
    missing = turnout("compare", "one", "two", "--html", str(tmp_path / "nowhere" / "x.html"))
    assert missing.exit_code == 1
    assert "the page cannot be written" in missing.stderr
