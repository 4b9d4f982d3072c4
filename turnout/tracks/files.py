"""Compiled files: written, or compared with those that are there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

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


def stale(files: Mapping[Path, str], out: Path) -> list[str]:
    """A unified diff for each file that is missing or not as it should be."""
    diffs = []
    for name, text in files.items():
        path = out / name
        there = path.read_text(encoding="utf-8") if path.is_file() else ""
        if there != text:
            lines = difflib.unified_diff(
                there.splitlines(keepends=True), text.splitlines(keepends=True), str(path), f"{path} (compiled now)"
            )
            diffs.append("".join(lines))
    return diffs
