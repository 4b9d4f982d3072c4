"""The targets on a cluster, against a real API server; skipped without one.

KUBEBUILDER_ASSETS=$(setup-envtest use --print path) python -m pytest tests/serving/test_real_api_server.py
"""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from api_server import CORE, GATEWAY, KEDA, KSERVE
from kube_apiserver import ADMIN, ASSETS, USER, Server, running
from paths import PROJECT

from turnout.errors import ComponentError
from turnout.serving.release import Served, existing, with_split
from turnout.serving.targets.cluster import Cluster, ClusterState
from turnout.serving.targets.cluster_settings import cluster_settings
from turnout.serving.targets.kserve import KServeTarget
from turnout.serving.targets.kubernetes import KubernetesTarget
from turnout.serving.targets.manifests import label

pytestmark = pytest.mark.skipif(not ASSETS, reason="no API server: KUBEBUILDER_ASSETS names none")

GUIDE = PROJECT / "docs" / "guides" / "serving_on_a_cluster.md"
SETTINGS = {"image": "registry.example.com/team/flights:3", "tracking_uri": "http://mlflow:5000", "namespace": "models",
            "gateway": "infra/public", "ready_s": 20, "token_secret": "clients", "secrets": ["mlflow"],
            "prometheus": "http://prometheus:9090"}  # fmt: skip
BROKEN = "7"


def status_of_deployment(made: Any) -> Any:
    asked = made["spec"]["replicas"]
    ready = 0 if made["metadata"]["labels"]["app.kubernetes.io/version"] == label(BROKEN) else asked
    return {"replicas": asked, "updatedReplicas": asked, "readyReplicas": ready}


def status_of_service(made: Any) -> Any:
    canaries = [{"name": item["predictor"]["name"], "ready": True} for item in made["spec"].get("canary") or ()]
    return {"canaryStatuses": canaries, "conditions": [{"type": "Ready", "status": "True"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from kubernetes import client

    with running(tmp_path_factory.mktemp("kubernetes")) as server:
        server.bring({**CORE, **GATEWAY, **KEDA, **KSERVE})
        core, roles = client.CoreV1Api(server.client()), client.RbacAuthorizationV1Api(server.client())
        for namespace in ("models", "forbidden"):
            core.create_namespace({"metadata": {"name": namespace}})
        (text,) = re.findall(r"\n(    apiVersion: rbac.*(?:\n    .*)+)", GUIDE.read_text(encoding="utf-8"))
        role = yaml.safe_load(text)
        roles.create_namespaced_role("models", role)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}
        binding = {"metadata": {"name": "serving"}, "roleRef": reference, "subjects": [subject]}
        roles.create_namespaced_role_binding("models", binding)
        with (
            server.controlled("apps/v1", "Deployment", status_of_deployment),
            server.controlled("serving.kserve.io/v1beta1", "InferenceService", status_of_service),
        ):
            yield server


@pytest.fixture(autouse=True)
def as_the_role_allows(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.config(USER)))


def names(server: Server, monkeypatch: pytest.MonkeyPatch, model: str) -> dict[str, list[str]]:
    """What there is of a model, by kind."""
    with monkeypatch.context() as patch:
        patch.setenv("KUBECONFIG", str(server.config(ADMIN)))
        cluster = Cluster(cluster_settings(SETTINGS))
    found = {}
    for api, kinds in {**CORE, **GATEWAY, **KEDA, **KSERVE}.items():
        for kind in kinds:
            selector = f"app.kubernetes.io/instance={model}"
            items = cluster.kind(api, kind).get(namespace="models", label_selector=selector).items
            if items:
                found[kind] = sorted(item.metadata.name for item in items)
    return found


@pytest.mark.parametrize("autoscaling", ["hpa", "keda", "none"])
def test_a_release_is_taken_with_the_role_of_the_guide(
    server: Server, monkeypatch: pytest.MonkeyPatch, autoscaling: str
) -> None:
    model = f"flights-{autoscaling}"
    target = KubernetesTarget(cluster_settings({**SETTINGS, "autoscaling": autoscaling}), wait=0.05)
    target.deploy(model, "1", why="the first")
    target.deploy(model, "2", 2.5, why="a canary")
    target.deploy(model, "3", 100, shadow=True)
    with pytest.raises(ComponentError, match=f"version {BROKEN}: 0 of [12] pods answer"):
        KubernetesTarget(cluster_settings({**SETTINGS, "autoscaling": autoscaling, "ready_s": 1}), wait=0.05).deploy(
            model, BROKEN, 10
        )
    target.deploy(model, "2", why="as good")
    target.remove(model, "3")
    status = target.status(model)
    assert (status.versions, status.ready, status.previous) == ((Served("2", 100.0),), True, "1")
    scaler = {
        "hpa": {"HorizontalPodAutoscaler": [f"{model}-v2"]},
        "keda": {"ScaledObject": [f"{model}-v2"]},
        "none": {},
    }
    assert names(server, monkeypatch, model) == {
        "ConfigMap": [f"turnout-{model}"],
        "Deployment": [f"{model}-v2"],
        "HTTPRoute": [model],
        "PodDisruptionBudget": [f"{model}-v2"],
        "Service": [model, f"{model}-v2"],
        **scaler[autoscaling],
    }
    assert target.roll_back(model, why="errors") == "1"
    assert target.status(model).versions == (Served("1", 100.0),)


def test_a_release_on_kserve_is_taken_with_the_role_of_the_guide(server: Server) -> None:
    target = KServeTarget(cluster_settings(SETTINGS), wait=0.05)
    target.deploy("fares", "1")
    target.deploy("fares", "2", 10)
    assert target.status("fares").versions == (Served("1", 90.0), Served("2", 10.0))
    target.deploy("fares", "2")
    assert target.roll_back("fares") == "1"


def test_changes_at_once_are_all_made(server: Server) -> None:
    target = KubernetesTarget(cluster_settings(SETTINGS), wait=0.05)
    target.deploy("crowd", "1")
    target.deploy("crowd", "2", 50)
    states = [ClusterState(Cluster(cluster_settings(SETTINGS)), "crowd") for _ in range(3)]

    def change(number: int) -> None:
        percents = {"1": 60.0 + number, "2": 40.0 - number}
        states[number].change(lambda before: with_split(existing(before, "crowd"), percents), "", f"{number}")

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(change, range(3)))
    assert sorted(item.reason for item in states[0].history()[-3:]) == ["0", "1", "2"]


def test_what_the_account_may_not_do_is_told(server: Server) -> None:
    target = KubernetesTarget(cluster_settings({**SETTINGS, "namespace": "forbidden"}))
    with pytest.raises(
        ComponentError, match=r'(?s)User "turnout" cannot get resource "configmaps".*kubectl auth can-i'
    ):
        target.deploy("flights", "1")


def test_what_others_set_stays(server: Server) -> None:
    """An autoscaler's number of pods, and an annotation of somebody's tool."""
    from kubernetes import client

    target = KubernetesTarget(cluster_settings(SETTINGS), wait=0.05)
    target.deploy("kept", "1")
    apps = client.AppsV1Api(server.client())
    body = {"metadata": {"annotations": {"example.com/owner": "ada"}}, "spec": {"replicas": 5}}
    apps.patch_namespaced_deployment("kept-v1", "models", body)
    target.deploy("kept", "2", 10)
    found = apps.read_namespaced_deployment("kept-v1", "models")
    assert (found.spec.replicas, found.metadata.annotations["example.com/owner"]) == (5, "ada")
