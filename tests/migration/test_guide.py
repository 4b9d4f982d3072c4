"""The guide for those who come from KFP does what it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from paths import PROJECT
from test_docs import assert_shown
from typer.testing import CliRunner

from turnout.cli.app import app

GUIDE = PROJECT / "docs" / "guides" / "from_kfp.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_guide_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    team = tmp_path / "team"
    shutil.copytree(PROJECT / "tests" / "kfp_project", team, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(team)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("TURNOUT_PROFILE", "TURNOUT_ROOT"):
        monkeypatch.delenv(name, raising=False)

    def commands(text: str, code: int = 0) -> str:
        told = ""
        for line in text.splitlines():
            program, *words = shlex.split(line)
            assert program == "turnout"
            done = CliRunner().invoke(app, words)
            assert done.exit_code == code, f"{line}\n{done.output}"
            told += done.stdout
        return told

    look, run, compile_ = blocks("sh")
    (shown,), (toml,) = blocks("text"), blocks("toml")
    assert_shown(shown, commands(look, 1), team)
    assert (team / "pyproject.toml").read_text() == toml
    told = commands(run)
    assert "Output = the same" in told
    assert "Output = 29" in told
    assert "told = lines: 2" in told
    commands(compile_)
    assert {path.name for path in (team / "dags").iterdir()} == {
        f"{name}.{kind}" for name in ("count_twice", "exclusive_or", "sum_of_squares") for kind in ("py", "yaml")
    }
    for text in [*blocks("python"), *blocks("yaml")]:
        file = team / text.partition("\n")[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (team / "table.csv").write_text("a,b\n1,2\n3,4\n")
    mixed = json.loads(commands("turnout run mixed/pipeline.py -p source=table.csv --json"))
    assert re.fullmatch(r"2 rows in \d+ bytes!", mixed["outputs"]["Output"])
    assert json.loads(commands("turnout check mixed/pipeline.py --json"))["pipelines"][0]["faults"] == []
