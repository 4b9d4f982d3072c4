"""A step's pod."""

from __future__ import annotations

import re
from typing import Any

import pytest

from turnout.runtimes.pod import kfp_metadata, manifest
from turnout.spec.step_contract import Run


def made(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The manifest of a pod with some settings."""
    step: dict[str, Any] = {"image": "c", "command": ["true"], "environment": {}, "resources": None, "task": "task"}
    return manifest(settings, **step, shared="/turnout", launcher_image="turnout:1", **more)


@pytest.mark.parametrize("run_id", ["20260101-120000-ab12", "manual__2026-01-01T00:00:00+00:00", "-" * 80, "r" * 200])
def test_a_pod_has_kfps_labels_and_annotations(run_id: str) -> None:
    found = kfp_metadata(Run("p", run_id, ""))
    assert found["annotations"]["pipelines.kubeflow.org/run_name"] == run_id
    assert found["annotations"]["pipelines.kubeflow.org/v2_component"] == "true"
    assert found["labels"]["pipelines.kubeflow.org/v2_component"] == "true"
    value = found["labels"]["pipeline/runid"]
    assert len(value) <= 63
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?", value)


def test_a_template_may_have_init_containers_and_side_cars_of_its_own() -> None:
    template = {
        "metadata": {"labels": {"stage": "test", "pipeline/runid": "other"}},
        "spec": {
            "initContainers": [{"name": "warm-up", "image": "a"}],
            "containers": [{"name": "base"}, {"name": "proxy", "image": "b"}],
        },
    }
    pod = made(
        {"podMetadata": {"labels": {"team": "ml"}}},
        template=template,
        metadata=kfp_metadata(Run("p", "run", "")),
    )
    assert [item["name"] for item in pod["spec"]["initContainers"]] == ["warm-up", "stage-in", "stage-out"]
    assert [item["name"] for item in pod["spec"]["containers"]] == ["base", "proxy"]
    kfps = {"pipeline/runid": "run", "pipelines.kubeflow.org/v2_component": "true"}
    assert pod["metadata"]["labels"] == {"stage": "test", "team": "ml", **kfps}


def test_init_containers_and_claims_of_devices_are_the_pod_s() -> None:
    """Settings of a kfp-kubernetes newer than 2.17.3, as its own test of them has them."""
    pod = made(
        {
            "emptyDirMounts": [{"volumeName": "shared-data", "mountPath": "/data"}],
            "pvcMount": [{"constant": "disk", "mountPath": "/disk"}],
            "initContainers": [
                {
                    "name": "prepare-data",
                    "image": "busybox:1.36",
                    "command": ["sh", "-c"],
                    "args": ["echo ready > /data/marker"],
                    "env": [{"name": "MARKER_TEXT", "value": "ready"}],
                    "restartPolicy": "Always",
                    "volumeMounts": [
                        {"volumeName": "shared-data", "mountPath": "/data"},
                        {"volumeName": "disk", "mountPath": "/disk"},
                    ],
                }
            ],
            "podResourceClaims": [
                {"resourceClaimTemplateName": "gpus"},
                {"resourceClaimJson": {"resourceClaimName": "one-gpu"}},
            ],
        },
    )
    spec = pod["spec"]
    assert [item["name"] for item in spec["initContainers"]] == ["stage-in", "prepare-data", "stage-out"]
    prepared = spec["initContainers"][1]
    assert prepared["volumeMounts"] == [
        {"name": "shared-data", "mountPath": "/data"},
        {"name": "claim-0", "mountPath": "/disk"},
    ]
    assert {item["name"] for item in prepared["volumeMounts"]} <= {item["name"] for item in spec["volumes"]}
    assert (prepared["image"], prepared["args"], prepared["restartPolicy"]) == (
        "busybox:1.36",
        ["echo ready > /data/marker"],
        "Always",
    )
    assert spec["resourceClaims"] == [
        {"name": "resource-0", "resourceClaimTemplateName": "gpus"},
        {"name": "resource-1", "resourceClaimName": "one-gpu"},
    ]
    assert spec["containers"][0]["resources"]["claims"] == [{"name": "resource-0"}, {"name": "resource-1"}]
