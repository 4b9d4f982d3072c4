"""A step is taken from the cache if and only if nothing that it can see has changed."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
import yaml

from turnout.execution import cache
from turnout.execution.cache import fingerprint
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import CachingOptions, ComponentSpec
from turnout.spec.step_contract import Run, Task

PIPELINE = '''
from kfp import dsl
from turnout import Dataset, Input, Output, component
from pathlib import Path
import {package}.state

@component
def first(path: str, data: Output[Dataset]):
    """A.

    Args:
        path: a file.
        data: its text.
    """
    Path(data.path).write_text(Path(path).read_text().strip())

@component(outside={package}.state.state)
def second(data: Input[Dataset], result: Output[Dataset], where: str = "{where}"):
    """B.

    Args:
        data: a text.
        result: its length.
        where: of the state.
    """
    from {package}.length import length
    Path(result.path).write_text(str(length(Path(data.path).read_text())))

@component
def third(data: Input[Dataset]) -> str:
    """C.

    Args:
        data: a text.
    """
    return Path(data.path).read_text()

@dsl.pipeline
def p(path: str) -> str:
    return third(data=second(data=first(path=path).outputs["data"]).outputs["result"]).output
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package of three components, one with a helper, and a file that the first reads."""
    package = tmp_path / "project" / f"cached_{tmp_path.name[-8:].replace('-', '_')}"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "length.py").write_text("def length(text):\n    return len(text)\n")
    (package / "state.py").write_text(
        "from pathlib import Path\n"
        "place = Path(__file__)\n"
        "def state(where):\n"
        "    return place.with_name(where + '.txt').read_text()\n"
    )
    (package / "flow.py").write_text(PIPELINE.format(package=package.name, where="state"))
    (tmp_path / "text.txt").write_text("hello")
    (package / "state.txt").write_text("one")
    return package / "flow.py"


def cached(turnout, project: Path, *options: str) -> tuple[str, str]:
    """Which of the steps came from the cache, as letters, and the output."""
    ran = turnout("run", str(project), "-p", f"path={project.parents[2]}/text.txt", "--json", *options)
    assert ran.status == 0, ran.err
    return "".join(step["name"][0] for step in ran.json["steps"] if step["cached"]), ran.json["outputs"]["Output"]


@pytest.mark.slow
def test_only_what_changed_and_what_depends_on_changed_content_runs_again(turnout, project: Path) -> None:
    assert cached(turnout, project) == ("", "5")
    assert cached(turnout, project) == ("fst", "5")
    helper = project.with_name("length.py")
    helper.write_text("def length(text):\n    return sum(1 for letter in text)\n")  # other code, the same result
    assert cached(turnout, project) == ("ft", "5")
    helper.write_text("def length(text):\n    return -len(text)\n")
    assert cached(turnout, project) == ("f", "-5")
    (project.parents[2] / "text.txt").write_text("hello \n")  # another file, the same data
    assert cached(turnout, project) == ("st", "-5")
    (project.parents[2] / "text.txt").write_text("bye")
    assert cached(turnout, project) == ("", "-3")


def test_a_component_that_looks_outside_is_asked_first(turnout, project: Path) -> None:
    cached(turnout, project)
    project.with_name("state.txt").write_text("two")
    assert cached(turnout, project) == ("ft", "5")
    project.with_name("state.txt").write_text("one")
    assert cached(turnout, project) == ("fst", "5")


def test_the_cache_is_shown_pruned_and_passed_by(turnout, project: Path, tmp_path: Path) -> None:
    cached(turnout, project)
    assert cached(turnout, project, "--no-cache") == ("", "5")
    kept = turnout("cache", "list", "--json").json
    assert sorted(entry["step"] for entry in kept) == ["first", "second", "third"]
    assert "first" in turnout("cache", "list").out
    assert turnout("cache", "prune", "--older-than", "1").out == "forgot 0 results\n"
    assert turnout("cache", "prune").out == "forgot 3 results\n"
    assert cached(turnout, project) == ("", "5")


def test_results_whose_artifacts_are_gone_are_made_again(turnout, project: Path, tmp_path: Path) -> None:
    cached(turnout, project)
    shutil.rmtree(tmp_path / "runs" / "p")
    assert cached(turnout, project)[1] == "5"


def test_on_kfp_a_component_that_looks_outside_is_never_cached(turnout, project: Path, tmp_path: Path) -> None:
    assert turnout("compile", str(project), "--track", "kfp", "--out", str(tmp_path / "out")).status == 0
    spec, _ = yaml.safe_load_all((tmp_path / "out" / "p.yaml").read_text())
    tasks = spec["root"]["dag"]["tasks"]
    assert [name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")] == ["first", "third"]


def test_runs_at_once_share_a_root(turnout, project: Path, tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: cached(turnout, project)[1], range(3)))
    assert found == ["5"] * 3
    runs = turnout("runs", "--json").json
    assert [run["state"] for run in runs] == ["SUCCEEDED"] * 3
    shown = turnout("show", runs[0]["run_id"])
    assert "third" in shown.out
    lines = shown.out.splitlines()
    report = Path(lines[lines.index("report:") + 1])
    assert "SUCCEEDED" in report.read_text()
    assert turnout("show", "no-such-run").status == 1
    assert json.loads((report.parent / "run.json").read_text())["outputs"] == {"Output": "5"}


EFFECTS = '''
from turnout import component, pipeline


@component(cache=False)
def deploy(path: str):
    """Do something outside.

    Args:
        path: what to write to.
    """
    with open(path, "a") as file:
        file.write("deployed ")


@pipeline
def p(path: str):
    """Deploy, and ask for the cache.

    Args:
        path: what to write to.
    """
    deploy(path=path).set_caching_options(True)
'''


def test_what_a_component_does_outside_is_done_each_time_whatever_the_pipeline_says(turnout, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(EFFECTS)
    for _ in range(2):
        assert turnout("run", f"{tmp_path}/p.py", "-p", f"path={tmp_path}/done", directory=tmp_path).status == 0
    assert (tmp_path / "done").read_text() == "deployed deployed "
    assert turnout("compile", f"{tmp_path}/p.py", "--track", "kfp", "--out", str(tmp_path)).status == 0
    spec, _ = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    (task,) = spec["root"]["dag"]["tasks"].values()
    assert task["cachingOptions"] == {}


def names(place: str) -> str | None:
    """The fingerprint of a step whose parameter is a text."""
    container = PipelineContainerSpec(image="any", command=["true"])
    task = Task(Run("p", "r", ""), "s", ComponentSpec(), container, {"place": [{"of": place}]}, {})
    return fingerprint(task, CachingOptions(enable_cache=True))


def test_a_directory_counts_with_what_is_in_it_unless_that_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "nowhere").symlink_to("nothing")
    (tmp_path / "a" / "around").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe")
    first = names(str(tmp_path / "a"))
    assert first is not None
    assert names(str(tmp_path / "a")) == first
    (tmp_path / "a" / "b" / "file").touch()
    second = names(str(tmp_path / "a"))
    assert second not in (None, first)
    assert None not in (names(str(tmp_path / "a" / "pipe")), names("/dev/zero"), names("x\0"), names("x" * 5000))
    monkeypatch.setattr(cache, "MOST_FILES", 4)
    assert names(str(tmp_path / "a")) is None
    monkeypatch.undo()
    started = time.monotonic()
    assert names("/") is None
    assert time.monotonic() - started < 10


def test_a_directory_that_changes_meanwhile_is_no_failure(tmp_path: Path) -> None:
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            for index in range(20):
                (tmp_path / "a" / f"{index}" / "b").mkdir(parents=True, exist_ok=True)
            shutil.rmtree(tmp_path / "a")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        for _ in range(300):
            names(str(tmp_path / "a"))
        over.set()
        changing.result()
