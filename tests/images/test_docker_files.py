"""The files of `docker/`, by what can be said of them without an engine; `make test-containers` builds them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import PROJECT

DOCKER = PROJECT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE = DOCKER / "compose.yaml"
BIN = Path(sys.executable).parent
ONCE = {"airflow-init", "bucket"}
"""Services that do their work and end."""


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, without comments, each in one line."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word]


def test_the_images_are_those_of_components_and_of_airflow() -> None:
    assert [path.name for path in DOCKERFILES] == ["airflow.Dockerfile", "components.Dockerfile"]


def test_hadolint_has_nothing_to_say() -> None:
    command = [BIN / "hadolint", "--no-color", "--config", DOCKER / ".hadolint.yaml", *DOCKERFILES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_non_root_from_the_lock_and_says_what_is_in_it(file: Path) -> None:
    found = instructions(file)
    named = [word for word, _ in found]
    assert named.count("FROM") >= 2
    assert [rest for word, rest in found if word == "USER"][-1] == "10001:0"
    assert "HEALTHCHECK" in named
    assert "ADD" not in named
    text = " ".join(rest for word, rest in found if word == "RUN")
    lock = f"requirements/{file.stem}.txt"
    assert f"--constraint {lock}" in text
    assert lock in " ".join(rest for word, rest in found if word == "COPY")
    assert text.count("apt-get update") == text.count("rm -rf /var/lib/apt/lists/*")
    assert "cyclonedx-py environment" in text
    labels = " ".join(rest for word, rest in found if word == "LABEL")
    for label in ("title", "version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert "turnout.sbom=" in labels


def test_images_have_the_version_of_turnout() -> None:
    from turnout import __version__

    for file in (*DOCKERFILES, COMPOSE):
        versions = re.findall(r"turnout-[a-z-]+:([0-9][\w.]*)", file.read_text())
        assert versions
        assert set(versions) == {__version__}
    for file in DOCKERFILES:
        assert ("ARG", f"VERSION={__version__}") in instructions(file)


def test_the_driver_of_the_database_is_the_one_that_is_locked() -> None:
    (locked,) = re.findall(r"^psycopg2-binary==\S+", (PROJECT / "requirements" / "airflow.txt").read_text(), re.M)
    assert locked in (DOCKER / "components.Dockerfile").read_text()


def test_the_context_of_builds_is_code_alone() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert kept == {"turnout", "requirements", "pyproject.toml", "README.md", "LICENSE"}


def secrets(path: Path) -> dict[str, str]:
    done = subprocess.run([sys.executable, DOCKER / "make_env.py", path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}\n"
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def composed(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """The compose file as podman-compose reads it, with nothing but what a file of variables gives."""
    command = [BIN / "podman-compose", *options, "--file", COMPOSE, "config"]
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, env=bare, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("compose") / "env"
    secrets(file)
    done = composed("--env-file", file)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout)["services"])


def test_the_compose_file_has_airflow_s_services_and_what_they_need(services: dict[str, Any]) -> None:
    assert services.keys() == ONCE | {
        "api-server", "dag-processor", "mlflow", "object-store", "postgres", "scheduler", "triggerer"
    }  # fmt: skip
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys()
        for other, condition in service.get("depends_on", {}).items():
            once = condition["condition"] == "service_completed_successfully"
            assert once == (other in ONCE), f"{name} waits for {other}"


def test_services_listen_on_the_loopback_interface_alone(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_services_have_health_checks_pinned_images_and_no_rights(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert ("healthcheck" in service) == (name not in ONCE), name
        assert re.fullmatch(r"\S+:(?!latest)\S+", service["image"])
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert "privileged" not in service
        assert "docker.sock" not in str(service)


def test_no_secret_has_a_default(tmp_path: Path) -> None:
    made = secrets(tmp_path / "env")
    required = dict(re.findall(r"\$\{(\w+):\?([^}]*)\}", COMPOSE.read_text()))
    assert made.keys() == required.keys()
    assert set(required.values()) == {"run docker/make_env.py"}
    assert min(len(value) for value in made.values()) >= 40
    assert len(set(made.values())) == len(made)
    named = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    assert not {name for name in named - made.keys() if re.search("PASSWORD|SECRET|KEY", name)}
    refused = composed("--env-file", os.devnull)
    assert refused.returncode != 0
    assert "run docker/make_env.py" in refused.stdout + refused.stderr


def test_secrets_are_for_their_owner_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "env"
    before = secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = subprocess.run([sys.executable, DOCKER / "make_env.py", path], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert dict(line.split("=", 1) for line in path.read_text().splitlines()) == before
    assert secrets(tmp_path / "other") != before
