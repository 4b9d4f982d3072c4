"""As much of Kubernetes' API server as applying objects asks for: discovery, server-side apply, lists, conflicts.

No API server can be had where the tests run. This one keeps to what the documentation of the API says of objects; which
kinds there are is given, so that a cluster without the Gateway API or KEDA can be had too. Nothing runs in it: a test
says which Deployments are ready.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from kube_config import kube_config

CORE = {"v1": ("ConfigMap", "Service"), "apps/v1": ("Deployment",), "policy/v1": ("PodDisruptionBudget",),
        "autoscaling/v2": ("HorizontalPodAutoscaler",)}  # fmt: skip
GATEWAY = {"gateway.networking.k8s.io/v1": ("HTTPRoute",)}
KEDA = {"keda.sh/v1alpha1": ("ScaledObject",)}
KSERVE = {"serving.kserve.io/v1beta1": ("InferenceService",), "serving.kserve.io/v1alpha1": ("ServingRuntime",)}

Object = dict[str, Any]


class ApiServer:
    """A cluster's objects, by kind and name, and each write in its order.

    Args:
        kinds: by group and version.
        behave: is called with each object that was written, and may change it, as controllers do.
    """

    def __init__(self, kinds: dict[str, tuple[str, ...]], behave: Callable[[Object], None] = lambda made: None):
        self.kinds, self.behave = kinds, behave
        self.objects: dict[tuple[str, str], Object] = {}
        self.writes: list[tuple[str, str, str]] = []
        self._revision = 0
        self._lock = threading.Lock()

    def names(self, kind: str) -> list[str]:
        return sorted(name for known, name in self.objects if known == kind)

    def resources(self, version: str) -> Object:
        """What discovery says of a group and version."""
        return {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {"name": plural(kind), "singularName": kind.lower(), "namespaced": True, "kind": kind,
                 "verbs": ["create", "delete", "get", "list", "patch", "update"]}
                for kind in self.kinds[version]
            ],
        }  # fmt: skip

    def groups(self) -> Object:
        """The groups and their versions, the preferred one first."""
        versions: dict[str, list[Object]] = {}
        for version in self.kinds:
            group, _, name = version.rpartition("/")
            if group:
                versions.setdefault(group, []).append({"groupVersion": version, "version": name})
        found = [{"name": name, "versions": known, "preferredVersion": known[0]} for name, known in versions.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}

    def write(self, method: str, kind: str, name: str, given: Object, namespace: str) -> tuple[int, Object]:
        with self._lock:
            before = self.objects.get((kind, name))
            asked = given["metadata"].get("resourceVersion")
            if method == "POST" and before is not None:
                return 409, status(409, f"{kind} {name!r} already exists", "AlreadyExists")
            if method == "PUT" and before is None:
                return 404, status(404, f"{kind} {name!r} not found", "NotFound")
            if before is not None and asked and asked != before["metadata"]["resourceVersion"]:
                return 409, status(409, "the object has been modified; please apply your changes", "Conflict")
            self._revision += 1
            made = {**(before or {}), **given}
            made["metadata"] = {**(before or {}).get("metadata", {}), **given["metadata"], "namespace": namespace}
            changed = before is None or before.get("spec") != made.get("spec")
            generation = (before or {}).get("metadata", {}).get("generation", 0) + changed
            made["metadata"] |= {"resourceVersion": str(self._revision), "generation": generation}
            self.behave(made)
            self.objects[kind, name] = made
            self.writes.append((method, kind, name))
            return 200 if before else 201, made

    def delete(self, kind: str, name: str) -> tuple[int, Object]:
        with self._lock:
            if self.objects.pop((kind, name), None) is None:
                return 404, status(404, f"{kind} {name!r} not found", "NotFound")
            self.writes.append(("DELETE", kind, name))
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}


def plural(kind: str) -> str:
    return f"{kind.lower()}s"


def status(code: int, message: str, reason: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
            "reason": reason}  # fmt: skip


@contextmanager
def serving(server: ApiServer, path: Any) -> Iterator[None]:
    """The API server on loopback, and a file at a path by which kubectl and its kin find it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, code: int, body: Object) -> None:
            text = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = yaml.safe_load(self.rfile.read(size)) if size else None
            url = urlsplit(self.path)
            parts = url.path.strip("/").split("/")
            if parts == ["version"]:
                return self.answer(200, {"major": "1", "minor": "34"})
            if parts == ["api"]:
                return self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
            if parts == ["apis"]:
                return self.answer(200, server.groups())
            version, rest = ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
            if version not in server.kinds:
                return self.answer(404, status(404, "the server could not find the requested resource", "NotFound"))
            if not rest:
                return self.answer(200, server.resources(version))
            namespace, name = rest[1], rest[3] if len(rest) > 3 else ""
            kind = next((kind for kind in server.kinds[version] if plural(kind) == rest[2]), "")
            if self.command == "GET" and not name:
                wanted = dict(part.split("=") for part in parse_qs(url.query)["labelSelector"][0].split(","))
                items = [item for (known, _), item in sorted(server.objects.items()) if known == kind
                         and wanted.items() <= item["metadata"].get("labels", {}).items()]  # fmt: skip
                return self.answer(200, {"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": items})
            if self.command == "GET":
                found = server.objects.get((kind, name))
                missing = status(404, f"{kind} {name!r} not found", "NotFound")
                return self.answer(*((200, found) if found else (404, missing)))
            if self.command == "DELETE":
                return self.answer(*server.delete(kind, name))
            name = name or body["metadata"]["name"]
            return self.answer(*server.write(self.command, kind, name, body, namespace))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{http.server_port}"
    path.write_text(yaml.safe_dump(kube_config(address, "none")))
    try:
        yield
    finally:
        http.shutdown()
        http.server_close()
