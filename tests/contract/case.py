"""A case of the contract: one run of a shape, and what every track must make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

S, F, SKIPPED, NOT = "SUCCEEDED", "FAILED", "SKIPPED", "NOT_TRIGGERED"


@dataclass(frozen=True)
class Case:
    """One run of a shape.

    Attributes:
        parameters: of the run; `{directory}` stands for a directory of the test's.
        outputs: of the run, or a check of them.
        steps: states by `path` or `path[iteration]`; all the steps there are.
        values: outputs of steps, by the same labels, under KFP's name `Output`.
    """

    shape: str
    steps: Mapping[str, str]
    outputs: Mapping[str, Any] | Callable[[Mapping[str, Any]], bool] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: str = S
    values: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.shape}-{self.name}" if self.name else self.shape


def out(value: Any) -> dict[str, Any]:
    return {"Output": value}


def filled(parameters: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """A case's parameters, with the test's directory in them, in which there is a file."""
    (directory / "here.txt").write_text("here")

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(item) for item in value]
        return value.replace("{directory}", str(directory)) if isinstance(value, str) else value

    return {name: placed(value) for name, value in parameters.items()}
