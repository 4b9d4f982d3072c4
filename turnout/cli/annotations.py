"""Faults in the forms that code hosts show beside the lines of a pull request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import turnout

Format = Literal["text", "json", "github", "sarif"]

_PLACE = re.compile(r"(?P<file>[^\s:]+\.\w+):(?P<line>\d+)")


@dataclass(frozen=True)
class Annotation:
    """Something that is wrong at a line of a file.

    Attributes:
        rule: a short name for its kind, such as `fault`.
        file: its path; empty when it is in no file.
    """

    rule: str
    message: str
    file: str = ""
    line: int = 1


def of_faults(checked: Iterable[dict[str, Any]]) -> Iterator[Annotation]:
    """The faults of `turnout check`; one that names no line is at the beginning of its pipeline's file."""
    for outcome in checked:
        source = str(outcome["source"]).partition(":")[0]
        for fault in outcome["faults"]:
            place = _PLACE.match(fault["where"])
            file = place["file"] if place else source if Path(source).is_file() else ""
            lines = [fault["what"] if place else " @ ".join(filter(None, (fault["what"], fault["where"])))]
            if fault["available"]:
                lines.append(f"available here: {', '.join(fault['available'])}")
            if fault["hint"]:
                lines.append(f"hint: {fault['hint']}")
            yield Annotation("fault", "\n".join(lines), file, int(place["line"]) if place else 1)


def github(annotations: Iterable[Annotation]) -> str:
    """As commands of GitHub's workflows: docs.github.com, Workflow commands, Setting an error message."""
    return "".join(f"::error {_properties(item)}::{_escaped(item.message)}\n" for item in annotations)


def _properties(item: Annotation) -> str:
    place = {"file": item.file, "line": str(item.line)} if item.file else {}
    texts = {**place, "title": f"turnout: {item.rule}"}
    return ",".join(f"{key}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}" for key, value in texts.items())


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def sarif(annotations: Iterable[Annotation]) -> str:
    """As SARIF 2.1.0 (OASIS), which most code hosts read."""
    found = list(annotations)
    driver = {
        "name": "turnout",
        "version": turnout.__version__,
        "rules": [{"id": rule} for rule in sorted({item.rule for item in found})],
    }
    results = [
        {"ruleId": item.rule, "level": "error", "message": {"text": item.message}, "locations": _locations(item)}
        for item in found
    ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=2) + "\n"


def _locations(item: Annotation) -> list[dict[str, Any]]:
    if not item.file:
        return []
    where = {"artifactLocation": {"uri": Path(item.file).as_posix()}, "region": {"startLine": item.line}}
    return [{"physicalLocation": where}]


FORMATS: dict[str, Callable[[Iterable[Annotation]], str]] = {"github": github, "sarif": sarif}
"""The forms that show annotations alone."""
