"""The compose file's services, started: `make test-containers`.

Airflow's and MLflow's images are ours, with stand-ins for the two that cannot be pulled where the tests run: Debian's
PostgreSQL, and moto for the object store.

Containers share the machine's network here, so each service's name stands for 127.0.0.1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import PROJECT
from podman import BASE, Podman

pytestmark = pytest.mark.containers

BIN = Path(sys.executable).parent
DOCKER = PROJECT / "docker"
COMPONENTS_IMAGE = "localhost/turnout-python-components:test"
AIRFLOW_IMAGE = "localhost/turnout-airflow:test"
WAIT_S = 900
STAGES = (("postgres", "object-store"), ("bucket",), ("airflow-init", "mlflow"),
          ("api-server", "scheduler", "dag-processor", "triggerer"))  # fmt: skip
"""Each after those before it: Debian's podman cannot wait for a service's health, as the compose file asks."""

POSTGRES = """\
ARG BASE
FROM ${BASE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql \\
    && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ || true
COPY start.sh /start.sh
CMD ["sh", "-e", "/start.sh"]
"""
START = """\
data=/var/lib/postgresql/data
chown postgres $data
as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
if [ ! -s $data/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    chmod 644 /tmp/password
    as initdb --username postgres --pwfile /tmp/password --auth scram-sha-256 --pgdata $data
    as pg_ctl --pgdata $data --wait --options "-c listen_addresses='' -k /tmp" start
    for file in /docker-entrypoint-initdb.d/*.sh; do as env PGHOST=/tmp PGPASSWORD="$POSTGRES_PASSWORD" sh "$file"; done
    as pg_ctl --pgdata $data --wait stop
fi
exec setpriv --reuid postgres --regid postgres --clear-groups postgres -D $data -c listen_addresses=127.0.0.1 -k /tmp
"""
OBJECT_STORE = """\
ARG BASE
FROM ${BASE}
RUN python3 -m venv /opt/moto && /opt/moto/bin/pip install --quiet 'moto[server,s3]'
ENTRYPOINT ["/opt/moto/bin/moto_server", "-H", "127.0.0.1", "-p", "8333"]
"""

DAG = """\
from airflow.sdk import dag, task


@dag(schedule=None, is_paused_upon_creation=False)
def whole():
    @task
    def store():
        import json, os, urllib.request
        from airflow.sdk import ObjectStoragePath

        path = ObjectStoragePath("s3://turnout/hello.txt")
        path.write_text("hello")
        with urllib.request.urlopen(os.environ["MLFLOW_TRACKING_URI"] + "/health") as answer:
            return [path.read_text(), answer.status]

    store()


whole()
"""


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    podman = Podman(PROJECT / ".turnout" / "containers")
    podman.make_base()
    empty(podman)
    yield podman
    empty(podman)


def empty(podman: Podman) -> None:
    """Remove all containers and their volumes: a database knows the passwords that it was made with."""
    podman.podman("rm", "--all", "--force", "--time", "5")
    podman.podman("volume", "prune", "--force")


@pytest.fixture(scope="module")
def images(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> None:
    context = tmp_path_factory.mktemp("stand-ins")
    (context / "start.sh").write_text(START)
    (context / "postgres").write_text(POSTGRES)
    (context / "object-store").write_text(OBJECT_STORE)
    podman.build(DOCKER / "components.Dockerfile", COMPONENTS_IMAGE, "EXTRAS=train s3", "PACKAGES=libgomp1")
    podman.build(DOCKER / "airflow.Dockerfile", AIRFLOW_IMAGE, f"COMPONENTS={COMPONENTS_IMAGE}", "PACKAGES=libgomp1")
    for name in ("postgres", "object-store"):
        podman.build(context / name, f"localhost/{name}:stand-in", f"BASE={BASE}", context=context)


@pytest.fixture(scope="module")
def directory(images: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `up` is given: the compose file as it is, its secrets, and what is other on this machine."""
    directory = tmp_path_factory.mktemp("compose")
    subprocess.run([sys.executable, DOCKER / "make_env.py", directory / ".env"], check=True)
    (directory / "dags").mkdir(mode=0o755)
    (directory / "dags" / "whole.py").write_text(DAG)
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    hosts = [f"{name}:127.0.0.1" for name in services]
    other: dict[str, Any] = {name: {"network_mode": "host", "extra_hosts": hosts} for name in services}
    other["postgres"]["image"] = "localhost/postgres:stand-in"
    other["object-store"] |= {
        "image": "localhost/object-store:stand-in",
        "command": [],
        "healthcheck": {"test": "TEST"},
    }
    check = "import urllib.request as r; r.urlopen('http://127.0.0.1:8333/moto-api/')"
    text = yaml.safe_dump({"services": other}).replace(
        "TEST", f"!override {json.dumps(['CMD', 'python3', '-c', check])}"
    )
    (directory / "other.yaml").write_text(text)
    return directory


def compose(podman: Podman, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "podman-compose", "--env-file", directory / ".env", "--file", DOCKER / "compose.yaml"]
    variables = {"COMPONENTS_IMAGE": COMPONENTS_IMAGE, "AIRFLOW_IMAGE": AIRFLOW_IMAGE, "DAGS": str(directory / "dags")}
    return subprocess.run([*command, "--file", directory / "other.yaml", *arguments], text=True, capture_output=True,
                          env={**podman.environment, **variables}, timeout=WAIT_S, check=False)  # fmt: skip


def check_health(podman: Podman, ended: threading.Event) -> None:
    """Podman has systemd ask its containers for their health, which is not on this machine."""
    while not ended.wait(3):
        for name in podman.podman("ps", "--format", "{{.Names}}").split():
            subprocess.run(
                ["podman", "healthcheck", "run", name], env=podman.environment, capture_output=True, check=False
            )


def states_of(podman: Podman, services: Sequence[str]) -> dict[str, str]:
    listed = json.loads(podman.podman("ps", "--all", "--format", "json"))
    found = {item["Labels"]["io.podman.compose.service"]: item["Status"] for item in listed}
    return {name: found.get(name, "") for name in services}


def as_it_shall(state: str) -> bool:
    """Whether a service is healthy, or has done its work."""
    return "(healthy)" in state or state.startswith("Exited (0)")


def ask(path: str, token: str = "", body: Any = None) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:8080{path}", headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, data, timeout=120) as answer:
        return json.load(answer)


def test_all_services_start_and_a_dag_runs_with_the_store_and_mlflow(podman: Podman, directory: Path) -> None:
    ended = threading.Event()
    checking = threading.Thread(target=check_health, args=(podman, ended))
    checking.start()
    deadline = time.monotonic() + WAIT_S
    try:
        for services in STAGES:
            started = compose(podman, directory, "up", "--detach", "--no-deps", *services)
            assert started.returncode == 0, started.stderr[-3000:]
            while not all(map(as_it_shall, (states := states_of(podman, services)).values())):
                if time.monotonic() > deadline:
                    pytest.fail(f"{states}\n{compose(podman, directory, 'logs', '--tail', '30').stdout[-6000:]}")
                time.sleep(2)
        password = next(line.partition("=")[2] for line in (directory / ".env").read_text().splitlines()
                        if line.startswith("AIRFLOW_ADMIN_PASSWORD"))  # fmt: skip
        token = ask("/auth/token", body={"username": "admin", "password": password})["access_token"]
        run = ask("/api/v2/dags/whole/dagRuns", token, {"logical_date": None})["dag_run_id"]
        while (state := ask(f"/api/v2/dags/whole/dagRuns/{run}", token)["state"]) in ("queued", "running"):
            assert time.monotonic() < deadline
            time.sleep(2)
        assert state == "success"
        value = ask(f"/api/v2/dags/whole/dagRuns/{run}/taskInstances/store/xcomEntries/return_value", token)["value"]
        assert value == json.dumps(["hello", 200]) or value == ["hello", 200]
    except OSError:
        print(compose(podman, directory, "logs", "--tail", "60").stdout[-20_000:])
        raise
    finally:
        ended.set()
        checking.join()
        down = compose(podman, directory, "down", "--volumes", "--timeout", "20")
    assert down.returncode == 0, down.stderr[-3000:]
    assert podman.containers() == []
