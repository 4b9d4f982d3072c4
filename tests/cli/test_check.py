"""`turnout check`: what it says of good and of bad pipelines, to people and to programs; exit statuses."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from paths import PROJECT

from turnout.cli.annotations import github, of_faults

SHAPES = "tests/examples/shapes.py"


def test_check_reports_what_each_track_does(turnout) -> None:
    ran = turnout("check", f"{SHAPES}:flaky", "--json")
    assert ran.status == 0, ran.err
    (checked,) = ran.json["pipelines"]
    assert checked["faults"] == []
    facts = {entry["fact"]: entry for entry in checked["tracks"]["local"]["lowered"]}
    assert "PipelineContainerSpec.image" in facts
    assert checked["tracks"]["airflow"]["refused"] == []


def test_a_refused_fact_is_an_error_with_its_place(turnout, tmp_path: Path) -> None:
    path = tmp_path / "timed.py"
    path.write_text(
        "from kfp import dsl, kubernetes\n@dsl.container_component\ndef c():\n"
        "    return dsl.ContainerSpec(image='a', command=['true'])\n"
        "@dsl.pipeline\ndef timed():\n    kubernetes.mount_pvc(c(), pvc_name='disk', mount_path='/data')\n"
    )
    ran = turnout("check", str(path), "--track", "local")
    assert ran.status == 1
    assert "kubernetes.pvcMount a process has no volumes" in ran.out
    assert "@ platforms.kubernetes.exec-c" in ran.out
    assert turnout("run", str(path)).status == 1
    assert turnout("compile", str(path), "--track", "kfp", "--out", str(tmp_path)).status == 0


def test_all_pipelines_are_checked_also_beside_faulty_ones(turnout, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    for name, text in {"bad": "import no_such_library\n", "good": PARTS + "    use(text='a')\n"}.items():
        (tmp_path / "pipelines" / f"{name}.py").write_text(text)
    ran = turnout("check", "--json", directory=tmp_path)
    assert ran.status == 1
    bad, good = ran.json["pipelines"]
    assert (bad["source"], bad["pipeline"]) == ("pipelines/bad.py", None)
    (fault,) = bad["faults"]
    assert fault["what"] == "ModuleNotFoundError: No module named 'no_such_library'"
    assert fault["where"] == "pipelines/bad.py:1"
    assert (good["pipeline"], good["faults"]) == ("p", [])
    ran = turnout("check", directory=tmp_path)
    assert ran.status == 1
    assert "p: no faults" in ran.out
    ran = turnout("check", "--format", "github", directory=tmp_path)
    what = "ModuleNotFoundError: No module named 'no_such_library'"
    assert (ran.status, ran.out) == (1, f"::error file=pipelines/bad.py,line=1,title=turnout%3A fault::{what}\n")
    (run,) = turnout("check", "--format", "sarif", directory=tmp_path).json["runs"]
    (result,) = run["results"]
    assert (result["ruleId"], result["message"]["text"]) == ("fault", what)
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "pipelines/bad.py"},
        "region": {"startLine": 1},
    }


def test_text_cannot_end_an_annotation_or_name_another_place() -> None:
    fault = {"what": "50%\n::error file=x::no", "where": "a,b:c.step", "available": [], "hint": "a\rb"}
    (item,) = of_faults([{"source": "module:pipeline", "faults": [fault]}])
    assert (item.file, item.line) == ("", 1)
    assert github([item]) == ("::error title=turnout%3A fault::50%25%0A::error file=x::no @ a,b:c.step%0Ahint: a%0Db\n")
    assert github([dataclasses.replace(item, file="a,b:c", message="x")]).startswith("::error file=a%2Cb%3Ac,line=1,")


PARTS = """from typing import NamedTuple
from kfp import dsl

@dsl.component(base_image="python:3.11")
def make(rows: int = 3) -> NamedTuple("O", [("count", int), ("name", str)]):
    return (1, "a")

@dsl.component(base_image="python:3.11")
def use(text: str, count: int = 1): ...

@dsl.pipeline
def p():
"""
LINE = PARTS.count("\n") + 1


@pytest.mark.parametrize(
    ("line", "what", "more"),
    [
        (
            "use(text=make().outputs['nam'])",
            "'make' has no output 'nam'",
            "here: count, name\n  hint: did you mean name?",
        ),
        ("use(text=make().output)", "The task has multiple outputs", "available here: count, name"),
        ("use(txt='a')", "unexpected keyword argument", "available here: text, count\n  hint: did you mean text?"),
        ("use()", "missing 1 required argument: text", "available here: text, count"),
        ("use(text=make().outputs['count'])", "'NUMBER_INTEGER' is incompatible with the input type 'STRING'", ""),
        ("use(text='a', count='b')", "'STRING' is incompatible with the input type 'NUMBER_INTEGER'", ""),
        ("use(text='a').after('b')", "PipelineTask.after() only supports PipelineTask", ""),
        ("use(text='a').set_memory_limit('lots')", "Invalid memory string", ""),
        ("1 / 0", "ZeroDivisionError: division by zero", ""),
    ],
)
def test_a_mistake_in_a_pipeline_is_told_with_its_line_and_no_traceback(
    line: str, what: str, more: str, turnout, tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text(f"{PARTS}    {line}\n")
    ran = turnout("check", "wrong.py", directory=tmp_path)
    assert ran.status == 1
    fault, *rest = ran.out.replace("\n", " ").split("@ wrong.py:")
    assert what in fault
    assert rest, ran.out
    assert rest[0].startswith(str(LINE))
    assert " ".join(more.split()) in " ".join(rest[0].split())
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def p(:\n", "SyntaxError: invalid syntax @ wrong.py:1"),
        ("import sys\nsys.exit(3)\n", "the file ends Python when it is imported @ wrong.py:2"),
        ("\n\nfrom kfp import nothing\n", "ImportError: cannot import name 'nothing' from 'kfp'"),
        (f"{PARTS}    use(text='a')\n@dsl.pipeline\ndef q(n: int = 2**53 + 1):\n    use(text='a', count=n)\n",
         "KFP cannot keep the number 9007199254740993"),
        (f"{PARTS}    with dsl.ParallelFor([1, 2**60]) as i:\n        use(text='a', count=i)\n",
         "KFP cannot keep the number 1152921504606846976"),
        (f"{PARTS}    use(text='a', count=2**60)\n", "KFP cannot keep the number 1152921504606846976"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_a_pipeline(text: str, fault: str, turnout, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(text)
    ran = turnout("check", "wrong.py", directory=tmp_path)
    assert ran.status == 1
    assert fault in ran.out.replace("\n", " ")
    assert "Traceback" not in ran.out + ran.err


def test_the_exit_status_says_what_happened(turnout, tmp_path: Path) -> None:
    statuses = {
        ("check", f"{SHAPES}:branch"): 0,
        ("check", f"{SHAPES}:branches"): 1,
        ("check", f"{SHAPES}:branch", "--runtime", "lambda"): 1,
        ("check", "--trakc", "local"): 2,
        ("run",): 2,
        ("run", f"{SHAPES}:branch", "-p", "rows"): 2,
        ("run", f"{SHAPES}:branch", "--setting", "docker_host"): 2,
        ("run", "--resume", "a", "--run-id", "b"): 2,
        ("compile", f"{SHAPES}:branch", "--out", str(tmp_path), "--check"): 3,
    }
    assert {command: turnout(*command).status for command in statuses} == statuses


@pytest.mark.parametrize(
    "command",
    [
        ("check", "no_such.py", "--track", "sketch"),
        ("run", "no_such.py"),
        ("run", f"{SHAPES}:branch", "-p", "rows=many"),
        ("run", "--resume", "no-such-run"),
    ],
)
def test_errors_are_json_where_json_is_asked_for(command: tuple[str, ...], turnout) -> None:
    ran = turnout(*command, "--json")
    assert ran.status == 1
    (fault, *_) = ran.json["faults"]
    assert fault["what"]
    assert fault["what"] in ran.err


def test_a_crash_is_ours_and_says_so(tmp_path: Path) -> None:
    """A track of somebody else's that breaks in a way nobody foresaw."""
    metadata = tmp_path / "broken_track-1.0.dist-info"
    metadata.mkdir()
    (tmp_path / "broken_track.py").write_text("TRACK = None\n")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-track\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[turnout.tracks]\nbroken = broken_track:TRACK\n")
    command = [Path(sys.executable).parent / "turnout", "check", f"{SHAPES}:branch", "--track", "broken", "--json"]
    done = subprocess.run(
        command, cwd=PROJECT, env={"PYTHONPATH": str(tmp_path), "PATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 70
    assert '"error": "crash"' in done.stdout
    assert "This is a fault of Turnout: please report it" in done.stderr


def test_a_default_that_no_run_could_be_given_is_a_fault(turnout, tmp_path: Path) -> None:
    assert turnout("compile", f"{SHAPES}:branch", "--track", "kfp", "--out", str(tmp_path)).status == 0
    path = tmp_path / "branch.yaml"
    path.write_text(path.read_text().replace("maximum: 10", "maximum: 1"))
    ran = turnout("check", str(path))
    assert ran.status == 1
    assert "the default does not fit: 3 is greater than the maximum of 1 @ branch.rows" in ran.out
