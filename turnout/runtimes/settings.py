"""The settings of runtimes: one table for each runtime, which every track reads.

The local track takes them from `turnout run --setting NAME=VALUE` and from variables, which are called as the setting
with `TURNOUT_` before it; Airflow from the options of its section `[turnout]`, which `turnout.airflow.provider` makes
from the same tables. They stand here, and not with the runtimes, since every process of Airflow reads them.
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


PROCESS = (
    Setting(
        "python",
        "Interpreter of the components' environment, in which steps run.",
        "/opt/components/bin/python",
        default=None,
    ),
    Setting("directory", "Working directory of steps; the worker's own when empty.", "/opt/project"),
)

DOCKER = (
    Setting(
        "docker_host",
        "Address of Docker's engine, for the docker runtime; the variable DOCKER_HOST's when empty.",
        "unix:///var/run/docker.sock",
    ),
)

LAUNCHER_IMAGE = Setting(
    "launcher_image",
    "Image with Turnout and the store's libraries, whose containers stage the artifacts of pods.",
    "registry.example.com/turnout:0.1.0",
    default=None,
)
KUBERNETES = (
    Setting("namespace", "Namespace of the pods; the connection's when empty.", "ml"),
    LAUNCHER_IMAGE,
    Setting(
        "pod_template",
        "YAML file of a pod to start from. Its container `launcher` says more of those that stage (credentials, "
        "volumes), its container `base` of the step's own.",
        "/etc/turnout/pod.yaml",
    ),
    Setting("kube_config", "File that tells how to reach the cluster; found as kubectl does when empty.", "kube.yaml"),
    Setting("kube_context", "Context in that file; its current one when empty.", "training"),
)


def all_settings() -> list[Setting]:
    """The settings of all runtimes, each once."""
    return list({setting.name: setting for setting in (*PROCESS, *DOCKER, *KUBERNETES)}.values())


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
