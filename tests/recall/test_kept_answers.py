"""What is kept of pipelines: it is used while nothing has changed that it came from, and never after."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from turnout.cli.answers import answers_of
from turnout.cli.compile import compile_all
from turnout.recall.answers import Answer

HEAD = """
from kfp import dsl


@dsl.container_component
def work(text: str):
    return dsl.ContainerSpec(image="a", command=["echo", text])

"""
FLOW = f"""{HEAD}
@dsl.pipeline
def flow():
    work(text=str(TEXT))
"""


@dataclass(frozen=True)
class Case:
    """A project, and a change in it after which it compiles to something else."""

    code: str
    change: Callable[[Path], Any]
    files: dict[str, str] = field(default_factory=dict)


def write(name: str, text: str) -> Callable[[Path], Any]:
    return lambda project: (project / name).write_text(text)


def retarget(project: Path) -> None:
    (project / "link.txt").unlink()
    (project / "link.txt").symlink_to("new.txt")


def become_a_package(project: Path) -> None:
    (project / "common.py").unlink()
    (project / "common").mkdir()
    (project / "common" / "__init__.py").write_text("TEXT = 'new'\n")


def edit_within_a_second(project: Path) -> None:
    """Python would take the bytecode of the old text for that of the new."""
    facts = (project / "common.py").stat()
    (project / "common.py").write_text("TEXT = 'new'\n")
    os.utime(project / "common.py", ns=(facts.st_atime_ns, facts.st_mtime_ns))


COMMON = {"common.py": "TEXT = 'old'\n"}
CASES = {
    "its text": Case("TEXT = 'old'", write("flow.py", f"TEXT = 'new'\n{FLOW}")),
    "a module": Case("from common import TEXT", write("common.py", "TEXT = 'new'\n"), COMMON),
    "a module, in the same second": Case("from common import TEXT", edit_within_a_second, COMMON),
    "a module of a package": Case(
        "from .values import TEXT",
        write("values.py", "TEXT = 'new'\n"),
        {"__init__.py": "", "values.py": "TEXT = 'old'\n"},
    ),
    "a module that becomes a package": Case("from common import TEXT", become_a_package, COMMON),
    "a module imported by name": Case(
        "import importlib\nTEXT = importlib.import_module('common').TEXT", write("common.py", "TEXT = 'new'"), COMMON
    ),
    "a module that was not there": Case(
        "try:\n    from local_values import TEXT\nexcept ImportError:\n    TEXT = 'old'",
        write("local_values.py", "TEXT = 'new'\n"),
    ),
    "a module before Python's own": Case(
        "import pyclbr\nTEXT = getattr(pyclbr, 'TEXT', 'old')", write("pyclbr.py", "TEXT = 'new'\n")
    ),
    "a file that it reads": Case(
        "TEXT = open(__file__[:-7] + 'a.txt').read()", write("a.txt", "new"), {"a.txt": "old"}
    ),
    "a file that was not there": Case(
        "from pathlib import Path\nTEXT = 'new' if (Path(__file__).parent / 'switch').exists() else 'old'",
        write("switch", ""),
    ),
    "a file that is gone": Case(
        "from pathlib import Path\nTEXT = 'old' if (Path(__file__).parent / 'switch').exists() else 'new'",
        lambda project: (project / "switch").unlink(),
        {"switch": ""},
    ),
    "files in a directory": Case(
        "from pathlib import Path\nTEXT = ['old', 'new'][len([*Path(__file__).parent.glob('*.sql')]) - 1]",
        write("b.sql", ""),
        {"a.sql": ""},
    ),
    "where a link leads": Case(
        "import os\nTEXT = os.path.realpath(__file__[:-7] + 'link.txt')[-7:-4]",
        retarget,
        {"old.txt": "", "new.txt": "", "link.txt": "-> old.txt"},
    ),
    "a variable": Case(
        "import os\nTEXT = os.environ['SOME_VALUE']", lambda _: os.environ.__setitem__("SOME_VALUE", "new")
    ),
    "a variable that was not set": Case(
        "import os\nTEXT = os.getenv('ANOTHER_VALUE', 'old')", lambda _: os.environ.__setitem__("ANOTHER_VALUE", "new")
    ),
    "a file of YAML": Case(
        "from kfp import components\nTEXT = components.load_component_from_file(__file__[:-7] + 'c.yaml').name",
        lambda p: (p / "c.yaml").write_text((p / "c.yaml").read_text().replace("old", "new")),
        {
            "c.yaml": "name: old\nimplementation:\n  container:\n    image: a\n    command: [echo]\n",
        },
    ),
}


def asked(*sources: Path | str, cache: bool = True) -> list[Answer]:
    return answers_of([str(source) for source in sources], "compile", {"track": "kfp"}, cache)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Answer]]:
    """What is answered for each case: at first, again, and after the change in it."""
    home = tmp_path_factory.mktemp("projects")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("SOME_VALUE", "old")
        patch.setenv("ANOTHER_VALUE", "unset below, and again after the tests")
        del os.environ["ANOTHER_VALUE"]
        for number, case in enumerate(CASES.values()):
            project = home / f"case_{number}"
            project.mkdir()
            for name, text in {**case.files, "flow.py": f"{case.code}\n{FLOW}"}.items():
                if text.startswith("-> "):
                    (project / name).symlink_to(text[3:])
                else:
                    (project / name).write_text(text)
        sources = [home / f"case_{number}" / "flow.py" for number in range(len(CASES))]
        time.sleep(0.1)  # what was written a moment ago may change once more with the same time
        rounds = [asked(*sources), asked(*sources)]
        for number, case in enumerate(CASES.values()):
            case.change(home / f"case_{number}")
        time.sleep(0.1)
        rounds.append(asked(*sources))
    return dict(zip(CASES, map(list, zip(*rounds, strict=True)), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_what_a_pipeline_came_from_is_noticed(projects, case: str) -> None:
    first, again, changed = projects[case]
    assert not first.faults
    assert not first.doubts
    assert "old" in text_of(first)
    assert again.kept
    assert again.value == first.value
    assert not changed.kept
    assert "new" in text_of(changed)
    assert "old" not in text_of(changed)


def text_of(answer: Answer) -> str:
    return "".join(answer.value.values())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    time.sleep(0.1)
    return path


DOUBTS = {
    "the clock": ("import datetime\nTEXT = datetime.date.today()", "'today'"),
    "the clock, by a function": ("import time\ndef text():\n    return time.time()\nTEXT = text()", "'time'"),
    "the clock, by another name": ("from time import time as t\nTEXT = t()", "'time'"),
    "chance": ("import uuid\nTEXT = uuid.uuid4()", "'uuid4'"),
    "a program": ("import subprocess\nTEXT = subprocess.run(['true']).returncode", "subprocess.Popen"),
    "the network": (
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError:\n    TEXT = 'none'",
        "socket.",
    ),
    "all variables": ("import os\nTEXT = len(dict(os.environ))", "all variables of the environment"),
    "a file that it writes": ("open(__file__ + '.log', 'w').close()\nTEXT = 1", "it writes"),
    "a file that Python does not see": (
        "import pyarrow.parquet as pq\ntry:\n    TEXT = pq.read_table('none')\nexcept OSError:\n    TEXT = 1",
        "'read_table'",
    ),
    "memory of the machine": ("TEXT = len(open('/proc/meminfo').read())", "/proc/meminfo"),
}


def test_what_may_change_unseen_is_never_kept(project: Path) -> None:
    sources = [
        put(project / f"flow_{number}.py", f"{code}\n{FLOW}") for number, (code, _) in enumerate(DOUBTS.values())
    ]
    for answer, (name, (_, doubt)) in zip(asked(*sources), DOUBTS.items(), strict=True):
        assert not answer.faults, name
        assert any(doubt in reason for reason in answer.doubts), (name, answer.doubts)
    assert records(project) == []


def test_what_runs_in_steps_only_raises_no_doubt(project: Path) -> None:
    code = """
import time
from turnout import component, pipeline


def stamp() -> str:
    return str(time.time())


@component
def work():
    \"\"\"Work.\"\"\"
    print(stamp())


@pipeline
def flow():
    \"\"\"Flow.\"\"\"
    work()
"""
    source = put(project / "flow.py", code)
    (first,), (again,) = asked(source), asked(source)
    assert (first.doubts, again.kept) == ((), True)
    put(source, code.replace("str(time", "repr(time"))
    (changed,) = asked(source)
    assert not changed.kept
    assert changed.value != first.value  # the digest of the component's code


def test_what_a_pipeline_does_not_look_at_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(project / "flow.py", f"TEXT = 'old'\n{FLOW}")
    asked(source)
    put(project / "another.py", "print('never imported')\n")
    put(project / "dags" / "flow.py", "")
    monkeypatch.setenv("UNRELATED", "1")
    os.utime(source)  # a fresh checkout
    assert asked(source)[0].kept


def test_the_project_file_and_its_variables_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from turnout import component, pipeline\n@component\ndef work():\n    'Work.'\n"
    source = put(project / "flow.py", f"{code}@pipeline\ndef flow():\n    'Flow.'\n    work()\n")
    seen = []
    put(project / "pyproject.toml", "[tool.turnout]\nimage = 'one'\n")
    seen += asked(source)
    put(project / "pyproject.toml", "[tool.turnout]\nimage = 'two'\n[tool.turnout.profile.prod]\nimage = 'three'")
    seen += asked(source)
    monkeypatch.setenv("TURNOUT_PROFILE", "prod")
    seen += asked(source)
    monkeypatch.setenv("TURNOUT_IMAGE", "four")
    seen += asked(source)
    assert not any(answer.kept for answer in seen)
    assert [next(name for name in ("one", "two", "three", "four") if f"image: {name}" in text_of(a)) for a in seen] == [
        "one", "two", "three", "four",
    ]  # fmt: skip
    assert asked(source)[0].kept


def test_nothing_is_kept_of_faults_or_without_the_cache(project: Path) -> None:
    wrong = put(project / "wrong.py", "raise OSError('no')\n")
    right = put(project / "right.py", f"TEXT = 1\n{FLOW}")
    for _ in range(2):
        first, second = asked(wrong, right, cache=False)
        assert "OSError: no" in str(first.faults[0])
        assert not second.kept
    assert not (project.parent / "cache").exists()
    assert [answer.kept for _ in range(2) for answer in asked(wrong, right)] == [False, False, False, True]


def test_another_question_has_another_answer(project: Path) -> None:
    source = str(put(project / "flow.py", f"TEXT = 1\n{FLOW}"))
    assert [str(path) for path in compile_all([source], {"track": "kfp"})] == ["flow.yaml"]
    assert [str(path) for path in compile_all([source])] == ["flow.py", "flow.yaml"]
    assert [str(path) for path in compile_all([source], {"track": "kfp"})] == ["flow.yaml"]
    refused = answers_of([source], "compile", {"track": "kfp", "runtime": "warp"}, True)
    assert not refused[0].kept


def test_files_of_one_name_do_not_meet(project: Path) -> None:
    sources = []
    for name in ("alpha", "beta"):
        put(project / name / "values.py", f"TEXT = {name!r}\n")
        sources.append(put(project / name / "flow.py", f"from values import TEXT\n{FLOW}"))
    for _ in range(2):
        one, two = (text_of(answer) for answer in asked(*sources))
        assert ["alpha" in one, "beta" in one, "alpha" in two, "beta" in two] == [True, False, False, True]


def test_a_file_is_loaded_once_for_all_its_pipelines(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(project / "values.py", "TEXT = 'old'\n")
    flows = put(
        project / "flows.py", f"from values import TEXT\nprint('loaded')\n{FLOW}{FLOW.replace('flow', 'other')}"
    )
    broken = put(project / "broken.py", f"TEXT = 1\n{FLOW}{FLOW.replace('flow', 'other')}")
    sources = [f"{flows}:flow", f"{broken}:none", f"{flows}:other", f"{broken}:other"]
    first = asked(*sources)
    assert capfd.readouterr().err.count("loaded") == 1
    assert "no pipeline 'none'" in str(first[1].faults[0])
    again = asked(*sources)
    assert [answer.kept for answer in again] == [True, False, True, True]
    assert [list(answer.value) for answer in (again[0], again[2], again[3])] == [
        ["flow.yaml"], ["other.yaml"], ["other.yaml"],
    ]  # fmt: skip
    put(project / "values.py", "TEXT = 'new'\n")
    changed = asked(*sources)
    assert ["new" in text_of(changed[number]) for number in (0, 2)] == [True, True]


def test_a_file_that_ends_its_process_is_loaded_here_and_costs_the_others_nothing(project: Path) -> None:
    ends = f"import os\nos._exit(9) if os.getpid() != {os.getpid()} else None\nTEXT = 1\n{FLOW}"
    deadly = put(project / "deadly.py", ends + FLOW.replace("flow", "other"))
    right = put(project / "right.py", f"TEXT = 1\n{FLOW}")
    found = asked(f"{deadly}:flow", right, f"{deadly}:other")
    assert [list(answer.value) for answer in found] == [["flow.yaml"], ["flow.yaml"], ["other.yaml"]]


def records(project: Path) -> list[Path]:
    return sorted((project.parent / "cache" / "turnout" / "answers").glob("*.json"))


def test_only_what_this_user_alone_can_write_is_read(project: Path) -> None:
    source = put(project / "flow.py", f"TEXT = 'mine'\n{FLOW}")
    asked(source)
    (record,) = records(project)
    assert record.stat().st_mode & 0o777 == 0o600
    assert record.parent.stat().st_mode & 0o777 == 0o700
    record.write_text(record.read_text().replace("mine", "theirs"))
    assert "theirs" in text_of(asked(source)[0])  # so it is what is read
    record.chmod(0o622)
    assert not asked(source)[0].kept
    forged = record.with_suffix(".forged")
    forged.write_text(record.read_text().replace("mine", "theirs"))
    record.unlink()
    record.symlink_to(forged)
    answer = asked(source)[0]
    assert not answer.kept
    assert "mine" in text_of(answer)


def test_a_record_that_is_broken_or_of_another_source_is_not_used(project: Path) -> None:
    sources = [put(project / f"{name}.py", f"TEXT = {name!r}\n{FLOW}") for name in ("one", "two")]
    asked(*sources)
    one, two = records(project)
    for broken in ("[]", '{"question": 1}', one.read_text()[:-200], two.read_text()):
        one.write_text(broken)
        texts = [text_of(answer) for answer in asked(*sources)]
        assert ["one" in texts[0], "two" in texts[1]] == [True, True]
    for file in one.parent.glob("*.set"):
        file.write_text("[")
    assert [answer.kept for answer in asked(*sources)] == [False, False]


def test_an_installed_library_that_was_edited_is_noticed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = put(project / "lib" / "site-packages" / "some_library.py", "TEXT = 'old'\n")
    (library.parent / "__pycache__").mkdir()
    monkeypatch.syspath_prepend(str(library.parent))
    source = put(project / "flow.py", f"from some_library import TEXT\n{FLOW}")
    monkeypatch.setattr("turnout.recall.evidence.START_NS", time.time_ns())  # this process began after it was there
    first, again = asked(source)[0], asked(source)[0]
    assert (first.doubts, again.kept) == ((), True)
    put(library, "TEXT = 'new'\n")
    changed = asked(source)[0]
    assert not changed.kept
    assert "new" in text_of(changed)


def test_what_a_file_prints_is_no_result(turnout, tmp_path: Path) -> None:
    source = put(tmp_path / "flow.py", f"print('hello')\nTEXT = 1\n{FLOW}")
    ran = turnout("check", str(source), "--json", "--no-cache")
    assert ran.status == 0
    assert json.loads(ran.out)["pipelines"][0]["faults"] == []
    assert "hello" in ran.err
