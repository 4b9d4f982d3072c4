"""What KServe is told of a model: one InferenceService, with a canary for each version beside the one in service.

Source: the API of KServe 0.21: `spec.canary`, a list, in the mode Standard; `trafficPercent: 0` is loaded and gets no
traffic. Since 0.19 a port of the container whose name has `grpc` in it is HTTP/2 in the Service that KServe makes, and
with a Gateway it gets a rule of its own in the HTTPRoute; the first port has all other requests (kserve/kserve, 5451).
A port's number is its key, so that gRPC has one of its own, though both take it.
"""

from __future__ import annotations

from typing import Any

from turnout.errors import ComponentError
from turnout.serving.release import Release, Served
from turnout.serving.targets.cluster_settings import ClusterSettings
from turnout.serving.targets.manifests import Manifest, container, label, labels, volumes

RUNTIME = "turnout"
API = "serving.kserve.io/v1beta1"


def serving_runtime(settings: ClusterSettings) -> Manifest:
    """What KServe runs for models of the format `turnout`; each InferenceService gives it its arguments."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME, "namespace": settings.namespace, "labels": {"app.kubernetes.io/name": RUNTIME}},
        "spec": {
            "supportedModelFormats": [{"name": RUNTIME, "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2", "grpc-v2"],
            "containers": [{"name": "kserve-container", "image": settings.image}],
        },
    }


def inference_service(release: Release, settings: ClusterSettings, dark: bool = False) -> Manifest:
    """The InferenceService of a release.

    Args:
        dark: load the versions beside the one in service, and give them no traffic yet.

    Raises:
        ComponentError: a part of the traffic that KServe cannot give.
    """
    for served in reversed(release.versions):
        if served.percent != int(served.percent):
            what = f"{served.percent:g} percent for version {served.version}"
            raise ComponentError(what, where=release.model, hint="KServe takes whole percents")
    made: Manifest = {
        "apiVersion": API,
        "kind": "InferenceService",
        "metadata": {
            "name": label(release.model),
            "namespace": settings.namespace,
            "labels": labels(release.model),
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {"predictor": _predictor(release, release.stable, settings)},
    }
    if others := [served for served in release.routed if served != release.stable]:
        made["spec"]["canary"] = [
            {
                "trafficPercent": 0 if dark else int(served.percent),
                "predictor": {"name": f"v{label(served.version, 12)}", **_predictor(release, served, settings)},
            }
            for served in others
        ]
    return made


def _predictor(release: Release, served: Served, settings: ClusterSettings) -> Manifest:
    ours = container(release, served, settings, port_of_its_own_for_grpc=True)
    scaling: dict[str, Any] = {}
    if settings.autoscaling == "hpa":
        scaling = {"scaleMetric": "cpu", "scaleTarget": settings.cpu_percent}
    predictor: Manifest = {
        "minReplicas": settings.replicas,
        "maxReplicas": settings.most_replicas if settings.autoscaling != "none" else settings.replicas,
        **scaling,
        "labels": labels(release.model, served.version),
        "model": {
            "modelFormat": {"name": RUNTIME},
            "runtime": RUNTIME,
            "protocolVersion": "v2",
            **{name: value for name, value in ours.items() if name not in ("image", "volumeMounts") and value},
            "volumeMounts": ours["volumeMounts"],
        },
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 60,
        "volumes": volumes(settings),
    }
    if settings.service_account:
        predictor["serviceAccountName"] = settings.service_account
    return predictor
