"""New projects, and new components and pipelines in one, from the templates beside this file."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from turnout.errors import Fault, ProjectError
from turnout.project.file import Project

PROJECT = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".pre-commit-config.yaml": "pre-commit-config.yaml",
    ".github/workflows/pipelines.yml": "workflow.yml",
    "{package}/__init__.py": "",
    "{package}/components/__init__.py": "",
    "{package}/components/average.py": "average.py",
    "{package}/components/count_rows.py": "component.py",
    "{package}/components/orders.py": "source.py",
    "{package}/pipelines/__init__.py": "",
    "{package}/pipelines/{package}.py": "first_pipeline.py",
    "tests/test_count_rows.py": "component_test.py",
    "tests/test_pipelines.py": "pipelines_test.py",
}
"""The files of a new project, and the template of each; none for an empty file."""


def new_project(directory: Path) -> list[Path]:
    """Write a project that works, called as its directory.

    Raises:
        ProjectError: the name cannot be a package's, or files are there already; nothing is written then.
    """
    name = directory.resolve().name
    package = _identifier(name)
    words = {"name": name, "package": package, "function": "count_rows", "module": f"{package}.components.count_rows"}
    pipeline = {**words, "function": package}
    texts = {
        directory / path.format(package=package): _text(template, pipeline if "pipelines" in path else words)
        for path, template in PROJECT.items()
    }
    return _write(texts)


def new_component(name: str, project: Project) -> list[Path]:
    """Write a component, and a test of it. Raises ProjectError when the name is none, or the file is there."""
    function = _identifier(name)
    folder = _pipelines(project).parent / "components"
    module = ".".join((*folder.relative_to(project.directory).parts, function))
    words = {"function": function, "module": module}
    return _write({
        folder / f"{function}.py": _text("component.py", words),
        project.directory / "tests" / f"test_{function}.py": _text("component_test.py", words),
    })  # fmt: skip


def new_pipeline(name: str, project: Project) -> list[Path]:
    """Write a pipeline. Raises ProjectError when the name is none, or the file is there."""
    function = _identifier(name)
    words = {"function": function, "title": function.replace("_", " ").capitalize()}
    return _write({_pipelines(project) / f"{function}.py": _text("pipeline.py", words)})


def _pipelines(project: Project) -> Path:
    """The directory of the project's first pattern."""
    return (project.directory / project.pipelines[0]).parent


def _identifier(name: str) -> str:
    word = re.sub(r"[-. ]+", "_", name).lower()
    if not re.fullmatch("[a-z][a-z0-9_]*", word) or keyword.iskeyword(word) or word == "turnout":
        hint = "letters, digits, - and _, and a letter first: daily-orders"
        raise ProjectError([Fault(f"'{name}' cannot be the name of a Python module", hint=hint)])
    return word


def _text(template: str, words: Mapping[str, str]) -> str:
    if not template:
        return ""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    strict = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return strict.get_template(f"{template}.jinja").render(words)


def _write(texts: Mapping[Path, str]) -> list[Path]:
    if there := [path for path in texts if path.exists()]:
        hint = "give another name; nothing was written"
        raise ProjectError([Fault("the file is there already", str(path), hint=hint) for path in there])
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)
