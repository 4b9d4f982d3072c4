"""The settings of runtimes: one table for each runtime, which every track reads.

The local track takes them from `turnout run --setting NAME=VALUE` and from variables, which are called as the setting
with `TURNOUT_` before it; Airflow from the options of its section `[turnout]`, which `turnout.airflow.provider` makes
from the same tables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.errors import Fault, TrackError, did_you_mean


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: as `--setting` and Airflow's section have it.
        description: one or two sentences.
        example: a value that it could have.
        default: its value when it is not given; None: there is none.
    """

    name: str
    description: str
    example: str
    default: str | None = ""

    @property
    def variable(self) -> str:
        """The environment variable that gives it to the local track."""
        return f"TURNOUT_{self.name.upper()}"


def read_settings(
    table: Sequence[Setting], given: Mapping[str, str], runtime: str, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The value of every setting of a runtime: as given, from the environment, or the default.

    Args:
        given: by name, such as from `--setting`.
        runtime: its name, for errors.

    Returns:
        Values by name; empty text for a setting that has no value.

    Raises:
        TrackError: the runtime has no setting of a given name.
    """
    names = tuple(setting.name for setting in table)
    what = f"the runtime '{runtime}' has no setting"
    if unknown := [name for name in given if name not in names]:
        raise TrackError([Fault(f"{what} '{name}'", "--setting", names, did_you_mean(name, names)) for name in unknown])
    return {
        setting.name: given.get(setting.name) or environment.get(setting.variable) or setting.default or ""
        for setting in table
    }


def missing(setting: Setting, runtime: str) -> Fault:
    """The fault of a setting that must be given, and is not."""
    hint = f"--setting {setting.name}={setting.example}, or set {setting.variable}"
    return Fault(f"the runtime '{runtime}' needs the setting '{setting.name}'", "--setting", (), hint)
