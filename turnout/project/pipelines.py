"""The list of pipelines in the project file: made, or added to it where that changes nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from turnout.errors import Fault, ProjectError
from turnout.project.file import current

_HEADER = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*turnout[ \t]*\][ \t]*(#.*)?$", re.MULTILINE)


def name_pipelines(sources: Iterable[str]) -> Path | None:
    """Have the project of this directory know its pipelines.

    Args:
        sources: paths, from the current directory on, each perhaps with the name of a pipeline: `path.py:name`.

    Returns:
        The file that was written; None when the project knows them already.

    Raises:
        ProjectError: a path is outside of the project; or its file has a list of its own, which is its owner's to
            change.
    """
    project = current()
    directory = project.directory if project.found else _directory(Path.cwd())
    file = directory / "pyproject.toml"
    names = _names(sources, directory)
    if set(names) == set(_names(project.sources(), directory)):
        return None
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    table = tomllib.loads(text).get("tool", {}).get("turnout")
    entries = _patterns(names, directory)
    if table is not None and "pipelines" in table:
        missing = set(names) - set(_names(project.sources(), directory))
        if not missing:
            return None
        hint = f"add to pipelines under [tool.turnout]: {', '.join(map(_quoted, sorted(missing)))}"
        raise ProjectError([Fault("the project file has a list of pipelines, which lacks some", str(file), hint=hint)])
    written = _with_list(text, _list(entries), has_table=table is not None)
    _check(written, entries, text, file)
    file.write_text(written, encoding="utf-8")
    return file


def _directory(start: Path) -> Path:
    """The nearest directory with a project file, no farther up than the repository; this one when there is none."""
    for directory in (start, *start.parents):
        if (directory / "pyproject.toml").is_file():
            return directory
        if (directory / ".git").exists():
            break
    return start


def _names(sources: Iterable[str], directory: Path) -> list[str]:
    found = []
    for source in sources:
        path, _, name = source.partition(":")
        place = Path(path).resolve()
        if not place.is_relative_to(directory.resolve()):
            hint = f"call it in the project's directory, not in {Path.cwd()}"
            raise ProjectError([Fault("outside of the project", source, hint=hint)])
        found.append(place.relative_to(directory.resolve()).as_posix() + (f":{name}" if name else ""))
    return sorted(set(found))


def _patterns(names: Sequence[str], directory: Path) -> list[str]:
    """The names, and for those that are all files of a directory its pattern."""
    found: set[str] = set()
    for name in names:
        folder = Path(name).parent
        files = {path.relative_to(directory).as_posix() for path in (directory / folder).glob("[!_]*.py")}
        whole = folder != Path() and len(files) > 1 and files <= set(names)
        found.add(f"{folder.as_posix()}/*.py" if whole else name)
    return sorted(found)


def _list(entries: Sequence[str]) -> str:
    return "\n".join(["pipelines = [", *(f"    {_quoted(entry)}," for entry in entries), "]\n"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _with_list(text: str, entry: str, has_table: bool) -> str:
    if not has_table:
        before = f"{text.rstrip()}\n\n" if text.strip() else ""
        return f"{before}[tool.turnout]\n{entry}"
    header = _HEADER.search(text)
    if header is None:  # only tables below it have headers
        return f"{text.rstrip()}\n\n[tool.turnout]\n{entry}"
    rest = text[header.end() :].removeprefix("\n")
    return f"{text[: header.end()]}\n{entry}{rest}"


def _check(written: str, entries: Sequence[str], before: str, file: Path) -> None:
    """Nothing but the list may have changed."""
    expected: dict[str, Any] = tomllib.loads(before)
    try:
        expected.setdefault("tool", {}).setdefault("turnout", {})["pipelines"] = list(entries)
        same = tomllib.loads(written) == expected
    except (tomllib.TOMLDecodeError, AttributeError, TypeError):
        same = False
    if not same:
        hint = f"write it yourself, under [tool.turnout]: {_list(entries)}"
        raise ProjectError([Fault("the list of pipelines cannot be added to this file", str(file), hint=hint)])
