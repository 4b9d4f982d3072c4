"""A model on KServe: the InferenceService that is made of a release, and what an older KServe does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_server import CORE, KSERVE, ApiServer, Object, serving

from turnout.errors import ComponentError
from turnout.serving.release import Served
from turnout.serving.targets.cluster_settings import cluster_settings
from turnout.serving.targets.kserve import KServeTarget

SETTINGS = {"image": "registry.example.com/team/flights:3", "tracking_uri": "http://mlflow:5000", "ready_s": 1}


def kserve(made: Object) -> None:
    """Loads what it is told; a canary of version 7 never answers."""
    if made["kind"] != "InferenceService":
        return
    canaries = [{"name": item["predictor"]["name"], "ready": item["predictor"]["name"] != "v7"}
                for item in made["spec"].get("canary", ())]  # fmt: skip
    made["status"] = {"observedGeneration": made["metadata"]["generation"], "canaryStatuses": canaries,
                      "conditions": [{"type": "Ready", "status": "True"}]}  # fmt: skip


def older(made: Object) -> None:
    """The API server drops fields that the kind's definition does not have."""
    made.get("spec", {}).pop("canary", None)
    kserve(made)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[ApiServer, KServeTarget]]]:
    open_ = []

    def make(behave: Callable[[Object], None] = kserve) -> tuple[ApiServer, KServeTarget]:
        server = ApiServer({**CORE, **KSERVE}, behave)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        context = serving(server, tmp_path / "config")
        context.__enter__()
        open_.append(context)
        return server, KServeTarget(cluster_settings(SETTINGS), wait=0.05)

    yield make
    for context in open_:
        context.__exit__(None, None, None)


def spec(server: ApiServer) -> Any:
    return server.objects["InferenceService", "flights"]["spec"]


def served(server: ApiServer) -> dict[str, int]:
    """The version of each predictor, by its arguments, with its percents."""

    def version(predictor: Any) -> str:
        return str(predictor["model"]["args"][1].rpartition("/")[2])

    canaries = {version(item["predictor"]): item["trafficPercent"] for item in spec(server).get("canary", ())}
    return {version(spec(server)["predictor"]): 100 - sum(canaries.values()), **canaries}


def test_a_canary_is_loaded_without_traffic_first(cluster) -> None:
    seen: list[list[int]] = []

    def watched(made: Object) -> None:
        kserve(made)
        if made["kind"] == "InferenceService":
            seen.append([item["trafficPercent"] for item in made["spec"].get("canary", ())])

    server, target = cluster(watched)
    target.deploy("flights", "1")
    target.deploy("flights", "2", 10)
    assert served(server) == {"1": 90, "2": 10}
    assert seen[-2:] == [[0], [10]]
    target.deploy("flights", "2")
    assert served(server) == {"2": 100}
    assert target.status("flights").previous == "1"
    assert target.roll_back("flights", why="errors") == "1"
    assert served(server) == {"1": 100}


def test_a_canary_that_does_not_answer_is_taken_out(cluster) -> None:
    server, target = cluster()
    target.deploy("flights", "1")
    with pytest.raises(ComponentError, match="canary v7 is not ready"):
        target.deploy("flights", "7", 10)
    assert served(server) == {"1": 100}
    assert target.status("flights").versions == (Served("1", 100.0),)


def test_a_kserve_that_passes_over_canaries_is_found_out(cluster) -> None:
    server, target = cluster(older)
    target.deploy("flights", "1")
    with pytest.raises(ComponentError, match="this KServe passes over canaries"):
        target.deploy("flights", "2", 10)
    assert served(server) == {"1": 100}


def test_what_kserve_cannot_do_is_refused_by_name(cluster) -> None:
    _, target = cluster()
    target.deploy("flights", "1")
    with pytest.raises(ComponentError, match="does not send copies of requests"):
        target.deploy("flights", "2", 50, shadow=True)
    with pytest.raises(ComponentError, match=r"2\.5 percent for version 2"):
        target.deploy("flights", "2", 2.5)
    with pytest.raises(ComponentError, match="KServe makes its autoscaler itself"):
        KServeTarget(cluster_settings({**SETTINGS, "autoscaling": "keda", "prometheus": "http://prometheus:9090"}))


def test_the_runtime_of_kserve_takes_our_models(cluster) -> None:
    server, target = cluster()
    target.deploy("flights", "1")
    runtime = server.objects["ServingRuntime", "turnout"]["spec"]
    assert runtime["supportedModelFormats"][0]["name"] == spec(server)["predictor"]["model"]["modelFormat"]["name"]
    assert runtime["protocolVersions"] == ["v2", "grpc-v2"]
    model = spec(server)["predictor"]["model"]
    assert model["protocolVersion"] == "v2"  # of the two, what KServe's own router speaks
    ports = {port["name"]: port["containerPort"] for port in model["ports"]}
    assert next(iter(ports)) == "http"  # the Service's port 80 is the first
    assert model["args"][model["args"].index("--grpc-port") + 1] == str(ports["grpc"])
    assert len(set(ports.values())) == len(ports)
    assert {"storageUri", "image"} & spec(server)["predictor"]["model"].keys() == set()
