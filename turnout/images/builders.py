"""Programs that build images: Docker, Podman and Buildah, whichever is there."""

from __future__ import annotations

import collections
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import ImageError
from turnout.spec.image_digests import REFERENCE

NAMES = ("docker", "podman", "buildah")
"""In the order in which they are looked for."""

_SHOWN = 20
"""Last lines of a program's output that an error shows."""


@dataclass(frozen=True)
class Builder:
    """A program that builds and pushes images, called by its name."""

    name: str

    def build(
        self, name: str, context: Path, watch: Callable[[str], None], epoch: str = "", options: Sequence[str] = ()
    ) -> None:
        """Build an image from a directory with a `Dockerfile`.

        Args:
            epoch: seconds since 1970 that all of the image is dated with, so that the same is built of the same.
            options: further options of the program's `build`.

        Raises:
            ImageError: it cannot be built; with the last lines of what the program said.
        """
        command = [self.name, "build", "--file", str(context / "Dockerfile"), "--tag", name]
        if self.name == "docker":
            variables = {"DOCKER_BUILDKIT": "1", **({"SOURCE_DATE_EPOCH": epoch} if epoch else {})}
        else:
            # Their own format has no health checks.
            command += ["--format", "docker", *(["--timestamp", epoch] if epoch else [])]
            variables = {}
        hint = "put right what its last lines say, and build again"
        _run([*command, *options, str(context)], watch, f"{self.name} cannot build the image", name, hint, variables)

    def push(self, name: str, watch: Callable[[str], None]) -> str:
        """Push an image, and tell the digest that the registry has it by.

        Raises:
            ImageError: the registry refuses it, or there is no digest.
        """
        registry = name.partition("/")[0] if "/" in name else ""
        what, hint = f"{self.name} cannot push the image", f"log in: {self.name} login {registry}".rstrip()
        if self.name == "docker":
            _run([self.name, "push", name], watch, what, name, hint)
            return self._digest_of_docker(name)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "digest"
            _run([self.name, "push", "--digestfile", str(file), name], watch, what, name, hint)
            return file.read_text(encoding="utf-8").strip() if file.is_file() else _no_digest(name)

    def _digest_of_docker(self, name: str) -> str:
        command = [self.name, "image", "inspect", "--format", "{{json .RepoDigests}}", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = REFERENCE.fullmatch(name)
        for reference in json.loads(done.stdout or "[]") or [] if done.returncode == 0 else []:
            repository, _, digest = reference.partition("@")
            if found and repository in (found["repository"], f"docker.io/{found['repository']}"):
                return str(digest)
        return _no_digest(name)


def _no_digest(name: str) -> str:
    hint = "look at what the registry has, and push again"
    raise ImageError("pushed, but its digest is not known", where=name, hint=hint)


def find_builder(name: str = "") -> Builder:
    """The builder of a name, or the first that works.

    Raises:
        ImageError: it is not there or does not work; with the reason for each that was tried.
    """
    if name and name not in NAMES:
        raise ImageError(f"no builder '{name}'", where="--builder", available=NAMES)
    reasons = []
    for candidate in [name] if name else NAMES:
        if not (reason := _missing(candidate)):
            return Builder(candidate)
        reasons.append(f"{candidate} {reason}")
    hint = "install one of them, or start Docker; Debian: apt-get install podman"
    raise ImageError("nothing here can build images:\n" + "\n".join(reasons), where="--builder", hint=hint)


def _missing(name: str) -> str:
    """Why a builder cannot be used; empty when it can."""
    if shutil.which(name) is None:
        return "is not installed"
    command = ["docker", "version", "--format", "{{.Server.Version}}"] if name == "docker" else [name, "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer: {error}"
    if done.returncode == 0:
        return ""
    said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
    return f"does not answer: {said.splitlines()[-1]}"


def _run(
    command: Sequence[str],
    watch: Callable[[str], None],
    what: str,
    where: str,
    hint: str,
    variables: Mapping[str, str] = {},
) -> None:
    """Run a command to its end and pass on its lines. Raises ImageError with the last of them when it fails."""
    last: collections.deque[str] = collections.deque(maxlen=_SHOWN)
    environment = {**os.environ, **variables}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            watch(line.rstrip("\n"))
            if line.strip():
                last.append(line.rstrip())
    if process.returncode:
        raise ImageError("\n".join([f"{what}:", *last]), where=where, hint=hint)
