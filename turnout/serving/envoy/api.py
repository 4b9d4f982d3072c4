"""What the parts of Envoy's configuration share: the spelling of its v3 API, and headers that both sides know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
FALLBACK_HEADER = "x-turnout-fallback"
"""Of an answer that another model has given; the access log keeps it."""
USER_HEADER = "x-turnout-user"
"""Of a request, by which its version was chosen, when users keep theirs; the access log keeps it."""
READY_PATH, LIVE_PATH = "/health/ready", "/health/live"
GRPC_SERVICE = "/inference.GRPCInferenceService/"
GRPC_METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
"""Of the Open Inference Protocol by gRPC: addresses are the service's with a method's."""
HEALTH = ("/health/", "/v2/health/", f"{GRPC_SERVICE}ServerLive", f"{GRPC_SERVICE}ServerReady")
"""Beginnings of addresses that are open to everybody, and not in the access log."""
ROUTES, GROUPS = "routes.json", "groups.json"
"""The files that are read again when they are replaced."""

TYPE = "type.googleapis.com/"
FILTERS = f"{TYPE}envoy.extensions.filters.http"
BUFFER, GRPC_BRIDGE = "envoy.filters.http.buffer", "envoy.filters.http.grpc_http1_reverse_bridge"
GRPC = "application/grpc"
"""The content type of its calls."""


def discovery(resources: Sequence[dict[str, Any]], mark: str) -> dict[str, Any]:
    """A file of resources, with a mark by which it is seen which one Envoy has read."""
    return {"version_info": mark, "resources": list(resources)}


def file_source(path: Path) -> dict[str, Any]:
    """A source of resources: a file, which is read again when another is renamed to its place."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def seconds(value: float) -> str:
    return f"{value:.3f}s"
