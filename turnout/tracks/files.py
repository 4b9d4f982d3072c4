"""Compiled files: written, or compared with those that are there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import TurnoutError

MARK = "# Compiled by Turnout from the pipeline "
"""How a file of Python begins that a pipeline was compiled to."""


def left_over(files: Mapping[Path, str], out: Path) -> list[Path]:
    """The files in a directory that earlier pipelines were compiled to, each with its YAML, beside those of today."""
    found = []
    for path in sorted(out.glob("*.py")):
        if Path(path.name) in files:
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            marked = file.readline(len(MARK)) == MARK
        if marked:
            spec = path.with_suffix(".yaml")
            found += [path, *([spec] if spec.is_file() and Path(spec.name) not in files else [])]
    return found


def write_files(files: Mapping[Path, str], out: Path) -> list[Path]:
    """Write the files that are not already as they should be; the paths written."""
    written = []
    for name, text in files.items():
        path = out / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


@dataclass(frozen=True)
class Stale:
    """A file that is not as it should be; one that is missing is empty."""

    path: Path
    there: str
    now: str

    @property
    def diff(self) -> str:
        """The lines that differ, as a unified diff."""
        before, after = self.there.splitlines(keepends=True), self.now.splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, str(self.path), f"{self.path} (compiled now)"))

    def changes(self) -> list[str]:
        """What has changed in the pipeline that the file holds, in words; nothing when it holds none, or did not."""
        if self.path.suffix != ".yaml" or not self.there:
            return []
        # Where all is as it should be, nothing needs to be read.
        from turnout.plan.changes import changes
        from turnout.plan.link import link
        from turnout.spec.document import read

        try:
            return changes(*(link(read(text, where=str(self.path))) for text in (self.there, self.now)))
        except TurnoutError:
            return []


def stale(files: Mapping[Path, str], out: Path) -> list[Stale]:
    """The files that are missing or not as they should be."""
    paths = {out / name: text for name, text in files.items()}
    there = {path: path.read_text(encoding="utf-8") if path.is_file() else "" for path in paths}
    return [Stale(path, there[path], text) for path, text in paths.items() if there[path] != text]
