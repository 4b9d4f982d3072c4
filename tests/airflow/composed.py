"""The services of the compose file in containers that share one loopback interface, and reach nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from podman import PROJECT, Podman

FIRST = "postgres"
"""The service whose loopback interface the others share."""


@dataclass(frozen=True)
class StandIn:
    """What runs in the place of a public image, and tells whether it is healthy."""

    image: str
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()


class Composed:
    """The services of `docker/compose.yaml`.

    Args:
        programs: directory of podman-compose.
        images: variables of the compose file that name images.
        stand_ins: what runs in the place of public images, by the names of services.
    """

    def __init__(
        self,
        podman: Podman,
        programs: Path,
        directory: Path,
        images: Mapping[str, str],
        stand_ins: Mapping[str, StandIn],
        dags: Path,
    ):
        self.podman, self.stand_ins, self.dags = podman, stand_ins, dags
        self.secrets = directory / "env"
        subprocess.run([sys.executable, PROJECT / "docker" / "make_env.py", self.secrets], check=True)
        with self.secrets.open("a") as file:
            file.writelines(f"{name}={image}\n" for name, image in images.items())
        command = [programs / "podman-compose", "--env-file", self.secrets]
        command += ["--file", PROJECT / "docker" / "compose.yaml", "config"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.services: dict[str, dict[str, Any]] = yaml.safe_load(done.stdout)["services"]

    def secret(self, name: str) -> str:
        return dict(line.split("=", 1) for line in self.secrets.read_text().splitlines())[name]

    def start(self) -> None:
        """Start all in their order; each when those that it waits for are healthy."""
        before = {name: set(service.get("depends_on", ())) for name, service in self.services.items()}
        order = list(TopologicalSorter(before).static_order())
        for name in [FIRST, *(name for name in order if name != FIRST)]:
            once = "healthcheck" not in self.services[name]
            self.podman.podman("run", *(["--rm"] if once else ["--detach"]), *self._options(name))
            if not once and any(name in others for others in before.values()):
                self.wait(name)
        for name, service in self.services.items():
            if "healthcheck" in service:
                self.wait(name)

    def wait(self, name: str, seconds: float = 240) -> None:
        """Wait until a service's own health check says that it is healthy."""
        stands_in = self.stand_ins.get(name)
        test = (stands_in and stands_in.health) or self.services[name]["healthcheck"]["test"][1:]
        deadline = time.monotonic() + seconds
        while subprocess.run(["podman", "exec", name, *test], env=self.podman.environment, capture_output=True,
                             check=False).returncode:  # fmt: skip
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} is not healthy:\n{self.podman.podman('logs', '--tail', '40', name)}")
            time.sleep(2)

    def python(self, name: str, code: str) -> str:
        """What a program prints that runs in a service's container."""
        return self.podman.podman("exec", name, "python3", "-c", code)

    def _options(self, name: str) -> Iterator[str]:
        service, stands_in = self.services[name], self.stand_ins.get(name)
        yield from ("--name", name, "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
        if name == FIRST:
            yield from ("--network", "none", *(f"--add-host={other}:127.0.0.1" for other in self.services))
        else:
            yield f"--network=container:{FIRST}"
        for variable, value in service.get("environment", {}).items():
            yield f"--env={variable}={value}"
        for volume in service.get("volumes", ()):
            source, target = str(volume).split(":")[:2]
            if target.endswith("/dags"):
                yield f"--volume={self.dags}:{target}:ro"
            elif source.startswith("."):
                yield f"--volume={PROJECT / 'docker' / source}:{target}:ro"
            elif not stands_in:
                yield f"--volume={source}:{target}"
        entrypoint, command = service.get("entrypoint", []), service.get("command", [])
        if stands_in:
            entrypoint, command = stands_in.command[:1], stands_in.command[1:]
        if entrypoint:
            yield f"--entrypoint={entrypoint[0]}"
        yield stands_in.image if stands_in else service["image"]
        yield from (*entrypoint[1:], *command)
