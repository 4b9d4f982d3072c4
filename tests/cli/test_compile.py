"""`turnout compile` and `turnout check`: files, staleness, reports, hostile text."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.spec import deployment_spec, pipeline_spec, platform_spec, values
from turnout.tracks import registry
from turnout.tracks.airflow.python_source import literal
from turnout.verbs import compile as compile_to

SHAPES = "tests/examples/shapes.py"

PIPELINE = """
from kfp import dsl


@dsl.container_component
def c():
    return dsl.ContainerSpec(image="a", command=["true"])


@dsl.pipeline
def same_name():
    c()
"""


def test_files_that_are_checked_in_are_fresh(turnout) -> None:
    ran = turnout("compile", "--check")
    assert ran.status == 0, ran.out + ran.err


def test_a_stale_file_is_shown_and_not_written(turnout, tmp_path: Path) -> None:
    assert turnout("compile", f"{SHAPES}:branch", "--out", str(tmp_path)).status == 0
    path = tmp_path / "branch.py"
    path.write_text(path.read_text().replace("maximum=10", "maximum=11"))
    stale = turnout("compile", f"{SHAPES}:branch", "--out", str(tmp_path), "--check")
    assert stale.status == 3
    assert "maximum=10" in stale.out
    assert "1 of 2 files are stale" in stale.err
    assert "maximum=11" in path.read_text()


CODE = """
from turnout import component, pipeline

@component
def c(rows: int = 1):
    \"\"\"Work.

    Args:
        rows: how many.
    \"\"\"
    print({text!r})

@pipeline
def work():
    \"\"\"Work.\"\"\"
    c()
"""


def test_an_edit_of_code_changes_a_line_of_the_yaml_and_no_dag_file(turnout, tmp_path: Path) -> None:
    kept = []
    for text in ("before", "after"):
        (tmp_path / "work.py").write_text(CODE.format(text=text))
        assert turnout("compile", f"{tmp_path}/work.py", "--out", str(tmp_path / text)).status == 0
        kept.append([(tmp_path / text / f"work.{end}").read_text().splitlines() for end in ("py", "yaml")])
    (first, before), (second, after) = kept
    assert first == second
    assert len([line for line, other in zip(before, after, strict=True) if line != other]) == 1
    ran = turnout("compile", f"{tmp_path}/work.py", "--out", str(tmp_path / "before"), "--check")
    assert ran.out.endswith(f"{tmp_path}/before/work.yaml: what has changed in the pipeline\n  step c: other code\n")
    ran = turnout("compile", f"{tmp_path}/work.py", "--out", str(tmp_path / "before"), "--check", "--format", "github")
    place = f"file={tmp_path}/before/work.yaml,line=1,title=turnout%3A stale"
    assert (ran.status, ran.out) == (3, f"::error {place}::not up to date: run turnout compile%0Astep c: other code\n")


def test_two_pipelines_never_share_a_file(turnout, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(PIPELINE)
    ran = turnout("compile", f"{tmp_path}/one.py", f"{tmp_path}/two.py", "--out", str(tmp_path / "dags"), "--check")
    assert ran.status == 1
    assert f"{tmp_path}/one.py and {tmp_path}/two.py both compile to same_name.py" in ran.err
    assert "give the pipelines different names" in ran.err
    assert not (tmp_path / "dags").exists()


def test_the_dag_of_a_pipeline_that_is_gone_is_stale_and_removed(turnout, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "one.py").write_text(PIPELINE)
    assert turnout("compile", directory=tmp_path).status == 0
    (tmp_path / "dags" / "mine.py").write_text("# a DAG that somebody wrote\n")
    (tmp_path / "dags" / "mine.yaml").write_text("a: b\n")
    assert turnout("compile", "--check", directory=tmp_path).status == 0
    (tmp_path / "pipelines" / "one.py").write_text(PIPELINE.replace("same_name", "new_name"))
    ran = turnout("compile", "--check", directory=tmp_path)
    assert ran.status == 3
    assert "dags/same_name.py: its pipeline is gone" in ran.out
    ran = turnout("compile", "pipelines/one.py", directory=tmp_path)
    assert "removed" not in ran.out  # another SOURCE may have compiled to it
    ran = turnout("compile", directory=tmp_path)
    assert "removed dags/same_name.py\nremoved dags/same_name.yaml\n" in ran.out
    assert sorted(path.name for path in (tmp_path / "dags").iterdir()) == [
        "mine.py", "mine.yaml", "new_name.py", "new_name.yaml",
    ]  # fmt: skip
    assert turnout("compile", "--check", directory=tmp_path).status == 0


def test_all_pipelines_faults_are_told_at_once(turnout, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(PIPELINE)
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(f"raise OSError('{name}')\n")
    sources = [f"{tmp_path}/{name}.py" for name in ("one", "good", "two")]
    ran = turnout("compile", *sources, "--out", str(tmp_path / "dags"))
    assert ran.status == 1
    assert f"OSError: one @ {tmp_path}/one.py:1\nOSError: two @ {tmp_path}/two.py:1" in ran.err
    assert not (tmp_path / "dags").exists()


def test_compiling_is_deterministic(turnout, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert turnout("compile", f"{SHAPES}:nested", "--out", str(tmp_path / name)).status == 0
    for file in ("nested.py", "nested.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_dag_file_passes_ruffs_airflow_rules(turnout, tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [str(Path(sys.executable).parent / "ruff"), "check", "--isolated", "--select", "AIR,F,E9", "dags"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_what_only_some_runtimes_can_do_is_refused_where_the_runtime_is_known(turnout, tmp_path: Path) -> None:
    path = tmp_path / "secretive.py"
    path.write_text(
        "from kfp import dsl, kubernetes\n@dsl.container_component\ndef c():\n"
        "    return dsl.ContainerSpec(image='a', command=['true'])\n"
        "@dsl.pipeline\ndef secretive():\n    kubernetes.use_secret_as_volume(c(), 'keys', '/keys')\n"
    )
    for runtime, status in {"process": 1, "docker": 1, "kubernetes": 0, "lambda": 1}.items():
        compiled = turnout("compile", str(path), "--runtime", runtime, "--out", str(tmp_path / runtime))
        assert compiled.status == status
        assert (tmp_path / runtime / "secretive.py").exists() is (status == 0)
        assert turnout("check", str(path), "--track", "airflow", "--runtime", runtime).status == status
    assert turnout("compile", str(path), "--out", str(tmp_path)).status == 0
    assert "available here: process, docker, kubernetes" in compiled.err


def test_a_scheduled_pipeline_needs_defaults(turnout, tmp_path: Path) -> None:
    path = tmp_path / "scheduled.py"
    path.write_text(
        "from turnout import pipeline\nfrom kfp import dsl\n@dsl.container_component\ndef c(x: str):\n"
        "    return dsl.ContainerSpec(image='a', command=['true'])\n"
        '@pipeline(schedule="@daily")\ndef scheduled(x: str):\n'
        '    """Do.\n\n    Args:\n        x: a.\n    """\n    c(x=x)\n'
    )
    ran = turnout("compile", str(path), "--out", str(tmp_path))
    assert ran.status == 1
    assert "parameter 'x' of a scheduled pipeline has no default" in ran.err
    assert not (tmp_path / "scheduled.yaml").exists()


@pytest.mark.parametrize("track", registry.names())
def test_every_field_of_the_spec_is_in_every_tracks_table(track) -> None:
    table = registry.track(track).support(None)
    modules = (pipeline_spec, deployment_spec, platform_spec, values)
    kinds = {item for module in modules for item in vars(module).values() if dataclasses.is_dataclass(item)}
    for kind in kinds:
        for field in dataclasses.fields(kind):
            assert f"{kind.__name__}.{field.name}" in table or f"{kind.__name__}.*" in table


@pytest.mark.parametrize("runtime", [None, "vertex"])
@pytest.mark.parametrize("track", registry.names())
def test_tables_name_only_what_exists(track, runtime) -> None:
    table = registry.track(track).support(runtime)
    modules = (pipeline_spec, deployment_spec, platform_spec, values)
    kinds = {
        item.__name__: item for module in modules for item in vars(module).values() if dataclasses.is_dataclass(item)
    }
    for key in table:
        group, _, name = key.partition(".")
        if group == "component":  # what a container says by its command
            assert name in ("requirements", "packages_to_install"), key
        elif group not in ("kubernetes", "airflow"):
            assert group in kinds, key
            assert name == "*" or name in {field.name for field in dataclasses.fields(kinds[group])}, key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)  # a busy machine is no fault
@given(JSON, st.none() | st.integers(0, 4))
def test_any_value_is_a_literal_in_the_generated_code(value, depth) -> None:
    assert ast.literal_eval(literal(value, depth)) == value


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_text_can_change_the_generated_code(description: str, default: str) -> None:
    from turnout.authoring.source import load
    from turnout.plan.link import link
    from turnout.spec.document import Document

    global BRANCH
    BRANCH = globals().get("BRANCH") or load(f"{SHAPES}:branch")
    root = BRANCH.pipeline.root
    inputs = root.input_definitions
    note = dataclasses.replace(inputs.parameters["note"], default_value=default, description=description)
    inputs = dataclasses.replace(inputs, parameters={**inputs.parameters, "note": note})
    info = dataclasses.replace(BRANCH.pipeline.pipeline_info, description=description)
    spec = dataclasses.replace(
        BRANCH.pipeline, root=dataclasses.replace(root, input_definitions=inputs), pipeline_info=info
    )
    document = Document(pipeline=spec, platform=BRANCH.platform)
    assert link(document).parameters["note"].default == default
    code = compile_to(document)[Path("branch.py")]
    kinds = [type(node) for node in ast.walk(ast.parse(code))]
    plain = compile_to(BRANCH)[Path("branch.py")]
    calls = [type(node) for node in ast.walk(ast.parse(plain))]
    assert kinds.count(ast.Call) == calls.count(ast.Call)
    assert {*kinds} <= {*calls, ast.Tuple, ast.JoinedStr} - {ast.JoinedStr}


def test_ids_that_would_clash_in_airflow_are_refused(turnout, tmp_path: Path) -> None:
    source = tmp_path / "clash.py"
    source.write_text(
        "from kfp import dsl\n"
        "@dsl.container_component\n"
        "def condition_1_when(): return dsl.ContainerSpec(image='i', command=['true'])\n"
        "@dsl.pipeline\n"
        "def clash(x: str = 'a'):\n"
        "    condition_1_when()\n"
        "    with dsl.If(x == 'a'):\n"
        "        condition_1_when()\n"
    )
    ran = turnout("compile", f"{source}:clash", "--out", str(tmp_path))
    assert ran.status == 1
    assert "two tasks would have the id 'condition-1-when'" in ran.err


def test_what_is_compiled_is_clean_by_ruffs_rules_for_airflow(turnout, tmp_path: Path) -> None:
    shapes = ("nested_loops", "exit_after_failure", "branches", "loop_over_a_field", "templates", "in_spite_of_failure")
    sources = [f"tests/contract/shapes.py:{shape}" for shape in shapes]
    sources += [f"tests/examples/scheduled.py:{name}" for name in ("nightly", "consumer", "both", "six_hours")]
    assert turnout("compile", *sources, "--out", str(tmp_path)).status == 0
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--preview", "--select", "AIR,F,E9", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_step_that_is_called_like_a_gate_does_not_take_its_variable(turnout, tmp_path: Path) -> None:
    source = tmp_path / "source" / "taken.py"
    source.parent.mkdir()
    source.write_text(
        "from kfp import dsl\n"
        "@dsl.container_component\n"
        "def big_when(): return dsl.ContainerSpec(image='i', command=['true'])\n"
        "@dsl.pipeline\n"
        "def taken(x: str = 'a'):\n"
        "    with dsl.If(x == 'a', name='big'):\n"
        "        big_when()\n"
    )
    assert turnout("compile", str(source), "--out", str(tmp_path)).status == 0
    code = (tmp_path / "taken.py").read_text()
    assignments = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assign)]
    assigned = [target.id for node in assignments for target in node.targets]
    assert len(assigned) == len(set(assigned)) == 2
    assert "big_when >> big\n" in code


def test_pinned_images_are_those_that_the_registry_has_and_the_dag_file_is_the_same(turnout, tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    digest = f"sha256:{'a' * 64}"
    (tmp_path / "dags" / "images.json").write_text(f'{{"registry.example.com/team/shapes:1": "{digest}"}}')
    (tmp_path / "one.py").write_text(PIPELINE.replace('image="a"', 'image="registry.example.com/team/shapes:1"'))
    for out, options in (("by_tag", ()), ("by_digest", ("--pin",))):
        assert turnout("compile", "one.py", "--out", out, *options, directory=tmp_path).status == 0
    texts = {path.name: path.read_text() for path in tmp_path.glob("by_tag/*")}
    assert len(texts) == 2
    for name, text in texts.items():
        pinned = text.replace(
            "image: registry.example.com/team/shapes:1\n", f"image: registry.example.com/team/shapes@{digest}\n"
        )
        assert (tmp_path / "by_digest" / name).read_text() == pinned
        assert (pinned == text) == name.endswith(".py")
    other = f"sha256:{'b' * 64}"
    (tmp_path / "dags" / "images.json").write_text(f'{{"registry.example.com/team/shapes:1": "{other}"}}')
    assert turnout("compile", "one.py", "--out", "by_digest", "--pin", directory=tmp_path).status == 0
    assert other in (tmp_path / "by_digest" / "same_name.yaml").read_text()
