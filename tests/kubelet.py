"""As much of a cluster as a pod of ours asks for: an API server over HTTP that runs pods as processes.

No cluster can run in a test. This one keeps to what the documentation of pods says: init containers one
after the other, one that always restarts beside the others, which is told when they have ended; then the
phase. Volumes are directories, and their mount paths are replaced in commands and variables.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kube_config import kube_config

_POD = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods(?:/(?P<name>[^/]+))?(?P<log>/log)?")
_CLAIM = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/persistentvolumeclaims(?:/(?P<name>[^/]+))?")
_NOW = "2026-01-01T00:00:00Z"


class Cluster:
    """A cluster on loopback.

    Args:
        image: variables of every image.
        secrets: values by secret or config map, and key.
    """

    def __init__(self, image: Mapping[str, str], secrets: Mapping[str, Mapping[str, str]]):
        self.image, self.secrets = image, secrets
        self.pods: dict[str, dict[str, Any]] = {}
        self.made: list[dict[str, Any]] = []
        self.claims: dict[str, dict[str, Any]] = {}
        self.disks: dict[str, str] = {}
        self.groups: dict[str, list[subprocess.Popen[bytes]]] = {}
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, content: Any, status: int = 200) -> None:
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(content, bytes) else "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):
                    self.wfile.write(body)

            def stream(self, pieces: Iterator[bytes]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with contextlib.suppress(OSError):
                    for piece in pieces:
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")

            def handle_request(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                url = urlsplit(self.path)
                match = _POD.fullmatch(url.path)
                if claim := _CLAIM.fullmatch(url.path):
                    self.answer(*cluster.claim(self.command, claim["name"], body))
                    return
                if match is None:
                    self.answer({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": []})
                    return
                name = match["name"]
                if self.command == "POST":
                    self.answer(cluster.create(body, match["namespace"]), 201)
                elif not name:
                    labels = parse_qs(url.query).get("labelSelector", [""])[0]
                    found = [pod for pod in cluster.pods.values() if _selected(pod, labels)]
                    self.answer({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": found})
                elif name not in cluster.pods:
                    self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}, 404)
                elif match["log"]:
                    query = {key: value[0] == "True" for key, value in parse_qs(url.query).items()}
                    if query.get("follow"):
                        self.stream(cluster.follow(name, query.get("timestamps", False)))
                    else:
                        self.answer(_stamped(cluster.log(name)) if query.get("timestamps") else cluster.log(name))
                elif self.command == "PATCH":
                    cluster.pods[name]["metadata"]["labels"].update(body["metadata"].get("labels", {}))
                    self.answer(cluster.pods[name])
                elif self.command == "DELETE":
                    self.answer(cluster.delete(name))
                else:
                    self.answer(cluster.pods[name])

            do_GET = do_POST = do_PATCH = do_DELETE = handle_request

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def kube_config(self) -> dict[str, Any]:
        return kube_config(f"http://127.0.0.1:{self.server.server_address[1]}")

    def create(self, pod: dict[str, Any], namespace: str) -> dict[str, Any]:
        name = pod["metadata"]["name"]
        pod["metadata"] |= {"uid": name, "creationTimestamp": _NOW, "namespace": namespace}
        self.made.append(json.loads(json.dumps(pod)))
        pod["status"] = {"phase": "Pending", "containerStatuses": [], "startTime": _NOW}
        self.pods[name], self.groups[name] = pod, []
        threading.Thread(target=self._run, args=(pod,), daemon=True).start()
        return pod

    def claim(self, command: str, name: str | None, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Make, show or remove a claim; its disk is a directory."""
        key = name or body["metadata"]["name"]
        if (command == "POST") == (key in self.claims):
            code = 409 if command == "POST" else 404
            return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}, code
        if command == "POST":
            self.claims[key], self.disks[key] = body, tempfile.mkdtemp(prefix="claim-")
            return body, 201
        if command == "DELETE":
            shutil.rmtree(self.disks.pop(key))
            return self.claims.pop(key), 200
        return self.claims[key], 200

    def delete(self, name: str) -> dict[str, Any]:
        pod = self.pods.pop(name)
        for process in self.groups[name]:
            _signal(process, signal.SIGKILL)
        return pod

    def kill_base(self, name: str) -> None:
        """What the kernel does to a container that takes too much memory."""
        _signal(self.groups[name][-1], signal.SIGKILL)

    def _end_late(self, name: str) -> None:
        """What the kubelet does to a pod that takes longer than its deadline."""
        if name in self.pods:
            self.pods[name]["status"]["reason"] = "DeadlineExceeded"
            self.kill_base(name)

    def log(self, name: str) -> bytes:
        file = Path(tempfile.gettempdir(), f"pod-{name}.log")
        return file.read_bytes() if file.exists() else b""

    def follow(self, name: str, timestamps: bool) -> Iterator[bytes]:
        """The log as it grows, until the pod has ended."""
        told = 0
        while True:
            over = name not in self.pods or self.pods[name]["status"]["phase"] in ("Succeeded", "Failed")
            log = self.log(name)
            if not over:
                log = log[: log.rfind(b"\n") + 1]
            content = _stamped(log) if timestamps else log
            if len(content) > told:
                yield content[told:]
                told = len(content)
            if over:
                return
            time.sleep(0.1)

    def stop(self) -> None:
        for name in list(self.pods):
            self.delete(name)
        self.server.shutdown()
        self.server.server_close()

    def _run(self, pod: dict[str, Any]) -> None:
        name, spec, status = pod["metadata"]["name"], pod["spec"], pod["status"]
        volumes = {item["name"]: item.get("hostPath", {}).get("path") for item in spec["volumes"]}
        claims = {
            item["name"]: item["persistentVolumeClaim"]
            for item in spec["volumes"]
            if len(item) == 2 and "persistentVolumeClaim" in item
        }
        volumes |= {key: self.disks[claim["claimName"]] for key, claim in claims.items()}
        made = [key for key, path in volumes.items() if not path]
        volumes |= {key: tempfile.mkdtemp(prefix=f"volume-{key}-") for key in made}
        log = Path(tempfile.gettempdir(), f"pod-{name}.log")
        log.unlink(missing_ok=True)
        side_cars: list[subprocess.Popen[bytes]] = []
        deadline = threading.Timer(spec.get("activeDeadlineSeconds") or 0, self._end_late, args=(name,))
        if spec.get("activeDeadlineSeconds"):
            deadline.start()
        code = 0
        try:
            for container in spec["initContainers"]:
                process = self._start(container, volumes, log.with_suffix(".init"))
                self.groups[name].append(process)
                if container.get("restartPolicy") == "Always":
                    side_cars.append(process)
                else:
                    code = code or process.wait()
            if not code:
                (container,) = spec["containers"]
                base = self._start(container, volumes, log)
                self.groups[name].append(base)
                status |= {"phase": "Running", "containerStatuses": [_state({"running": {"startedAt": _NOW}})]}
                code = base.wait()
            for process in side_cars:
                _signal(process, signal.SIGTERM)
                process.wait(spec["terminationGracePeriodSeconds"])
            ended = {
                "exitCode": code,
                "reason": "Error" if code else "Completed",
                "startedAt": _NOW,
                "finishedAt": _NOW,
            }
            status |= {"containerStatuses": [_state({"terminated": ended})]}
            status |= {"phase": "Failed" if code else "Succeeded"}
        finally:
            deadline.cancel()
            for key in made:
                shutil.rmtree(volumes[key], ignore_errors=True)

    def _start(self, container: dict[str, Any], volumes: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        paths = {item["mountPath"]: volumes[item["name"]] for item in container["volumeMounts"]}

        def placed(text: str) -> str:
            for mount, directory in paths.items():
                text = re.sub(rf"{re.escape(mount)}(?=[/\"'\s]|$)", directory, text)
            return text

        variables = dict(self.image)
        for item in container.get("env") or ():
            source = item.get("valueFrom") or {}
            reference = source.get("secretKeyRef") or source.get("configMapKeyRef")
            value = self.secrets[reference["name"]][reference["key"]] if reference else item.get("value", "")
            variables[item["name"]] = placed(value)
        with log.open("ab") as file:
            # In a group of its own, as a container is: ending one leaves the others.
            return subprocess.Popen(
                [placed(item) for item in container["command"]],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _state(state: dict[str, Any]) -> dict[str, Any]:
    return {"name": "base", "state": state, "ready": True, "restartCount": 0, "image": "", "imageID": ""}


def _stamped(log: bytes) -> bytes:
    """A log with a time before each line, as the API gives it."""
    lines = log.splitlines(keepends=True)
    return b"".join(f"2026-01-01T00:00:00.{index:09d}Z ".encode() + line for index, line in enumerate(lines))


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


def _selected(pod: dict[str, Any], selector: str) -> bool:
    labels = pod["metadata"].get("labels", {})
    for part in filter(None, selector.split(",")):
        if part.startswith("!"):
            if part[1:] in labels:
                return False
        elif "!=" in part:
            key, _, value = part.partition("!=")
            if labels.get(key) == value:
                return False
        else:
            key, _, value = part.partition("=")
            if labels.get(key, "") != value:
                return False
    return True
