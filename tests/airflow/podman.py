"""Real containers without a Docker engine: podman speaks Docker's API, Debian's packages make an image.

Needs root, and Debian's `podman`, `runc` and `debootstrap`. Nothing of the machine's own containers is touched:
images and containers live in a directory of their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGES = ("podman", "runc", "debootstrap")

CONTAINERS = """\
[containers]
netns = "host"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{directory}/images"
runroot = "{directory}/run"
"""

TURNOUT = """\
#!/bin/sh
exec python3 -c 'from turnout.cli import main; main()' "$@"
"""


class Podman:
    """A Docker API of its own.

    Args:
        directory: for its images and containers.
    """

    def __init__(self, directory: Path):
        missing = [name for name in PACKAGES if shutil.which(name) is None]
        if missing:
            raise RuntimeError(f"install Debian's packages: apt-get install {' '.join(missing)}")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "containers.conf").write_text(CONTAINERS)
        (directory / "storage.conf").write_text(STORAGE.format(directory=directory))
        self.directory = directory
        self.host = f"unix://{directory}/api.sock"
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        }
        self.service: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "service.log").open("wb") as log:
            command = ["podman", "system", "service", "--time=0", self.host]
            self.service = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def stop(self) -> None:
        if self.service is not None:
            os.killpg(self.service.pid, signal.SIGTERM)
            self.service.wait(30)
        self._podman("rm", "--all", "--force", "--time", "0")
        self._podman("rmi", "--all", "--force")

    def containers(self) -> list[str]:
        """All containers that there are, running or not."""
        return self._podman("ps", "--all", "--quiet").split()

    def make_image(self, name: str, project: Path, uv: Path, modules: Sequence[Path]) -> None:
        """Make an image of Debian with Python, Turnout, kfp and modules.

        Args:
            project: the checkout whose Turnout it gets.
            modules: directories on its `PYTHONPATH`.
        """
        base = self.directory / "debian.tar"
        root = self.directory / "root"
        shutil.rmtree(root, ignore_errors=True)
        if not base.exists():
            _run("debootstrap", "--variant=minbase", "--include=python3", "bookworm", root)
            _run("tar", "--directory", root, "--create", "--file", base, ".")
        else:
            root.mkdir()
            _run("tar", "--directory", root, "--extract", "--file", base)
        target = root / "opt" / "packages"
        packages = ["--target", target, "--python-version", "3.11", "--python", sys.executable]
        _run(
            uv,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            *packages,
            project,
            "kfp>=2.17",
            "kfp-kubernetes>=2.17",
        )
        for directory in modules:
            shutil.copytree(directory, root / "opt" / "modules", dirs_exist_ok=True)
        command = root / "usr" / "local" / "bin" / "turnout"
        command.write_text(TURNOUT)
        command.chmod(0o755)
        archive = self.directory / "image.tar"
        _run("tar", "--directory", root, "--create", "--file", archive, ".")
        path = "ENV PYTHONPATH=/opt/packages:/opt/modules"
        self._podman("import", "--quiet", "--change", path, str(archive), f"localhost/{name}")
        archive.unlink()
        shutil.rmtree(root)

    def _podman(self, *arguments: str) -> str:
        command = ["podman", *arguments]
        return subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
