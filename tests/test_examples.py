"""Each example compiles to the files that stand beside it, and runs; the README shows two of them.

`UPDATE_GOLDEN=1` writes the files anew; not in CI.
"""

from __future__ import annotations

import ast
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import PROJECT

import turnout
from turnout.plan.results import RunResult

EXAMPLES = PROJECT / "examples"
COMPILED = EXAMPLES / "compiled"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
FIRST = {"nested_pipeline": "nested_pipeline.py:nested_pipeline"}
"""Which pipeline of an example, where it has several."""

OUTPUTS: dict[str, dict[str, Any]] = {
    "container": {"Output": "hello!"},
    "form": {"Output": "trees with squared since 2024-01-31 UTC on 50% of a, b, limit None"},
    "imported": {"Output": len((EXAMPLES / "README.md").read_bytes())},
    "lightweight": {"Output": 5.0},
    "nested_pipeline": {"Output": 48},
    "own_report": {"Output": "All shops have sold"},
    "one_of": {"Output": "the second player wins"},
}
VALUES = {
    "after_update": {"refresh": "orders is fresh"},
    "clean_up": {"tell": "SUCCEEDED"},
    "depth_search": {"best": 1 - 1 / 9, "good-enough.promote": 1 - 1 / 9},
    "lines": {"condition-1.count": 3},
    "nested_loops": {"each-shop.publish[0]": "north mon, north tue", "each-shop.publish[1]": "south wed"},
    "time_out": {"fetch": "the page of example"},
}


def source(name: str) -> str:
    return str(EXAMPLES / FIRST.get(name, f"{name}.py"))


def meaning(path: Path, text: str) -> Any:
    """A compiled file as a structure: how it is laid out does not count, nor which KFP wrote it."""
    if path.suffix == ".py":
        # The digest of the YAML, which stands in the DAG file, changes with the version of KFP too.
        return ast.dump(ast.parse(re.sub(r"sha256:[0-9a-f]{64}", "", text)))
    documents = list(yaml.safe_load_all(text))
    return [{key: value for key, value in document.items() if key != "sdkVersion"} for document in documents]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_compiles_to_what_stands_beside_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    files = turnout.compile(source(name))
    if os.environ.get("UPDATE_GOLDEN"):
        assert "CI" not in os.environ, "golden files are not rewritten in CI"
        turnout.compile(source(name), out=COMPILED)
    for path, text in files.items():
        there = (COMPILED / path).read_text(encoding="utf-8")
        assert meaning(path, there) == meaning(path, text), "UPDATE_GOLDEN=1 pytest tests/test_examples.py"


def test_there_is_nothing_beside_the_examples_that_none_compiles_to() -> None:
    # Whoever loads the DAG files, as the tests in Airflow do, leaves Python's cache there.
    assert {path.stem for path in COMPILED.iterdir() if path.name != "__pycache__"} == set(NAMES)


def test_golden_files_are_not_rewritten_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("UPDATE_GOLDEN", "1")
    with pytest.raises(AssertionError, match="not rewritten in CI"):
        test_an_example_compiles_to_what_stands_beside_it("lines", monkeypatch)


def values(result: RunResult) -> dict[str, Any]:
    return {step.key: step.outcome.parameters.get("Output") for step in result.steps if step.outcome}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(PROJECT)
    result = turnout.run(source(name), root=tmp_path)
    assert result.state == "SUCCEEDED", [step.error for step in result.steps]
    assert result.outputs == OUTPUTS.get(name, {})
    assert VALUES.get(name, {}).items() <= values(result).items()


def test_the_examples_readme_names_them_all() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert sorted(re.findall(r"\]\((\w+)\.py\)", text)) == NAMES


def test_the_readme_shows_an_example_and_what_one_compiles_to() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert (EXAMPLES / "lines.py").read_text() in blocks
    _, _, body = (COMPILED / "depth_search.py").read_text().partition(") as dag:\n")
    assert textwrap.dedent(body) in blocks
