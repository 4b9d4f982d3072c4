"""What KUBECONFIG names, for servers of Kubernetes' API that tests start."""

from __future__ import annotations

from typing import Any


def kube_config(address: str, token: str = "") -> dict[str, Any]:
    """A configuration of kubectl's with one server. The certificate of a server is its own, and not looked at."""
    cluster: dict[str, Any] = {"server": address}
    if address.startswith("https:"):
        cluster["insecure-skip-tls-verify"] = True
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
