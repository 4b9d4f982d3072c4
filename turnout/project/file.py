"""The project file: `[tool.turnout]` in pyproject.toml says once what options and variables would say each time.

A profile, `[tool.turnout.profile.NAME]`, holds what is different there: in production, say. An option of the command
line comes first, then an environment variable, the profile, the project, and Turnout's default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.errors import Fault, ProjectError, did_you_mean
from turnout.spec.json_schema import value_faults
from turnout.spec.requirements import Line, checked, lines_of_file

PROFILE = "TURNOUT_PROFILE"
"""The variable that names the profile."""

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}
KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "pipelines": (
        _TEXTS,
        "Files with pipelines, as patterns of paths; `file.py:name` where a file has several. "
        "Default: `pipelines/*.py`.",
    ),
    "dags": (_TEXT, "Directory of compiled files. Default: `dags`."),
    "root": (_TEXT, "Path or URI under which runs are kept. Default: `.turnout`."),
    "image": (_TEXT, "Container image of components that name none. `turnout build` builds it."),
    "base": (_TEXT, "Image that `turnout build` builds on. Default: Turnout's components image of the same version."),
    "requirements": (
        _TEXT,
        "File of requirements that `turnout build` installs into the image. Default: the project's `dependencies`.",
    ),
    "runtime": (_TEXT, "What steps run with: `docker`, for example. Default: as processes of this machine."),
    "settings": (
        {"type": "object", "additionalProperties": _TEXT},
        "Settings of runtimes, by name. A path in it that starts with a dot starts in the project.",
    ),
    "environments": (
        {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _TEXTS]}},
        "Environments for components that need other packages, by name: lists of requirements, or the paths of "
        "requirements files.",
    ),
    "trackers": (_TEXTS, "Trackers that MLflow's runs are mirrored in: `wandb`, or `module:Class`."),
}
"""What the file may say: the JSON Schema of each key, and what it means."""


@dataclass(frozen=True)
class Project:
    """What a project says, with a profile applied.

    Attributes:
        directory: where its file is; paths in it start there.
        pipelines: patterns of files, from the directory on.
        settings: of runtimes, by name.
        environments: the requirements of each environment, by its name.
        found: whether there is a project file.
    """

    directory: Path
    pipelines: tuple[str, ...] = ("pipelines/*.py",)
    dags: str = "dags"
    root: str = ".turnout"
    image: str = ""
    base: str = ""
    requirements: str = ""
    runtime: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    trackers: tuple[str, ...] = ()
    environments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    found: bool = False

    def path(self, value: str) -> str:
        """A path of the file, from the current directory on; a URI or an absolute path as it is."""
        if "://" in value or Path(value).is_absolute() or self.directory == Path.cwd():
            return value
        return str(self.directory / value)

    def sources(self) -> list[str]:
        """The files with pipelines, and the name of one where it is said; `_name.py` is what they have in common."""
        found = {
            (path, name)
            for pattern, _, name in (item.partition(":") for item in self.pipelines)
            for path in self.directory.glob(pattern)
            if not path.name.startswith("_")
        }
        return [
            self.path(str(path.relative_to(self.directory))) + (f":{name}" if name else "")
            for path, name in sorted(found)
        ]

    def set_variables(self) -> None:
        """Give this process, and those that it starts, the variables of trackers and settings that are not set."""
        if self.trackers:
            os.environ.setdefault("TURNOUT_TRACKERS", ",".join(self.trackers))
        for name, value in self.settings.items():
            os.environ.setdefault(f"TURNOUT_{name.upper()}", self.path(value) if value.startswith(".") else value)


def current() -> Project:
    """The project of the current directory, with the profile that `$TURNOUT_PROFILE` names.

    Raises:
        ProjectError: its file says what is not understood, all faults at once; there is no such profile.
    """
    return _read(Path.cwd(), os.environ.get(PROFILE, ""))


def _read(start: Path, profile: str) -> Project:
    for directory in (start, *start.parents):
        file = directory / "pyproject.toml"
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("turnout")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
            raise ProjectError([Fault(f"the project file cannot be read: {error}", str(file))]) from error
        if table is not None:
            return _project(table, file, profile)
    if profile:
        raise ProjectError([Fault(f"no profile '{profile}': there is no project file", str(start), hint=_FORM)])
    return Project(start)


_FORM = "write [tool.turnout.profile.NAME] into pyproject.toml"


def _project(table: Any, file: Path, profile: str) -> Project:
    profiles = table.get("profile", {}) if isinstance(table, dict) else {}
    own = {key: value for key, value in table.items() if key != "profile"} if isinstance(table, dict) else table
    faults = list(_faults(own, f"{file}: tool.turnout"))
    if not isinstance(profiles, dict):
        faults.append(Fault("not a table of profiles", f"{file}: tool.turnout.profile", hint=_FORM))
        profiles = {}
    for name, values in profiles.items():
        faults += _faults(values, f"{file}: tool.turnout.profile.{name}")
    if profile and profile not in profiles:
        names = tuple(profiles)
        faults.append(Fault(f"no profile '{profile}'", str(file), names, did_you_mean(profile, names) or _FORM))
    if faults:
        raise ProjectError(faults)
    values = {**own, **profiles.get(profile, {})}
    for name in ("settings", "environments"):
        values[name] = {**own.get(name, {}), **profiles.get(profile, {}).get(name, {})}
    values["environments"], faults = _environments(values["environments"], file)
    if faults:
        raise ProjectError(faults)
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Project(file.parent, **{**values, **lists}, found=True)


def _environments(given: Mapping[str, Any], file: Path) -> tuple[dict[str, tuple[str, ...]], list[Fault]]:
    """The lines of each environment, and what is wrong with them, by the line of the file that says it."""
    found: dict[str, tuple[str, ...]] = {}
    faults: list[Fault] = []
    written = file.read_text(encoding="utf-8").splitlines() if given else []

    def place(name: str, text: str) -> str:
        number = next((number for number, line in enumerate(written, 1) if text in line), 0)
        return f"{file}:{number}" if number else f"{file}: tool.turnout.environments.{name}"

    for name, value in given.items():
        if isinstance(value, str):
            path = file.parent / value
            lines, wrong = lines_of_file(path, str(path))
        else:
            lines, wrong = [Line(text, place(name, text)) for text in value], []
        found[name], more = checked(lines)
        faults += [*wrong, *more]
    return found, faults


def _faults(values: Any, where: str) -> Iterator[Fault]:
    if not isinstance(values, dict):
        yield Fault("not a table", where)
        return
    for key, value in values.items():
        if key in KEYS:
            yield from value_faults(value, KEYS[key][0], f"{where}.{key}")
        else:
            yield Fault(f"no key '{key}'", where, tuple(KEYS), did_you_mean(key, KEYS))
