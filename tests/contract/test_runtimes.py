"""Cases of the contract on the local track with each runtime, on an engine and a cluster of the tests' own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from docker_engine import Engine
from kubelet import Cluster
from paths import TESTS

from contract.cases import CASES, CLAIMS, Case
from contract.test_local import SECRETS, keeps
from turnout.tracks.local.runner import Options

IMAGE = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(TESTS),
    "HOME": os.environ.get("HOME", "/"),
}
IMAGES = ["turnout-python-components:0.1.0", "alpine:3", "python:3.11"]
# One of each: artifacts, loops, retries, time-out, failure with exit, importer, texts that a shell would read, secrets.
NAMES = (
    "artifact_branches",
    "loop_of_artifacts",
    "retried",
    "timed_out",
    "exit_after_failure",
    "imported",
    "templates-hostile",
    "secrets",
)
CHOSEN = [case for case in CASES if case.id in NAMES]


@pytest.fixture
def options(tmp_path: Path) -> Iterator[Callable[[str], Options]]:
    """Makes the options of a run with a runtime."""
    root = tmp_path / "root"
    root.mkdir()
    template = {
        "kind": "Pod",
        "spec": {
            "volumes": [{"name": "root", "hostPath": {"path": str(root)}}],
            "containers": [
                {"name": name, "volumeMounts": [{"name": "root", "mountPath": str(root)}]}
                for name in ("base", "launcher")
            ],
        },
    }
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(template))
    engine, cluster = Engine(IMAGE, IMAGES), Cluster(IMAGE, {**SECRETS.secrets, **SECRETS.config_maps})
    (tmp_path / "kube.json").write_text(json.dumps(cluster.kube_config))
    settings = {
        "process": {},
        "docker": {"docker_host": engine.host},
        "kubernetes": {
            "launcher_image": "turnout:1",
            "pod_template": str(tmp_path / "pod.yaml"),
            "kube_config": str(tmp_path / "kube.json"),
        },
    }
    with engine:
        yield lambda runtime: Options(secrets=SECRETS, runtime=runtime, settings=settings[runtime])
        assert engine.containers == {}
        assert cluster.pods == {}
        assert cluster.claims == engine.volumes == {}
    cluster.stop()


@pytest.mark.parametrize("runtime", ["process", "docker", "kubernetes"])
@pytest.mark.parametrize("case", CHOSEN, ids=[case.id for case in CHOSEN])
def test_the_contract(case: Case, runtime: str, options: Callable[[str], Options], tmp_path: Path) -> None:
    keeps(case, tmp_path, options(runtime))


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
def test_claims_of_volumes_are_made_and_removed(
    runtime: str, options: Callable[[str], Options], tmp_path: Path
) -> None:
    keeps(CLAIMS, tmp_path, options(runtime))
