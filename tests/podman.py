"""Real containers without a Docker engine: podman speaks Docker's API, Debian's packages are the base of images.

Needs root, and Debian's `podman`, `runc`, `debootstrap` and `docker-registry`. Nothing of the machine's own containers
is touched: images and containers live in a directory of their own. It is kept: what has not changed is not built again.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

PACKAGES = ("podman", "runc", "debootstrap", "docker-registry")

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
driver = "overlay"
graphroot = "{directory}/images"
runroot = "{directory}/run"
"""
REGISTRIES = """\
[[registry]]
location = "{address}"
insecure = true
"""

REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""

BASE = "localhost/debian-python:12"
"""The base of images where a public one cannot be pulled."""


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
        self.registry = f"127.0.0.1:{free_port()}"
        (directory / "registries.conf").write_text(REGISTRIES.format(address=self.registry))
        self.variables = {
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(directory / "registries.conf"),
        }
        self.environment = {**os.environ, **self.variables}
        self.servers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the Docker API, and a registry that has no images yet."""
        images = self.directory / "registry"
        shutil.rmtree(images, ignore_errors=True)
        configuration = self.directory / "registry.yml"
        configuration.write_text(REGISTRY.format(directory=images, address=self.registry))
        self._serve("podman", "system", "service", "--time=0", self.host)
        self._serve("docker-registry", "serve", str(configuration))

    def _serve(self, *command: str) -> None:
        with (self.directory / f"{command[0]}.log").open("wb") as log:
            server = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.servers.append(server)

    def stop(self) -> None:
        for server in self.servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
        self.podman("rm", "--all", "--force", "--time", "0")

    def containers(self) -> list[str]:
        """All containers that there are, running or not."""
        return self.podman("ps", "--all", "--quiet").split()

    def make_base(self) -> None:
        """Make the base of images, of Debian's packages and of the certificates that this machine trusts."""
        if subprocess.run(["podman", "image", "exists", BASE], env=self.environment, check=False).returncode == 0:
            return
        root, archive = self.directory / "root", self.directory / "base.tar"
        shutil.rmtree(root, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", root)
        certificates = Path("/etc/ssl/certs/ca-certificates.crt")
        shutil.copyfile(certificates, root / certificates.relative_to("/"))
        for waste in [*(root / "var/cache/apt/archives").glob("*.deb"), *(root / "var/lib/apt/lists").glob("*_*")]:
            waste.unlink()
        _run("tar", "--directory", root, "--create", "--file", archive, ".")
        self.podman("import", "--quiet", str(archive), BASE)
        archive.unlink()
        shutil.rmtree(root)

    def build(self, file: Path, name: str, *arguments: str, context: Path = PROJECT) -> int:
        """Build an image from a Dockerfile, and tell its size in bytes.

        Args:
            arguments: of the file, as `NAME=VALUE`.
        """
        given = [f"--build-arg={argument}" for argument in arguments]
        command = ["build", "--quiet", "--format", "docker", "--file", str(file), "--tag", name]
        self.podman(*command, "--build-arg", f"BASE={BASE}", *given, str(context))
        return int(self.podman("image", "inspect", "--format", "{{.Size}}", name))

    def podman(self, *arguments: str) -> str:
        """What podman prints."""
        command = ["podman", *arguments]
        return subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
