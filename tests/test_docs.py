"""The documentation is true: the tutorial runs, the reference is up to date, links lead somewhere, commands exist."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from markdown_it import MarkdownIt
from markdown_it.token import Token
from paths import PROJECT

TUTORIAL = PROJECT / "docs" / "tutorial.md"
GENERATE = PROJECT / "docs" / "generate.py"
NOT_RUN = "<!-- not in the test: "
WRITTEN_DIRECTORY = "/home/you/wine"
"""The user's directory, in the outputs that the tutorial shows."""

PAGES = sorted(
    PROJECT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.split()
)  # fmt: skip


# The tutorial


@dataclass(frozen=True)
class Block:
    """A fenced block of the tutorial, and whether a comment above it keeps it from the test."""

    language: str
    text: str
    run: bool


def blocks(page: Path) -> list[Block]:
    found, run = [], True
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block" and token.content.startswith(NOT_RUN):
            run = False
        elif token.type == "fence":
            found.append(Block(token.info, token.content, run))
            run = True
    return found


def shown(line: str, directory: Path) -> re.Pattern[str]:
    """A line of shown output: ids of runs, seconds and the user's directory may differ; `…` stands for anything."""
    text = re.escape(line.rstrip()).replace(re.escape(WRITTEN_DIRECTORY), re.escape(str(directory)))
    text = re.sub(r"\d{8}\\-\d{6}\\-[0-9a-f]{4}", r"\\d{8}-\\d{6}-[0-9a-f]{4}", text)
    text = re.sub(r"(\\ )+\d+\\\.\d(?=\\ |$)", r" +\\d+\\.\\d", text)
    return re.compile(text.replace("…", ".*"))


def assert_shown(expected: str, out: str, directory: Path) -> None:
    """Each expected line is in the output, in this order."""
    lines = iter(out.splitlines())
    for line in expected.splitlines():
        pattern = shown(line, directory)
        assert any(pattern.search(got) for got in lines), f"{line!r} is not (or not here) in:\n{out}"


def assert_excerpt(code: str, file: Path) -> None:
    """The statements stand in a compiled DAG file, one after the other, whatever their layout and quotes."""
    expected = [ast.dump(node) for node in ast.parse(code).body]
    (dag,) = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.With)]
    assert [ast.dump(node) for node in dag.body] == expected


def run_block(block: Block, directory: Path, environment: dict[str, str]) -> Ran:
    command = ["bash", "-e"] if block.language == "sh" else [sys.executable, "-"]
    done = subprocess.run(
        command, input=block.text, cwd=directory, env=environment, capture_output=True, text=True, timeout=300
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """All its blocks, in an empty directory; the components' environment stands for the one that it installs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "PYTHON"))}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    last = Ran(0, "", "")
    counts = {"file": 0, "run": 0, "shown": 0}
    found = [block for block in blocks(TUTORIAL) if block.run]
    for block, following in zip(found, [*found[1:], None], strict=True):
        head = block.text.partition("\n")[0]
        if block.language == "text":
            assert_shown(block.text, last.out + last.err, tmp_path)
            counts["shown"] += 1
        elif head.startswith("# excerpt of "):
            assert_excerpt(block.text, tmp_path / head.removeprefix("# excerpt of "))
        elif re.fullmatch(r"# \S+\.py", head):
            (tmp_path / head[2:]).write_text(block.text, encoding="utf-8")
            counts["file"] += 1
        else:
            last = run_block(block, tmp_path, environment)
            fails = following is not None and following.language == "text" and following.text.startswith("error: ")
            assert last.status == (1 if fails else 0), f"{block.text}\n{last.out}\n{last.err}"
            counts["run"] += 1
    assert counts == {"file": 2, "run": 10, "shown": 7}


def test_a_shown_line_that_is_not_printed_is_noticed(tmp_path: Path) -> None:
    assert_shown("a 20260101-000000-aaaa took     1.0 s", "x\na 20270101-010101-bbbb took    22.5 s", tmp_path)
    with pytest.raises(AssertionError, match="a 1"):
        assert_shown("a 1", "a 2", tmp_path)
    with pytest.raises(AssertionError, match="first"):
        assert_shown("second\nfirst", "first\nsecond", tmp_path)


# The reference


def test_the_generated_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(GENERATE), "--check"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, f"run make docs\n{done.stdout}{done.stderr}"


def test_the_reference_has_every_component_and_pipeline_of_the_catalogue() -> None:
    generated = runpy.run_path(str(GENERATE))
    for folder, page in (("components", "components_page"), ("pipelines", "pipelines_page")):
        text = generated[page]()
        for file in (PROJECT / "turnout" / folder).glob("*.py"):
            if not file.name.startswith("_"):
                name = f"`turnout.components.{file.stem}." if folder == "components" else f"`pipelines/{file.name}`"
                assert name in text


# Links and commands


def tokens(page: Path) -> Iterator[Token]:
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: set[str] = set()
    heading = False
    for token in tokens(page):
        if token.type in ("heading_open", "heading_close"):
            heading = token.type == "heading_open"
        elif heading and token.type == "inline":
            plain = re.sub(r"[^\w\- ]", "", token.content.lower())
            found.add(plain.replace(" ", "-"))
    return found


def broken_links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        link = str(token.attrGet("href") or token.attrGet("src") or "")
        if not link or re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading; there are {', '.join(sorted(anchors(target)))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_relative_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_every_room_stands_in_the_layout_of_contributing() -> None:
    from test_layers import ALLOWED

    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {Path(name).stem for name in re.findall(r"`turnout/(\w+(?:\.py)?)`", text)}
    assert rooms - {"__init__"} == set(ALLOWED)


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [PROJECT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page.suffix != ".md" or not page.is_file() or page in reached:
            continue
        reached.add(page)
        links = (str(token.attrGet("href") or "").partition("#")[0] for token in tokens(page))
        ahead += [(page.parent / link).resolve() for link in links if link and ":" not in link]
    assert {page for page in PAGES if page.is_relative_to(PROJECT / "docs")} <= reached


def known_commands() -> dict[str, Any]:
    """The command line's commands by their words, without `turnout` itself."""
    from typer.main import get_command

    from turnout.cli.app import app

    walk = runpy.run_path(str(GENERATE))["commands"]
    return dict(walk(get_command(app), "turnout"))


def written_commands(page: Path) -> Iterator[str]:
    """Each `turnout ...` in code, with its line's continuation lines."""
    for token in tokens(page):
        if token.type in ("fence", "code_block", "code_inline") and token.info in ("", "sh"):
            text = token.content.replace("\\\n", " ")
            yield from re.findall(r"(?:^|[;&|] *)(turnout [^;\n&#]*)", text, re.MULTILINE)


def command_faults(written: str, known: dict[str, Any]) -> Iterator[str]:
    words = re.sub(r"[\[\]]", " ", written).split()
    if words[1].startswith("-"):
        names, rest = [words[0]], words[1:]
    else:
        names, rest = [f"turnout {name}" for name in words[1].split("|")], words[2:]
        if names[0] in known and getattr(known[names[0]], "commands", None) and rest:
            inner = [f"{names[0]} {name}" for name in rest[0].split("|")]
            # `turnout serve MODEL` is `turnout serve start MODEL`.
            short = names == ["turnout serve"] and inner[0] not in known
            names, rest = ["turnout serve start"] if short else inner, rest[1:]
    for name in names:
        if name not in known:
            yield f"{written}: no command '{name}'"
    parameters = [item for name in names if name in known for item in known[name].params]
    options = {option for item in parameters for option in [*item.opts, *item.secondary_opts]}
    for word in rest:
        option = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in options and names != ["turnout exec"]:
            yield f"{written}: no option '{option}'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_commands_in_the_docs_name_commands_and_options_that_exist(page: Path) -> None:
    known = known_commands()
    assert [fault for written in written_commands(page) for fault in command_faults(written, known)] == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    known = known_commands()
    assert list(command_faults("turnout run x.py -p a=1 --no-cache [--json]", known)) == []
    assert list(command_faults("turnout cache list|prune", known)) == []
    assert list(command_faults("turnout fly", known)) == ["turnout fly: no command 'turnout fly'"]
    assert list(command_faults("turnout cache fly", known)) == ["turnout cache fly: no command 'turnout cache fly'"]
    assert list(command_faults("turnout run x --fly", known)) == ["turnout run x --fly: no option '--fly'"]
