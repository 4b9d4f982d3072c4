"""What Kubernetes is told of a model that is served there: for each version a Deployment with what belongs to it, and a
route that divides the traffic.

Source: the API reference of Kubernetes 1.34 and of the Gateway API 1.3 (HTTPRoute: weights, RequestMirror).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from turnout.serving.envoy.api import GRPC_SERVICE
from turnout.serving.release import Release, Served
from turnout.serving.targets.cluster_settings import ClusterSettings

Manifest = dict[str, Any]
"""An object of Kubernetes' API, as YAML has it."""

PORT, METRICS_PORT = 8080, 9090
_SERVING, _TOKENS = "/var/run/turnout/serving", "/var/run/turnout-tokens"
_MOST_IN_A_NAME = 45
"""Kubernetes takes 63 characters, and appends to the name of a Deployment for its pods."""

_HTTP_PORT, _GRPC_PORT = 80, 9000
"""Of the Services; the second also of KServe's pods."""

_WEIGHT = 100
"""Weights are whole numbers; with these, hundredths of a percent can be said."""

_SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": str(METRICS_PORT)}
INSTANCE, VERSION = "app.kubernetes.io/instance", "app.kubernetes.io/version"
MANAGED = {"app.kubernetes.io/managed-by": "turnout", "app.kubernetes.io/name": "turnout-serving"}


def label(text: str, most: int = _MOST_IN_A_NAME) -> str:
    """A name as Kubernetes takes it, unlike that of any other text: with a digest, where characters had to go."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain == text and len(plain) <= most:
        return plain
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{plain[: most - 9].rstrip('-') or 'model'}-{digest}"


def labels(model: str, version: str = "") -> dict[str, str]:
    found = {**MANAGED, INSTANCE: label(model)}
    return {**found, VERSION: label(version)} if version else found


def workload_name(model: str, version: str) -> str:
    return f"{label(model)}-v{label(version, 12)}"


def workloads(release: Release, settings: ClusterSettings) -> list[Manifest]:
    """What runs: for each version of a release its Deployment, Service, disruption budget and autoscaler."""
    return [made for served in release.versions for made in _version(release, served, settings)]


def routes(release: Release, settings: ClusterSettings) -> list[Manifest]:
    """What brings traffic: a Service for the version in service, and with a Gateway the route that divides it."""
    name = label(release.model)
    service = _object("v1", "Service", name, settings, labels(release.model))
    service["spec"] = _service_spec(labels(release.model, release.stable.version))
    if not settings.gateway:
        return [service]
    route = _object("gateway.networking.k8s.io/v1", "HTTPRoute", name, settings, labels(release.model))
    namespace, _, gateway = settings.gateway.rpartition("/")
    parent = {"name": gateway, **({"namespace": namespace} if namespace else {})}
    calls = {"matches": [{"path": {"type": "PathPrefix", "value": GRPC_SERVICE.rstrip("/")}}]}
    rules = [{**calls, **_rule(release, _GRPC_PORT)}, _rule(release, _HTTP_PORT)]
    route["spec"] = {"parentRefs": [parent], "rules": rules}
    if settings.hostnames:
        route["spec"]["hostnames"] = list(settings.hostnames)
    return [service, route]


def _rule(release: Release, port: int) -> Manifest:
    """How requests are divided among the versions, to a port of their Services."""
    backends = [
        {**_backend(release, served, port), "weight": round(served.percent * _WEIGHT)} for served in release.routed
    ]
    copies = [
        {
            "type": "RequestMirror",
            "requestMirror": {"backendRef": _backend(release, shadow, port), **_part(shadow.percent)},
        }
        for shadow in release.shadows
    ]
    return {"backendRefs": backends, **({"filters": copies} if copies else {})}


def container(
    release: Release, served: Served, settings: ClusterSettings, port_of_its_own_for_grpc: bool = False
) -> Manifest:
    """The container that serves one version: Envoy and its workers, as `turnout serve` starts them."""
    arguments = ["serve", f"{release.model}/{served.version}", "--address", "0.0.0.0", "--port", str(PORT)]
    arguments += ["--metrics-port", str(METRICS_PORT), "--workers", str(settings.workers), "--directory", _SERVING]
    calls = []
    if port_of_its_own_for_grpc:
        arguments += ["--grpc-port", str(_GRPC_PORT)]
        calls = [{"name": "grpc", "containerPort": _GRPC_PORT, "protocol": "TCP"}]
    # Nobody reads a log of requests in a pod, which ends with it; the access log has a bound of its own.
    arguments += ["--log-sample", "0"]
    if release.fallback:
        arguments += ["--fallback", release.fallback]
    arguments += ["--tokens", f"{_TOKENS}/token"] if settings.token_secret else ["--open"]
    resources: Manifest = {
        "requests": {"cpu": settings.cpu, "memory": settings.memory},
        "limits": {"memory": settings.memory},
    }
    if settings.accelerator:
        resources["limits"][settings.accelerator] = "1"
    ready = {"httpGet": {"path": "/v2/health/ready", "port": "http"}}
    return {
        "image": settings.image,
        "command": ["turnout"],
        "args": arguments,
        "env": [{"name": "MLFLOW_TRACKING_URI", "value": settings.tracking_uri}],
        "envFrom": [{"secretRef": {"name": name}} for name in settings.secrets],
        # The protocol is a part of a port's key, and not every API server knows its default when objects are applied.
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            *calls,
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": resources,
        "startupProbe": {**ready, "periodSeconds": 5, "failureThreshold": max(1, settings.ready_s // 5)},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        # Requests that were sent before all gateways knew that the pod ends are still answered.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/var/run/turnout"},
            {"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"},
            *([{"name": "tokens", "mountPath": _TOKENS, "readOnly": True}] if settings.token_secret else []),
        ],
    }


def volumes(settings: ClusterSettings) -> list[Manifest]:
    """What `container` mounts."""
    tokens = {"name": "tokens", "secret": {"secretName": settings.token_secret}}
    return [{"name": "scratch", "emptyDir": {"sizeLimit": settings.disk}}, *([tokens] if settings.token_secret else [])]


def _version(release: Release, served: Served, settings: ClusterSettings) -> list[Manifest]:
    model, version = release.model, served.version
    name, marks = workload_name(model, version), labels(model, version)

    def make(api: str, kind: str, spec: Manifest) -> Manifest:
        return {**_object(api, kind, name, settings, marks), "spec": spec}

    pod: Manifest = {
        "containers": [{"name": "serving", **container(release, served, settings)}],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 60,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": marks},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "volumes": volumes(settings),
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    deployment: Manifest = {
        "selector": {"matchLabels": marks},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": marks, "annotations": _SCRAPED}, "spec": pod},
    }
    if settings.autoscaling == "none":  # else the number is the autoscaler's, which this would undo
        deployment["replicas"] = settings.replicas
    made = [
        make("apps/v1", "Deployment", deployment),
        make("v1", "Service", _service_spec(marks)),
        make("policy/v1", "PodDisruptionBudget", {"maxUnavailable": 1, "selector": {"matchLabels": marks}}),
    ]
    if settings.autoscaling == "hpa":
        made.append(make("autoscaling/v2", "HorizontalPodAutoscaler", _by_cpu(name, settings)))
    if settings.autoscaling == "keda":
        made.append(make("keda.sh/v1alpha1", "ScaledObject", _by_requests(name, settings)))
    return made


def _by_cpu(name: str, settings: ClusterSettings) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": settings.cpu_percent}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": settings.replicas,
        "maxReplicas": settings.most_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


def _by_requests(name: str, settings: ClusterSettings) -> Manifest:
    pods = f'namespace="{settings.namespace}",pod=~"{name}-.*"'
    counted = f"sum(rate(turnout_serving_requests_total{{{pods}}}[1m]))"
    metadata = {
        "serverAddress": settings.prometheus,
        "query": counted,
        "threshold": str(settings.requests_per_second),
    }
    return {
        "scaleTargetRef": {"name": name},
        "minReplicaCount": settings.replicas,
        "maxReplicaCount": settings.most_replicas,
        "triggers": [{"type": "prometheus", "metadata": metadata}],
    }


def _service_spec(selector: dict[str, str]) -> Manifest:
    """Two ports for one: the second is said to be HTTP/2, without which a gateway does not send it."""
    ports = [
        {"name": "http", "port": _HTTP_PORT, "targetPort": "http", "protocol": "TCP"},
        {"name": "grpc", "port": _GRPC_PORT, "targetPort": "http", "protocol": "TCP",
         "appProtocol": "kubernetes.io/h2c"},
    ]  # fmt: skip
    return {"selector": selector, "ports": ports}


def _backend(release: Release, served: Served, port: int) -> Manifest:
    return {"name": workload_name(release.model, served.version), "port": port}


def _part(percent: float) -> Manifest:
    """How much a route mirrors; all of it is what every gateway does, and a part what some do."""
    if percent == 100:
        return {}
    return {"fraction": {"numerator": round(percent * _WEIGHT), "denominator": 100 * _WEIGHT}}


def _object(api: str, kind: str, name: str, settings: ClusterSettings, marks: dict[str, str]) -> Manifest:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": settings.namespace, "labels": marks},
    }
