"""Python source text of calls and literals, laid out as a person would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 110


class Code(str):
    """Text that is code already."""


@dataclass(frozen=True)
class Call:
    """An expression that is a call."""

    function: str
    arguments: Sequence[Any]
    keywords: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Joined:
    """Expressions with an operator between them."""

    operator: str
    parts: Sequence[Any]


def call(function: str, arguments: Mapping[str, Any], depth: int, positional: Sequence[Any] = ()) -> str:
    """A call as source text, on one line where that is short enough."""
    parts = [(None, value) for value in positional] + list(arguments.items())
    line = ", ".join((f"{key}=" if key else "") + literal(value, None) for key, value in parts)
    if len(line) + len(function) + 4 * depth + 24 <= WIDTH and "\n" not in line:
        return f"{function}({line})"
    indent = "    " * (depth + 1)
    lines = [f"{indent}{f'{key}=' if key else ''}{literal(value, depth + 1)}," for key, value in parts]
    return "\n".join([f"{function}(", *lines, "    " * depth + ")"])


def literal(value: Any, depth: int | None) -> str:
    """A JSON value as Python source; over several lines when `depth` is given and one is too long."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Joined):
        return value.operator.join(literal(part, None) for part in value.parts)
    if isinstance(value, Call):
        entries = [literal(item, _deeper(depth)) for item in value.arguments]
        entries += [f"{key}={literal(item, _deeper(depth))}" for key, item in value.keywords.items()]
        return value.function + _enclose("(", entries, ")", depth)
    if isinstance(value, str) and "\n" in value and depth is not None:
        indent = "    " * (depth + 1)
        lines = [f"{indent}{quoted(line)}" for line in value.splitlines(keepends=True)]
        return "\n".join(["(", *lines, "    " * depth + ")"])
    if isinstance(value, dict):
        entries = [f"{literal(key, None)}: {literal(item, _deeper(depth))}" for key, item in value.items()]
        return _enclose("{", entries, "}", depth)
    if isinstance(value, list):
        return _enclose("[", [literal(item, _deeper(depth)) for item in value], "]", depth)
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """A text in double quotes, as formatters write it: in single ones where that needs fewer backslashes."""
    plain = repr(text)
    if plain[0] == '"' or '"' in plain:
        return plain
    # repr has escaped all but quotes; there is neither a double quote, nor an escaped single one.
    return f'"{plain[1:-1]}"'


def _enclose(start: str, entries: list[str], end: str, depth: int | None) -> str:
    line = start + ", ".join(entries) + end
    if depth is None or (len(line) + 4 * depth + 16 <= WIDTH and "\n" not in line):
        return line
    indent = "    " * (depth + 1)
    return "\n".join([start, *(f"{indent}{entry}," for entry in entries), "    " * depth + end])


def _deeper(depth: int | None) -> int | None:
    return None if depth is None else depth + 1
