"""The command of a pod, run as the manifests say: not root, no capabilities, a file system that cannot be written.

Without an image: in mounts of its own the whole machine is read-only, but for what the manifests mount.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import workers
from conftest import copy_mlflow
from load import ask
from paths import PROJECT
from sklearn.dummy import DummyClassifier
from waiting import free_ports, wait

from turnout.serving.release import Release, Served
from turnout.serving.targets import manifests
from turnout.serving.targets.cluster_settings import ClusterSettings

USER = "10001"
"""The one of docker/components.Dockerfile; its group is 0."""

PROGRAMS = ("unshare", "setpriv", "mount")
missing = os.geteuid() != 0 or any(shutil.which(program) is None for program in PROGRAMS)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing, reason=f"needs root, and {', '.join(PROGRAMS)}")]

POD = """\
set -e
registry=$1
shift
mount -t tmpfs tmpfs /mnt
mkdir /mnt/kept
mount -t tmpfs tmpfs /mnt/kept
number=0
needed=""
while [ "$1" != -- ]; do
  number=$((number + 1)); needed="$needed $1"; mkdir /mnt/kept/$number; mount --bind "$1" /mnt/kept/$number; shift
done
shift
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/turnout /run/kept
mount --move /mnt/kept /run/kept
mount -t tmpfs -o mode=0777 tmpfs /run/turnout
mkdir -m 0777 /run/turnout/tmp
mount --bind /run/turnout/tmp /tmp
mount -t tmpfs -o mode=0755 tmpfs /root
number=0
for place in $needed; do
  number=$((number + 1)); mkdir -p "$place"; mount --bind /run/kept/$number "$place"
done
while read -r _ _ _ _ place _; do
  case $place in
    /proc* | /sys* | /dev* | /run/turnout | /tmp) ;;
    *) mount -o remount,bind,ro "$place" 2> /dev/null || true ;;
  esac
done < /proc/self/mountinfo
cp "$registry" /run/turnout/mlflow.db
chmod 0666 /run/turnout/mlflow.db
cd /
exec setpriv --reuid 10001 --regid 0 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all env -i "$@"
"""
"""Arguments: the registry, the directories that are needed, `--`, and the environment with the command."""


def confined(registry: Path, needed: list[Path], *command: str) -> list[str]:
    """A command as a pod runs it."""
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    return [*alone, "sh", "-c", POD, "pod", str(registry), *map(str, needed), "--", *command]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> tuple[Path, list[Path]]:
    """A registry with a model, and the directories that a pod needs of this machine."""
    import mlflow

    directory = tmp_path_factory.mktemp("pod")
    for place in (directory, *directory.parents):
        if place.name.startswith(("pytest-", "pod")):
            place.chmod(0o755)
    copy_mlflow(empty_mlflow, directory / "mlflow.db", directory)
    rows = pd.DataFrame({"size": [0.0, 1.0], "weight": [1.0, 2.0]})
    model = workers.save(DummyClassifier(strategy="most_frequent").fit(rows, [1, 1]), rows, directory / "model")
    client = mlflow.MlflowClient(f"sqlite:///{directory}/mlflow.db", f"sqlite:///{directory}/mlflow.db")
    client.create_registered_model("small")
    client.create_model_version("small", str(model))
    return directory / "mlflow.db", [PROJECT, Path(sys.base_prefix), directory]


def test_a_pod_serves_and_ends_as_the_manifests_say(
    served: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, needed = served
    port, page = free_ports(2)
    monkeypatch.setattr(manifests, "PORT", port)
    monkeypatch.setattr(manifests, "METRICS_PORT", page)
    release = Release("small", (Served("1", 100.0),))
    settings = ClusterSettings(image="here", tracking_uri="sqlite:////var/run/turnout/mlflow.db")
    made: dict[str, Any] = manifests.container(release, release.stable, settings)
    assert made["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in made["volumeMounts"]} == {"/var/run/turnout", "/tmp"}
    image = [f"PATH={Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONUNBUFFERED=1", "HOME=/home/turnout"]
    variables = [f"{item['name']}={item['value']}" for item in made["env"]]
    probe = "touch /x /etc/x /home/x /root/x /var/x /opt/x 2> /dev/null; [ ! -e /x -a ! -e /etc/x ] && id -u"
    shown = subprocess.run(confined(registry, needed, *image, "sh", "-c", probe), capture_output=True, text=True)
    assert (shown.stdout.strip(), shown.returncode) == (USER, 0), shown.stderr
    log = tmp_path / "pod.log"
    with log.open("wb") as out:
        command = confined(registry, needed, *image, *variables, *made["command"], *made["args"])
        pod = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:

        def ready() -> bool:
            if pod.poll() is not None:
                return True
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{made['readinessProbe']['httpGet']['path']}"):
                    return True
            except OSError:
                return False

        wait(ready, "the pod", 40)
        assert pod.poll() is None, log.read_text()
        assert ask(port, body=json.dumps({"size": 1, "weight": 1}).encode())[0] == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/metrics") as answer:
            assert "turnout_serving_ready" in answer.read().decode()
        main = int(Path(f"/proc/{pod.pid}/task/{pod.pid}/children").read_text().split()[0])
        os.kill(main, 15)  # as kubelet: to the first process of the pod
        began = time.monotonic()
        pod.wait(120)
        assert (pod.returncode, time.monotonic() - began < 60) == (0, True), log.read_text()
    finally:
        pod.kill()
        pod.wait()
    said = log.read_text()
    assert [word for word in ("Traceback", "Read-only", "ermission") if word in said] == [], said
