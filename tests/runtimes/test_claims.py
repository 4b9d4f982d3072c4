"""CreatePVC and DeletePVC on a cluster and an engine of the tests' own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_engine import Engine
from kubelet import Cluster

from turnout.execution.store import ArtifactStore
from turnout.runtimes import docker, kubernetes
from turnout.runtimes.claims import LABEL, ClaimAttempt, ClusterClaims, EngineClaims, claim_of, manifest
from turnout.spec.command import CREATE_PVC, DELETE_PVC
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import CachingOptions, ComponentSpec
from turnout.spec.step_contract import Outcome, Run, Task

NEEDED = {"access_modes": ["ReadWriteOnce"], "size": "1Gi", "storage_class_name": ""}


def task_of(image: str, run_id: str = "run", **parameters: Any) -> Task:
    info = Run("pipeline", run_id, "2026-01-01T00:00:00Z")
    return Task(info, "step", ComponentSpec(), PipelineContainerSpec(image=image), parameters, {})


@pytest.fixture(params=["cluster", "engine"])
def claims(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Something that makes claims, and those that there are."""
    if request.param == "engine":
        with Engine({}) as engine:
            yield EngineClaims(docker.Engine(engine.host).client), engine.volumes
        return
    fake = Cluster({}, {})
    (tmp_path / "kube.json").write_text(json.dumps(fake.kube_config))
    yield ClusterClaims(kubernetes.Cluster("ml", "", kube_config=str(tmp_path / "kube.json")).client), fake.claims
    fake.stop()


def done(claims: Any, task: Task, tmp_path: Path) -> Outcome:
    store = ArtifactStore(str(tmp_path / "root"))
    outcome = ClaimAttempt(task, store, claims).run(lambda line: None)
    assert store.outcome(task.run, task.path) == outcome
    assert Path(outcome.log).read_text().strip()
    return outcome


def test_a_claim_is_made_and_removed_by_its_name(claims, tmp_path: Path) -> None:
    made, there = claims
    outcome = done(made, task_of(CREATE_PVC, pvc_name="mine", **NEEDED), tmp_path)
    assert outcome.parameters == {"name": "mine"}
    assert list(there) == ["mine"]
    assert done(made, task_of(DELETE_PVC, pvc_name="mine"), tmp_path).state == "SUCCEEDED"
    assert there == {}
    again = done(made, task_of(DELETE_PVC, pvc_name="mine"), tmp_path)
    assert again.state == "FAILED"
    assert "cannot be removed: there is none @ mine" in again.error


def test_what_an_interrupted_attempt_made_is_its_own_and_another_runs_is_not(claims, tmp_path: Path) -> None:
    made, there = claims
    task = task_of(CREATE_PVC, pvc_name="mine", **NEEDED)
    assert done(made, task, tmp_path).state == done(made, task, tmp_path).state == "SUCCEEDED"
    other = done(made, task_of(CREATE_PVC, "other", pvc_name="mine", **NEEDED), tmp_path)
    assert other.state == "FAILED"
    assert re.search(r"there is a (claim|volume) of that name already @ mine", other.error)
    assert len(there) == 1


def test_a_name_is_made_from_the_step_and_its_run(claims, tmp_path: Path) -> None:
    made, there = claims
    suffixed = [task_of(CREATE_PVC, run, pvc_name_suffix="-x", **NEEDED) for run in ("one", "two")]
    names = [done(made, task, tmp_path).parameters["name"] for task in [*suffixed, suffixed[0]]]
    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch(r"[0-9a-f-]{36}-x", name) for name in names)
    assert {*there} == {*names}
    assert len(done(made, task_of(CREATE_PVC, "three", **NEEDED), tmp_path).parameters["name"]) == 36


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"pvc_name": "a", "pvc_name_suffix": "b"}, "a name, or a suffix of one, not both @ step.pvc_name"),
        ({"access_modes": ["Often"]}, "no access mode 'Often' @ step.access_modes\n  available here: ReadWriteOnce"),
    ],
)
def test_a_claim_that_cannot_be_fails_its_step(claims, tmp_path: Path, parameters: dict[str, Any], what: str) -> None:
    outcome = done(claims[0], task_of(CREATE_PVC, **{**NEEDED, **parameters}), tmp_path)
    assert outcome.state == "FAILED"
    assert what in outcome.error
    assert claims[1] == {}


def test_a_claim_has_all_that_was_asked_for(tmp_path: Path) -> None:
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"}
    task = task_of(
        CREATE_PVC,
        pvc_name="mine",
        **{**NEEDED, "storage_class_name": "fast"},
        volume_name="disk-1",
        annotations={"team": "ml"},
        data_source=source,
    )
    made = manifest(claim_of(task, ArtifactStore(str(tmp_path))))
    assert made["metadata"]["annotations"] == {"team": "ml"}
    assert len(made["metadata"]["labels"][LABEL]) == 40
    assert made["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
        "volumeName": "disk-1",
        "dataSource": source,
    }
    plain = manifest(claim_of(task_of(CREATE_PVC, access_modes=["ReadOnlyMany"], size="1Gi"), ArtifactStore("x")))
    assert "storageClassName" not in plain["spec"]
    outcome = done(EngineClaims(lambda: None), task, tmp_path)
    assert "Docker makes no volume from another @ mine" in outcome.error


def test_who_does_not_answer_is_told(tmp_path: Path) -> None:
    nowhere = EngineClaims(docker.Engine("tcp://127.0.0.1:1").client)
    assert "the volume cannot be made" in done(nowhere, task_of(CREATE_PVC, **NEEDED), tmp_path).error
    (tmp_path / "kube.yaml").write_text("{}")
    lost = ClusterClaims(kubernetes.Cluster("ml", "", kube_config=str(tmp_path / "kube.yaml")).client)
    assert "the cluster does not answer" in done(lost, task_of(DELETE_PVC, pvc_name="x"), tmp_path).error


def test_claims_never_come_from_the_cache(tmp_path: Path) -> None:
    from turnout.runtimes.steps import key_in_image

    for image in (CREATE_PVC, DELETE_PVC):
        assert key_in_image(task_of(image, pvc_name="x", **NEEDED), CachingOptions(enable_cache=True)) is None
