"""Compiled files: written, or compared with those that are there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path


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
