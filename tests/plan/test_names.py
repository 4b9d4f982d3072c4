"""Names that are too long for file systems or for Airflow."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES, TESTS

from turnout.authoring.source import load
from turnout.execution.store import ArtifactStore
from turnout.names import GROUP_ID, TASK_ID, shortened
from turnout.plan.link import link
from turnout.plan.model import Plan
from turnout.spec.document import read, write
from turnout.spec.step_contract import Run
from turnout.verbs import compile as compile_to
from turnout.verbs import run

FILE_NAME = 255


@given(st.lists(st.text("ab-", min_size=1, max_size=40), min_size=2, max_size=2, unique=True), st.integers(8, 40))
def test_a_shortened_name_is_short_and_its_own(names: list[str], most: int) -> None:
    one, other = (shortened(name, most) for name in names)
    assert len(one) <= most
    assert one == shortened(names[0], most)
    assert one != other
    assert len(names[0]) > most or one == names[0]


def nodes(plan: Plan) -> list[str]:
    return [node.path for region in plan.root.regions() for node in region.nodes]


def test_names_are_as_they_are_until_one_is_too_long() -> None:
    document = load(f"{EXAMPLES}/shapes.py:nested")
    text = write(document)
    task = next(iter(document.pipeline.root.dag.tasks)) if document.pipeline.root and document.pipeline.root.dag else ""
    plain = nodes(link(document))
    long = nodes(link(read(text.replace(f" {task}:", f" {'t' * 300}:").replace(f": {task}\n", f": {'t' * 300}\n"))))
    assert any("ttt" in path for path in long)
    assert len(long) == len(set(long)) == len(plain)
    assert max(map(len, long)) <= TASK_ID
    assert [path for path in plain if not path.startswith(task)] == [path for path in long if "tttt" not in path]


def test_paths_of_a_deep_pipeline_are_unique_and_short() -> None:
    plan = link(load(f"{TESTS}/contract/shapes.py:long_names"))
    found = nodes(plan)
    assert len(found) == len(set(found))
    assert max(map(len, found)) <= TASK_ID
    assert max(len(region.name) for region in plan.root.regions()) <= GROUP_ID
    assert found == nodes(link(read(write(plan.document))))


def test_a_pipeline_and_a_run_of_long_names_run_and_compile(tmp_path: Path) -> None:
    text = write(load(f"{EXAMPLES}/shapes.py:nested")).replace("name: nested\n", f"name: {'n' * 300}\n")
    files = compile_to(read(text))
    assert max(len(path.name) for path in files) <= FILE_NAME
    assert compile_to(read(text)) == files
    result = run(read(text), root=tmp_path, run_id="r" * 300)
    assert result.state == "SUCCEEDED"
    assert max(len(path.name) for path in tmp_path.rglob("*")) <= FILE_NAME


def test_places_of_steps_are_within_the_file_systems_limit_and_apart(tmp_path: Path) -> None:
    store, info = ArtifactStore(str(tmp_path)), Run("p", "r", "")
    paths = [
        store.step_path(info, step, where)
        for step in ("s" * 255, "s" * 256, "s" * 300, "ü" * 300, "/" * 300, "s:" * 150)
        for where in ((), (1,), (1, 2, 3), tuple(range(1000, 1006)))
    ]
    assert len({str(path) for path in paths}) == len(paths)
    assert max(len(path.name) for path in paths) <= FILE_NAME
