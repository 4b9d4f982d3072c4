"""Whoever reads an error of a component is told what to do next."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from paths import PACKAGE

ROOMS = (
    "components",
    "data",
    "engines",
    "features",
    "inference",
    "models",
    "monitoring",
    "pipelines",
    "serving",
    "trackers",
)

WITHOUT = {
    "models/signature.py": "joins faults, each with its own hint",
    "inference/job.py": "the reason of one row, in the quarantine",
    "monitoring/alerts/notices.py": "one channel's reason, which notify puts into its error",
}
"""Files with one error that is part of another's text, and why."""


def errors(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ComponentError":
            yield node


def lacking(package: Path) -> list[tuple[str, int]]:
    files = [file for room in ROOMS for file in sorted((package / room).rglob("*.py"))]
    assert files
    return [
        (file.relative_to(package).as_posix(), node.lineno)
        for file in files
        for node in errors(file)
        if "hint" not in {keyword.arg for keyword in node.keywords}
    ]


def test_errors_of_components_have_a_hint() -> None:
    assert sorted(file for file, _ in lacking(PACKAGE)) == sorted(WITHOUT)


def test_no_text_is_made_to_look_like_an_error_s_place_or_hint() -> None:
    typed = [
        (file.name, node.value)
        for room in ROOMS
        for file in (PACKAGE / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and ("hint: " in node.value or " @ " in node.value)
    ]  # fmt: skip
    assert typed == []
