"""Containers and pods: the operators that are built for steps, and runs with them."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml
from conftest import COMPONENTS, DAGS, HOME, PROJECT
from contract.cases import CLAIMS
from kubelet import Cluster as FakeCluster
from test_dags import ended, pulled

from turnout.airflow.runtimes import Process
from turnout.errors import TurnoutError
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.plan.task import make_task
from turnout.plan.values import Values
from turnout.spec.document import read_file
from turnout.spec.step_contract import Run, State

ROOT = HOME / "root"
TEMPLATE = {
    "metadata": {"labels": {"stage": "test"}},
    "spec": {
        "serviceAccountName": "pipelines",
        "volumes": [{"name": "root", "hostPath": {"path": str(ROOT)}}],
        "containers": [
            {"name": name, "volumeMounts": [{"name": "root", "mountPath": str(ROOT)}]} for name in ("base", "launcher")
        ],
    },
}


@pytest.fixture(scope="module")
def compiled() -> Path:
    sources = [f"tests/examples/demanding.py:{name}" for name in ("demanding", "sized", "staged")]
    subprocess.run([COMPONENTS / "turnout", "compile", *sources, "--out", DAGS], cwd=PROJECT, check=True)
    claims = "tests/contract/shapes.py:claims"
    subprocess.run([COMPONENTS / "turnout", "compile", claims, "--out", DAGS], cwd=PROJECT, check=True)
    return DAGS


def task_and_settings(path: Path, **parameters: Any) -> tuple[Any, dict[str, Any]]:
    """The only step of a pipeline as a task, and its settings."""
    plan = link(read_file(path))
    (step,) = plan.steps()
    values = Values(plan, {name: item.default for name, item in plan.parameters.items()} | parameters, {})
    run = Run(plan.name, "run", "2026-01-01T00:00:00Z")
    return make_task(step, values.resolve_all(step.inputs, ()), run), values.settings(step.kubernetes, ())


def pod_of(operator: Any) -> dict[str, Any]:
    from kubernetes.client import ApiClient

    return ApiClient().sanitize_for_serialization(operator.build_pod_request_obj(dry_run=True))


def serialized(operator: Any) -> dict[str, Any]:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("serialized", schedule=None) as dag:
        dag.add_task(operator)
    return DagSerialization.to_dict(dag)


@pytest.fixture
def demanding(compiled: Path, tmp_path: Path) -> Any:
    from turnout.airflow.kubernetes import pod_operator
    from turnout.runtimes.kubernetes import Cluster

    template = json.loads(json.dumps(TEMPLATE).replace(str(ROOT), str(tmp_path)))
    task, settings = task_and_settings(compiled / "demanding.yaml", name="mine")
    store = ArtifactStore(str(tmp_path))
    return pod_operator(task, settings, store, Cluster("ml", "turnout:1", template), "kubernetes_default")


def test_a_pod_has_every_setting_of_its_step(demanding: Any, tmp_path: Path) -> None:
    pod = pod_of(demanding)
    spec, metadata = pod["spec"], pod["metadata"]
    (base,) = spec["containers"]
    first, beside = spec["initContainers"]
    assert {"team": "ml", "stage": "test"}.items() <= metadata["labels"].items()
    assert metadata["annotations"]["note"] == "x"
    assert metadata["annotations"]["pipelines.kubeflow.org/run_name"] == "run"
    assert metadata["labels"]["pipelines.kubeflow.org/v2_component"] == "true"
    assert metadata["labels"]["pipeline/runid"] == "run"
    assert metadata["namespace"] == "ml"
    assert spec["serviceAccountName"] == "pipelines"
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] == 60
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["imagePullSecrets"] == [{"name": "mine"}, {"name": "other"}]
    assert spec["tolerations"] == [
        {"key": "x", "operator": "Exists"},
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 30},
    ]
    assert spec["affinity"] == {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 5,
                    "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
                }
            ],
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
            },
        }
    }
    assert base["image"] == "alpine:3"
    assert base["imagePullPolicy"] == "Always"
    assert base["securityContext"] == {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": True}
    assert base["resources"] == {
        "limits": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "requests": {"cpu": "500m", "memory": "512Mi"},
    }
    assert base["command"][3:] == [
        "/turnout", "sh", "-c", 'echo "$0" > "$1"', "mine", "/turnout/.launcher/parameters/said",
    ]  # fmt: skip
    variables = {item["name"]: item.get("value") or item["valueFrom"] for item in base["env"]}
    assert variables["PLAIN"] == "1"
    assert variables["KEY"] == {"secretKeyRef": {"name": "keys", "key": "key", "optional": True}}
    assert variables["ROWS"] == {"configMapKeyRef": {"name": "mine", "key": "rows"}}
    assert variables["POD"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    volumes = {item["name"]: item for item in spec["volumes"]}
    mounts = {item["mountPath"]: (volumes[item["name"]], item.get("subPath")) for item in base["volumeMounts"]}
    sources = {
        path: ({key: value for key, value in volume.items() if key != "name"}, sub)
        for path, (volume, sub) in mounts.items()
    }
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }
    template = {"metadata": {"labels": {"a": "b"}}, "spec": claim}
    assert sources == {
        str(tmp_path): ({"hostPath": {"path": str(tmp_path)}}, None),
        "/turnout": ({"emptyDir": {}}, None),
        "/secret": ({"secret": {"secretName": "mine", "optional": False}}, None),
        "/map": ({"configMap": {"name": "map", "optional": True}}, None),
        "/data": ({"persistentVolumeClaim": {"claimName": "mine"}}, "s"),
        "/fixed": ({"persistentVolumeClaim": {"claimName": "fixed"}}, None),
        "/again": ({"persistentVolumeClaim": {"claimName": "fixed"}}, None),
        "/scratch": ({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, None),
        "/ephemeral": ({"ephemeral": {"volumeClaimTemplate": template}}, None),
    }
    assert (first["image"], beside["image"]) == ("turnout:1", "turnout:1")
    assert first["command"][:3] == ["turnout", "stage", "in"]
    assert beside["command"][:3] == ["turnout", "stage", "out"]
    assert beside["restartPolicy"] == "Always"


def test_a_pod_is_valid_and_its_operator_can_be_written_down(demanding: Any) -> None:
    kubernetes_validate.validate(pod_of(demanding), "1.33", strict=True)
    assert demanding.deferrable
    assert "KubernetesPodOperator" in str(serialized(demanding))


def test_a_container_has_the_settings_that_docker_knows(compiled: Path, tmp_path: Path) -> None:
    from turnout.runtimes.container import container_of

    task, settings = task_and_settings(compiled / "sized.yaml", name="mine")
    container = container_of(task, settings, ["sh", "-c", "true"], {"SECRET": "hush"}, tmp_path)
    assert (container.image, container.entrypoint, container.command) == ("alpine:3", ["sh"], ["-c", "true"])
    assert container.cpus == 2
    assert container.mem_limit == 2**30
    assert container.user == "1000:1000"
    assert container.pull_policy == "Always"
    assert container.labels == {"team": "ml", "note": "x"}
    assert [dict(item) for item in container.device_requests] == [
        {"Driver": "nvidia", "Count": 1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}
    ]
    mounts = {item["Target"]: item for item in container.mounts}
    assert (mounts[str(tmp_path)]["Source"], mounts[str(tmp_path)]["Type"]) == (str(tmp_path), "bind")
    assert (mounts["/data"]["Source"], mounts["/data"]["VolumeOptions"]["Subpath"]) == ("mine", "s")
    assert (mounts["/scratch"]["Type"], mounts["/scratch"]["TmpfsOptions"]["SizeBytes"]) == ("tmpfs", 2**30)
    assert mounts["/ephemeral"]["Type"] == "volume"
    assert "hush" not in str(container)


# --- runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bag(compiled: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(compiled / "staged.py"), bundle_name="dags-folder")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCluster]:
    ROOT.mkdir(exist_ok=True)
    image = {"PATH": f"{COMPONENTS}:{os.environ['PATH']}", "PYTHONPATH": os.environ["PYTHONPATH"]}
    fake = FakeCluster(image, {"warehouse": {"password": "hush"}})
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(TEMPLATE))
    connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(fake.kube_config)}}
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__TURNOUT__RUNTIME", "kubernetes")
    monkeypatch.setenv("AIRFLOW__TURNOUT__LAUNCHER_IMAGE", "turnout:1")
    monkeypatch.setenv("AIRFLOW__TURNOUT__POD_TEMPLATE", str(tmp_path / "pod.yaml"))
    monkeypatch.setenv("AIRFLOW__TURNOUT__NAMESPACE", "ml")
    yield fake
    fake.stop()


def outcome_of(run: Any, step: str) -> Any:
    found = ArtifactStore(str(ROOT)).outcome(Run("staged", run.run_id, ""), step)
    assert found is not None
    return found


def test_steps_run_in_pods_that_stage_their_own_artifacts(bag: Any, cluster: FakeCluster) -> None:
    state, tasks, run = ended(bag, "staged")
    assert (state, tasks) == ("success", {"write": "success", "read": "success"})
    assert pulled(run, "write", "count") == 1
    assert pulled(run, "read", "said") == "hush\n"
    assert Path(outcome_of(run, "write").log).read_text() == "written\n"
    for pod in cluster.made:
        kubernetes_validate.validate(pod, "1.33", strict=True)
        assert "hush" not in str(pod)
    assert cluster.pods == {}  # they are removed when they have ended


def test_claims_of_volumes_are_made_and_removed(compiled: Path, cluster: FakeCluster) -> None:
    from airflow.dag_processing.dagbag import DagBag

    state, tasks, run = ended(DagBag(str(compiled / "claims.py"), bundle_name="dags-folder"), "claims")
    assert state == "success"
    assert {tasks[name] for name in CLAIMS.steps} == {"success"}
    assert pulled(run, "append-2", "Output") == CLAIMS.outputs["Output"]
    assert pulled(run, "createpvc", "name").endswith("-lines")
    assert cluster.claims == cluster.pods == {}
    assert len(cluster.made) == 2


def test_a_command_that_fails_in_a_pod_fails_its_task(bag: Any, cluster: FakeCluster) -> None:
    state, tasks, run = ended(bag, "staged", {"mode": "fail"})
    assert (state, tasks["read"]) == ("failed", "failed")
    outcome = outcome_of(run, "read")
    assert outcome.state is State.FAILED
    assert outcome.error == "the command ended with status 3"


def test_a_container_that_is_killed_leaves_an_outcome(bag: Any, cluster: FakeCluster) -> None:
    def kill() -> None:
        for _ in range(600):
            busy = [
                name
                for name, pod in cluster.pods.items()
                if "sleep" in pod["spec"]["containers"][0]["command"] and pod["status"]["phase"] == "Running"
            ]
            if busy:
                time.sleep(1)
                cluster.kill_base(busy[0])
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    killer.start()
    state, _, run = ended(bag, "staged", {"mode": "sleep"})
    killer.join()
    assert state == "failed"
    assert "the container was ended before its command was" in outcome_of(run, "read").error


def test_what_a_runtime_cannot_do_is_refused_by_name(
    bag: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    other = DagBag(str(DAGS / "demanding.py"), bundle_name="dags-folder")
    monkeypatch.setenv("AIRFLOW__TURNOUT__RUNTIME", "process")
    state, _, _ = ended(other, "demanding")
    assert state == "failed"
    said = caplog.text + "".join(capsys.readouterr())
    assert "kubernetes.secretAsVolume" in said
    assert "kubernetes.fieldPathAsEnv" in said


@pytest.mark.parametrize(
    ("connection", "variables"),
    [
        ({"host": "spark://127.0.0.1", "port": 7077}, {"SPARK_MASTER": "spark://127.0.0.1:7077"}),
        ({"host": "sc://spark:15002"}, {"SPARK_REMOTE": "sc://spark:15002"}),
        ({"host": "local[2]", "extra": {"deploy-mode": "client"}}, {"SPARK_MASTER": "local[2]"}),
        ({"host": "yarn", "extra": {"deploy-mode": "cluster"}}, None),
    ],
)
def test_a_step_has_the_address_of_the_connection_to_spark(
    connection: dict[str, Any], variables: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__TURNOUT__SPARK_CONN_ID", "cluster")
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", json.dumps({"conn_type": "spark", **connection}))
    view: Any = None  # not needed for variables
    step: Any = SimpleNamespace(path="a")
    process = Process(view, step, {})
    if variables is not None:
        assert process.environment() == variables
        return
    with pytest.raises(TurnoutError, match=r"a step is its own driver(?s:.)*leave deploy-mode out"):
        process.environment()
