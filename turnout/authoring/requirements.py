"""What a component says it requires, as the lines that stand in its command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from turnout.authoring.user_errors import defined_at
from turnout.errors import DefinitionError, Fault, did_you_mean
from turnout.project.file import Project, current
from turnout.spec.requirements import Line, checked, lines_of_file


def lines_of(
    function: Callable[..., Any], requirements: Sequence[str] | str | Path, environment: str
) -> tuple[str, ...]:
    """The lines of an environment of the project, and a component's own after them.

    Args:
        requirements: lines, or the path of a file of them.
        environment: the environment's name; empty for none.

    Raises:
        DefinitionError: there is no such environment or file, or a line is none; with every reason.
    """
    if not requirements and not environment:
        return ()
    where, project = defined_at(function), current()
    lines: list[Line] = []
    faults: list[Fault] = []
    if environment and environment not in project.environments:
        names = tuple(project.environments)
        hint = (
            did_you_mean(environment, names)
            or f'write it into pyproject.toml: [tool.turnout.environments] {environment} = ["name>=1.2"]'
        )
        faults.append(Fault(f"no environment '{environment}'", where, names, hint))
    elif environment:
        lines += [Line(text, where) for text in project.environments[environment]]
    if isinstance(requirements, str | Path):
        more, wrong = _file(function, Path(requirements), project, where)
        lines += more
        faults += wrong
    elif not all(isinstance(item, str) for item in requirements):
        faults.append(Fault(f"requirements are texts, not {requirements!r:.60}", where))
    else:
        lines += [Line(text, where) for text in requirements]
    found, wrong = checked(lines)
    if faults := [*faults, *wrong]:
        raise DefinitionError(faults)
    return found


def _file(function: Callable[..., Any], path: Path, project: Project, where: str) -> tuple[list[Line], list[Fault]]:
    source = inspect.getsourcefile(inspect.unwrap(function)) or ""
    places = [Path(source).resolve().parent / path, project.directory / path]
    for place in places:
        if place.is_file():
            cwd = Path.cwd()
            return lines_of_file(place, str(place.relative_to(cwd)) if place.is_relative_to(cwd) else str(place))
    hint = f"a package is a list of one: requirements=['{path}']"
    looked = " or ".join(dict.fromkeys(str(place.parent) for place in places))
    return [], [Fault(f"no requirements file '{path.name}' in {looked}", where, hint=hint)]
