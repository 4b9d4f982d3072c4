"""`turnout import`: a project of plain KFP pipelines is checked, named in the project file, and compiles and runs."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import kfp.compiler
import kfp.components
import kfp.dsl
import pytest
from click.testing import Result
from kfp.dsl.pipeline_task import PipelineTask
from paths import PROJECT
from typer.testing import CliRunner

from turnout.cli.app import app
from turnout.migration.names import OLD, OLD_METHODS, used

SAMPLES = PROJECT / "tests" / "kfp_project"
"""Pipelines as KFP's public samples have them: conditions, a loop, containers; and one of SDK 1.8."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(SAMPLES, tmp_path / "team", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "team")
    for name in ("TURNOUT_PROFILE", "TURNOUT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "team"


def command(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    return done


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_project_of_kfp_is_imported_checked_and_compiled(project: Path) -> None:
    before = contents(project)
    told = json.loads(command("import", ".", "--format", "json", code=1).stdout)
    found = {item["source"]: item for item in told["pipelines"]}
    assert {source: item["faults"] for source, item in found.items()} == {
        "containers/pipeline.py:counted": [],
        "containers/pipeline.py:twice": [],
        "loops/pipeline.py": [],
        "xor/pipeline.py": [],
    }
    assert {item["pipeline"]: item["part_of"] for item in map(renamed, found.values())} == {
        "count-lines": "count-twice",
        "count-twice": "",
        "sum-of-squares": "",
        "exclusive-or": "",
    }
    assert {fault["where"].partition(":")[0] for fault in told["faults"]} == {"earlier.py"}
    assert any("KFP SDK 1.8" in fault["what"] for fault in told["faults"])
    written = contents(project)
    assert {name: written[name] for name in before} == before
    assert set(written) - set(before) == {"pyproject.toml"}
    assert tomllib.loads(written["pyproject.toml"].decode())["tool"]["turnout"] == {
        "pipelines": ["containers/pipeline.py:twice", "loops/pipeline.py", "xor/pipeline.py"]
    }
    command("check")
    command("compile")
    assert {path.name for path in (project / "dags").glob("*.py")} == {
        "count_twice.py", "exclusive_or.py", "sum_of_squares.py"
    }  # fmt: skip
    assert "nothing" not in command("import", "xor").output
    assert contents(project / "xor") == {"pipeline.py": before["xor/pipeline.py"]}


def renamed(item: dict[str, Any]) -> dict[str, Any]:
    return {"pipeline": item["name"], "part_of": item["part_of"]}


def test_nothing_is_written_where_that_is_not_wanted(project: Path) -> None:
    before = contents(project)
    assert "sum-of-squares (loops/pipeline.py): runs unchanged" in command("import", "loops", "--no-write").output
    assert contents(project) == before


def test_a_project_file_keeps_all_that_is_in_it(project: Path) -> None:
    text = '[project]\nname = "team"  # ours\n\n[tool.turnout]  # of Turnout\nimage = "team:1"\n\n[tool.ruff]\n'
    (project / "pyproject.toml").write_text(text)
    command("import", "loops")
    written = (project / "pyproject.toml").read_text()
    assert written.replace('pipelines = [\n    "loops/pipeline.py",\n]\n', "") == text
    # A list that is there is its owner's.
    told = command("import", "xor", code=1)
    assert "xor/pipeline.py" in told.stderr
    assert (project / "pyproject.toml").read_text() == written


def test_files_that_cannot_be_imported_are_told_with_their_reasons(project: Path) -> None:
    texts = {
        "broken.py": "from kfp import dsl\n@dsl.pipeline\ndef x(:\n",
        "ends.py": "import os\nfrom kfp import dsl\n@dsl.component\ndef c(): pass\n"
        "@dsl.pipeline\ndef x():\n    c()\nos._exit(3)\n",
        "lacks.py": "import no_such_package\nfrom kfp import dsl\n@dsl.pipeline\ndef x(): pass\n",
        "inside.py": 'from kfp import dsl\nif __name__ == "__main__":\n    @dsl.pipeline\n    def x(): pass\n'
        "@dsl.component\ndef c(): pass\n@dsl.pipeline\ndef y():\n    c()\n",
        "other.py": "raise SystemExit('no pipeline is here: it is not imported')\n",
    }
    (project / "more").mkdir()
    for name, text in texts.items():
        (project / "more" / name).write_text(text)
    told = json.loads(command("import", "more", "--json", code=1).stdout)
    faults = {fault["where"].removeprefix("more/"): fault["what"] for fault in told["faults"]}
    assert faults == {
        "broken.py:3": "SyntaxError: invalid syntax",
        "ends.py": "the file ends Python when it is imported",
        "lacks.py:1": "ModuleNotFoundError: No module named 'no_such_package'",
        "inside.py:4": "the pipeline 'x' is not made when the file is imported",
    }
    assert [item["name"] for item in told["pipelines"]] == ["y"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no-such", "no such file or directory @ no-such"),
        ("loops/parts.py", "no KFP pipeline here @ loops/parts.py"),
        ("../outside.py", "outside of the project @ ../outside.py"),
    ],
)
def test_what_cannot_be_imported_is_refused(project: Path, source: str, message: str) -> None:
    shutil.copy(project / "xor" / "pipeline.py", project.parent / "outside.py")
    assert message in command("import", source, code=1).stderr


def test_compiled_yaml_is_imported_where_its_python_is_not(project: Path) -> None:
    command("compile", "xor/pipeline.py", "--track", "kfp", "--out", "xor")
    assert [path.name for path in (project / "xor").glob("*.yaml")] == ["exclusive_or.yaml"]
    told = json.loads(command("import", "xor", "--json").stdout)
    assert [item["source"] for item in told["pipelines"]] == ["xor/pipeline.py"]
    (project / "xor" / "pipeline.py").unlink()
    told = json.loads(command("import", "xor", "--json", "--no-write").stdout)
    assert [item["source"] for item in told["pipelines"]] == ["xor/exclusive_or.yaml"]
    (project / "old.yaml").write_text("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata:\n  annotations: "
                                      "{pipelines.kubeflow.org/kfp_sdk_version: 1.8.22}\nspec: {}\n")  # fmt: skip
    told = json.loads(command("import", "old.yaml", "--json", code=1).stdout)
    assert "1.8" in " ".join(fault["what"] + fault["hint"] for fault in told["faults"])


def test_what_is_told_to_be_of_version_1_is_not_in_version_2() -> None:
    for name in OLD:
        module, _, attribute = name.rpartition(".")
        assert not hasattr({"kfp": kfp, "kfp.dsl": kfp.dsl, "kfp.components": kfp.components}[module], attribute), name
    for method in OLD_METHODS:
        assert not hasattr(PipelineTask, method), method


def test_a_file_is_read_without_running_it() -> None:
    imports = "import kfp.dsl as d\nfrom kfp.dsl import pipeline as p\n"
    found = used(f"{imports}@p(name='a')\ndef a(): pass\n@d.pipeline\ndef b(): 1/0\n", "x.py")
    assert found.pipelines == {"a": 4, "b": 6}
    assert not found.inside
    assert used("def pipeline(f): return f\n@pipeline\ndef a(): pass\n", "x.py").pipelines == {}
    old = used("from kfp.v2 import dsl\n@dsl.pipeline\ndef a():\n    t.apply(dsl.x).add_pvolumes({})\n", "x.py").old
    assert [fault.what for fault in old] == ["kfp.v2 is of KFP SDK 1.8", "task.add_pvolumes() is of KFP SDK 1.8"]
