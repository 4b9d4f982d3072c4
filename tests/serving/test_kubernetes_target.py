"""A model on Kubernetes: what the cluster is told, in which order, and what happens when a version does not start."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from api_server import CORE, GATEWAY, KEDA, ApiServer, Object, serving
from kubernetes_validate import validate
from paths import PROJECT

from turnout.cli.serve import commands
from turnout.errors import ComponentError, ServerError
from turnout.models import promotion
from turnout.models.registry import ModelVersion
from turnout.serving.release import Release, Served
from turnout.serving.rollout.steps import go_back, unfinished
from turnout.serving.start import listening
from turnout.serving.targets.cluster_settings import ClusterSettings, cluster_settings
from turnout.serving.targets.kserve import KServeTarget
from turnout.serving.targets.kubernetes import KubernetesTarget
from turnout.serving.targets.manifests import container, label

SETTINGS = {"image": "registry.example.com/team/flights:3", "tracking_uri": "http://mlflow:5000", "namespace": "models",
            "gateway": "infra/public", "ready_s": 1}  # fmt: skip
BROKEN = "7"


def controllers(made: Object) -> None:
    """Deployments are ready at once, but those of one version, whose image cannot be pulled."""
    if made["kind"] != "Deployment":
        return
    asked = made["spec"].setdefault("replicas", 1)
    ready = 0 if made["metadata"]["labels"]["app.kubernetes.io/version"] == label(BROKEN) else asked
    message = "Deployment does not have minimum availability."
    condition = {"type": "Available", "reason": "MinimumReplicasUnavailable", "message": message}
    made["status"] = {
        "observedGeneration": made["metadata"]["generation"], "replicas": asked, "updatedReplicas": asked,
        "readyReplicas": ready, "conditions": [{**condition, "status": "True" if ready else "False"}],
    }  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    server = ApiServer({**CORE, **GATEWAY, **KEDA}, controllers)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with serving(server, tmp_path / "config"):
        yield server


@pytest.fixture
def target(server: ApiServer) -> KubernetesTarget:
    return KubernetesTarget(cluster_settings(SETTINGS), wait=0.05)


def weights(server: ApiServer) -> dict[str, int]:
    """Of the versions; the same for calls by gRPC, which go to a port of their own."""
    calls, others = server.objects["HTTPRoute", "flights"]["spec"]["rules"]
    assert calls["matches"] == [{"path": {"type": "PathPrefix", "value": "/inference.GRPCInferenceService"}}]
    assert "matches" not in others
    found = []
    for rule, name in ((calls, "grpc"), (others, "http")):
        for item in rule["backendRefs"]:
            ports = server.objects["Service", item["name"]]["spec"]["ports"]
            (port,) = (port for port in ports if port["port"] == item["port"])
            assert (port["name"], port.get("appProtocol", "")) == (name, "kubernetes.io/h2c" if rule is calls else "")
        found.append({item["name"]: item["weight"] for item in rule["backendRefs"]})
    assert found[0] == found[1]
    return found[0]


def test_a_release_goes_from_a_part_of_the_traffic_to_all_of_it(server: ApiServer, target: KubernetesTarget) -> None:
    target.deploy("flights", "1", why="the first")
    assert weights(server) == {"flights-v1": 10_000}
    target.deploy("flights", "2", 2.5, why="a canary")
    assert weights(server) == {"flights-v1": 9_750, "flights-v2": 250}
    target.deploy("flights", "2", why="as good")
    assert weights(server) == {"flights-v2": 10_000}
    for kind in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert server.names(kind) == ["flights-v2"], kind
    assert server.names("Service") == ["flights", "flights-v2"]
    status = target.status("flights")
    assert (status.versions, status.ready, status.previous) == ((Served("2", 100.0),), True, "1")
    history = [json.loads(line) for line in
               server.objects["ConfigMap", "turnout-flights"]["data"]["history.jsonl"].splitlines()]  # fmt: skip
    assert [item["reason"] for item in history] == ["the first", "a canary", "as good"]


def test_traffic_comes_after_the_pods_and_pods_go_after_the_traffic(
    server: ApiServer, target: KubernetesTarget
) -> None:
    target.deploy("flights", "1")
    server.writes.clear()
    target.deploy("flights", "2")
    order = [(method, kind, name) for method, kind, name in server.writes if kind in ("Deployment", "HTTPRoute")]
    assert order == [("PATCH", "Deployment", "flights-v2"), ("PATCH", "HTTPRoute", "flights"),
                     ("DELETE", "Deployment", "flights-v1")]  # fmt: skip


def test_a_version_that_does_not_start_leaves_what_was_served(server: ApiServer, target: KubernetesTarget) -> None:
    target.deploy("flights", "1")
    with pytest.raises(ComponentError, match=f"version {BROKEN}: 0 of 1 pods answer; MinimumReplicasUnavailable"):
        target.deploy("flights", BROKEN, 10)
    assert weights(server) == {"flights-v1": 10_000}
    assert server.names("Deployment") == ["flights-v1"]
    assert target.status("flights").versions == (Served("1", 100.0),)


def test_a_rollback_ends_a_canary_and_then_goes_to_the_version_before(
    server: ApiServer, target: KubernetesTarget
) -> None:
    target.deploy("flights", "1")
    target.deploy("flights", "2")
    target.deploy("flights", "3", 5)
    assert target.roll_back("flights", who="ada", why="errors") == "2"
    assert weights(server) == {"flights-v2": 10_000}
    assert target.roll_back("flights") == "1"
    assert weights(server) == {"flights-v1": 10_000}
    with pytest.raises(ComponentError, match="nothing was in service before version 1"):
        target.roll_back("flights")


def test_a_shadow_gets_copies_and_no_traffic(server: ApiServer, target: KubernetesTarget) -> None:
    target.deploy("flights", "1")
    target.deploy("flights", "2", 50, shadow=True)
    assert weights(server) == {"flights-v1": 10_000}
    for rule, port in zip(server.objects["HTTPRoute", "flights"]["spec"]["rules"], (9000, 80), strict=True):
        backend = {"name": "flights-v2", "port": port}
        mirror = {"backendRef": backend, "fraction": {"numerator": 5_000, "denominator": 10_000}}
        assert rule["filters"] == [{"type": "RequestMirror", "requestMirror": mirror}]
    target.remove("flights", "2")
    assert not any("filters" in rule for rule in server.objects["HTTPRoute", "flights"]["spec"]["rules"])
    assert server.names("Deployment") == ["flights-v1"]


def test_what_was_killed_half_way_is_made_whole_by_the_same_change(
    server: ApiServer, target: KubernetesTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.deploy("flights", "1")
    with monkeypatch.context() as patch:
        patch.setattr(target, "give_traffic", lambda release: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            target.deploy("flights", "2")
    assert weights(server) == {"flights-v1": 10_000}
    target.deploy("flights", "2")
    assert weights(server) == {"flights-v2": 10_000}
    assert server.names("Deployment") == ["flights-v2"]


@pytest.mark.parametrize("killed", ["before the traffic", "before the alias"])
def test_a_rollback_that_was_killed_is_told_and_ended_by_the_next_one(
    server: ApiServer, target: KubernetesTarget, tracking: str, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    import mlflow

    mlflow.MlflowClient().create_registered_model("flights")
    for version in ("1", "2", "3"):
        mlflow.MlflowClient().create_model_version("flights", "/nowhere")
        target.deploy("flights", version)
        promotion.promote(ModelVersion("flights", version, ""))
    place = (target, "give_traffic") if killed == "before the traffic" else (promotion, "put_back")
    with monkeypatch.context() as patch:
        patch.setattr(*place, lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            go_back(target, "flights")
    assert weights(server) == {"flights-v3" if killed == "before the traffic" else "flights-v2": 10_000}
    assert promotion.champion("flights").version == "3"  # type: ignore[union-attr]
    assert unfinished(target, "flights", target.status("flights")) == "3"
    assert go_back(target, "flights", who="ada", why="wrong for ships") == "2"
    assert weights(server) == {"flights-v2": 10_000}
    assert promotion.champion("flights").version == "2"  # type: ignore[union-attr]
    assert mlflow.MlflowClient().get_model_version("flights", "3").tags["turnout.rolled_back_by"] == "ada"
    assert unfinished(target, "flights", target.status("flights")) == ""
    time.sleep(1.1)  # it is noted to the second
    promotion.promote(ModelVersion("flights", "3", ""))  # by somebody who uses the registry alone
    promotion.note(ModelVersion("flights", "3", ""), "promoted", "bob", "right for trains")
    assert unfinished(target, "flights", target.status("flights")) == ""


def test_without_a_gateway_there_is_one_version_at_a_time(server: ApiServer) -> None:
    target = KubernetesTarget(cluster_settings({**SETTINGS, "gateway": ""}), wait=0.05)
    target.deploy("flights", "1")
    assert server.names("HTTPRoute") == []
    selector = server.objects["Service", "flights"]["spec"]["selector"]
    assert selector["app.kubernetes.io/version"] == "1"
    with pytest.raises(ComponentError, match="without a Gateway one version is served at a time"):
        target.deploy("flights", "2", 10)
    assert server.names("Deployment") == ["flights-v1"]


def test_a_cluster_without_the_gateway_api_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ApiServer(CORE, controllers)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with serving(server, tmp_path / "config"):
        target = KubernetesTarget(cluster_settings(SETTINGS), wait=0.05)
        with pytest.raises(ComponentError, match="HTTPRoute flights cannot be applied: No matches found"):
            target.deploy("flights", "1")


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ComponentError, match="the cluster cannot be reached"):
        KubernetesTarget(cluster_settings(SETTINGS)).status("flights")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"replica": 3}, "did you mean replicas"),
        ({"replicas": "many"}, "@ replicas"),
        ({"replicas": 0}, "0 needs autoscaling: keda"),
        ({"autoscaling": "keda"}, "prometheus is empty"),
        ({"cpu": "a lot"}, "not a quantity such as 500m"),
        ({"image": "", "tracking_uri": ""}, "image is empty; tracking_uri is empty"),
        ({"namespace": "Models"}, "not the name of a namespace"),
    ],
)
def test_wrong_settings_are_told_before_a_cluster_is_asked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        cluster_settings({**SETTINGS, **given})


@pytest.mark.parametrize("scaling", ["hpa", "keda", "none"])
def test_manifests_are_what_kubernetes_takes(server: ApiServer, scaling: str) -> None:
    settings = {**SETTINGS, "autoscaling": scaling, "prometheus": "http://prometheus:9090",
                "accelerator": "nvidia.com/gpu", "secrets": ["mlflow"], "token_secret": "clients",
                "service_account": "models"}  # fmt: skip
    target = KubernetesTarget(cluster_settings(settings))
    release = Release("Flights of 2013".replace(" ", "_"), (Served("1", 90.0), Served("2", 10.0)), fallback="1")
    made = target.manifests(release)
    for item in made:
        if item["apiVersion"].split("/")[0] in ("v1", "apps", "policy", "autoscaling"):
            validate(item, "1.34", strict=True)
    deployment = next(item for item in made if item["kind"] == "Deployment")
    assert ("replicas" in deployment["spec"]) == (scaling == "none")
    assert len({(item["kind"], item["metadata"]["name"]) for item in made}) == len(made)
    assert all(len(item["metadata"]["name"]) < 60 for item in made)


def test_manifests_are_written_without_a_cluster(turnout: Any, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    done = turnout("serve", "manifests", "flights", "1=90", "2=10", "--target", f"kubernetes:{file}")
    assert done.status == 0, done.err
    made = [*yaml.safe_load_all(done.out)]
    assert [item["metadata"]["name"] for item in made if item["kind"] == "Deployment"] == ["flights-v1", "flights-v2"]
    refused = turnout("serve", "manifests", "flights", "1=100", "--target", "local")
    assert (refused.status, "the target local does not write what it would be told" in refused.err) == (1, True)
    wrong = turnout("serve", "manifests", "flights", "1=90", "--target", f"kserve:{file}")
    assert "the percentages are 90 together" in wrong.err


GOLDEN = PROJECT / "tests" / "golden"


@pytest.mark.parametrize(("name", "make"), [("kubernetes", KubernetesTarget), ("kserve", KServeTarget)])
def test_manifests_are_those_that_are_checked_in(name: str, make: type[KubernetesTarget]) -> None:
    """`UPDATE_GOLDEN=1` writes them anew; not in CI."""
    settings = cluster_settings(
        {**SETTINGS, "token_secret": "clients", "secrets": ["mlflow"], "hostnames": ["a.example"]}
    )
    release = Release("flights", (Served("7", 90.0), Served("8", 10.0)), fallback="6")
    text = yaml.safe_dump_all(make(settings).manifests(release), sort_keys=False)
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text, "UPDATE_GOLDEN=1 pytest tests/serving/test_kubernetes_target.py"


@pytest.mark.parametrize("token_secret", ["", "clients"])
def test_the_pod_runs_a_command_that_turnout_takes(token_secret: str) -> None:
    release = Release("flights", (Served("3", 100.0),), fallback="2")
    settings = cluster_settings({**SETTINGS, "token_secret": token_secret})
    program, *arguments = container(release, release.stable, settings)["args"]
    start = typer.main.get_command(commands).commands["start"]
    context = start.make_context(program, list(arguments))
    assert (context.params["model"], context.params["fallback"]) == ("flights/3", "2")
    assert (context.params["tokens"] is None, context.params["everybody"]) == (not token_secret, not token_secret)


def test_an_address_that_others_reach_needs_tokens_or_a_word() -> None:
    with pytest.raises(ServerError, match="everybody could ask"):
        listening(8000, "0.0.0.0", 1.0, "", "", None)
    assert listening(8000, "0.0.0.0", 1.0, "", "", None, everybody=True).address == "0.0.0.0"


def test_names_that_kubernetes_does_not_take_stay_apart() -> None:
    names = ["flights", "Flights", "flights_", "a" * 60, "a" * 61, "..", "x.y", "x-y"]
    assert len({label(name) for name in names}) == len(names)
    assert label("flights") == "flights"
    assert all(len(label(name)) <= 45 for name in names)


def test_zero_pods_stay_zero() -> None:
    given = {**SETTINGS, "replicas": 0, "autoscaling": "keda", "prometheus": "http://prometheus:9090"}
    assert isinstance(settings := cluster_settings(given), ClusterSettings)
    assert settings.replicas == 0
