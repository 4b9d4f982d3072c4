"""As much of Docker's engine as a step asks for: its API over HTTP, running containers as processes.

No engine can run in a test. This one keeps to Docker Engine's API reference: a container is made, started, followed,
waited for, stopped and removed, each by a request of its own. A container sees this machine's files, so a bind mount
is in its place already if it is mounted at its own path; any other is refused. A volume is a directory, and where it is
mounted is replaced in commands.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_CONTAINER = re.compile(r"/containers/(?P<id>[0-9a-f]+)(?:/(?P<action>\w+))?")


@dataclass
class Container:
    """A container: what it was made with, its process once it is started, and its log."""

    made: dict[str, Any]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    out_of_memory: bool = False


class Engine:
    """An engine on loopback; a context manager.

    Args:
        image: variables of every image.
        images: names of the images that are here.
        in_registry: names of those that can be pulled.
    """

    def __init__(self, image: Mapping[str, str], images: Sequence[str] = (), in_registry: Sequence[str] = ()):
        self.image, self.images, self.in_registry = image, set(images), set(in_registry)
        self.containers: dict[str, Container] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.made: list[dict[str, Any]] = []
        self.logins: list[dict[str, Any]] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, content: Any, status: int = 200) -> None:
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def handle_request(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                url = urlsplit(self.path)
                path = re.sub(r"^/v[\d.]+", "", url.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                engine.answer(self, self.command, path, query, body)

            do_GET = do_POST = do_DELETE = handle_request

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        for identity in list(self.containers):
            self.remove(identity)
        self.server.shutdown()
        self.server.server_close()

    @property
    def host(self) -> str:
        return f"tcp://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: Any, method: str, path: str, query: Mapping[str, str], body: dict[str, Any]) -> None:
        match = _CONTAINER.fullmatch(path)
        if path == "/version":
            request.answer({"ApiVersion": "1.45", "MinAPIVersion": "1.24", "Version": "test"})
        elif path == "/_ping":
            request.answer(b"OK")
        elif path == "/auth":
            self.logins.append(body)
            request.answer({"Status": "Login Succeeded"})
        elif path == "/images/json":
            wanted = query.get("reference") or json.loads(query.get("filters", "{}")).get("reference", [""])[0]
            request.answer([{"Id": name, "RepoTags": [name]} for name in self.images if name == wanted])
        elif path == "/images/create":
            name = f"{query['fromImage']}:{query['tag']}"
            if name in self.in_registry:
                self.images.add(name)
            request.answer({"status": f"Pulled {name}"} if name in self.in_registry else {"error": f"no {name}"})
        elif path == "/containers/json":
            (label,) = json.loads(query.get("filters", "{}")).get("label", [""])
            name, _, value = label.partition("=")
            found = [key for key, item in self.containers.items() if item.made["Labels"].get(name) == value]
            request.answer([{"Id": key} for key in found])
        elif path == "/containers/create":
            self._create(request, body)
        elif path == "/volumes/create":
            directory = tempfile.mkdtemp(prefix="volume-")
            request.answer(self.volumes.setdefault(body["Name"], {**body, "Mountpoint": directory}), 201)
        elif path.startswith("/volumes/") and (name := path.removeprefix("/volumes/")) in self.volumes:
            there = self.volumes.pop(name) if method == "DELETE" else self.volumes[name]
            if method == "DELETE":
                shutil.rmtree(there["Mountpoint"])
            request.answer(b"" if method == "DELETE" else there, 204 if method == "DELETE" else 200)
        elif match and match["id"] in self.containers:
            self._act(request, method, match["id"], match["action"], query)
        else:
            request.answer({"message": f"no {path}"}, 404)

    def _create(self, request: Any, body: dict[str, Any]) -> None:
        binds = [item for item in body["HostConfig"].get("Mounts", ()) if item["Type"] == "bind"]
        if body["Image"] not in self.images:
            request.answer({"message": f"no such image: {body['Image']}"}, 404)
        elif wrong := [item for item in binds if item["Source"] != item["Target"] or not Path(item["Source"]).exists()]:
            request.answer({"message": f"bind source path does not exist: {wrong}"}, 400)
        else:
            identity = uuid.uuid4().hex
            descriptor, log = tempfile.mkstemp(prefix="container-")
            os.close(descriptor)
            self.containers[identity] = Container(body, Path(log))
            self.made.append(body)
            request.answer({"Id": identity, "Warnings": []}, 201)

    def _act(self, request: Any, method: str, identity: str, action: str | None, query: Mapping[str, str]) -> None:
        container = self.containers[identity]
        if method == "DELETE":
            self.remove(identity)
            request.answer(b"", 204)
        elif action == "start":
            self._start(container)
            request.answer(b"", 204)
        elif action == "stop":
            self._stop(container, float(query.get("t", 10)))
            request.answer(b"", 204)
        elif action == "wait":
            assert container.process is not None
            request.answer({"StatusCode": _status(container.process.wait())})
        elif action == "logs":
            self._logs(request, container, follow=query.get("follow") in ("1", "true", "True"))
        else:
            process = container.process
            code = process.poll() if process else 0
            state = {
                "Running": bool(process) and code is None,
                "ExitCode": _status(code or 0),
                "OOMKilled": container.out_of_memory,
            }
            request.answer({"Id": identity, "State": state, "Config": {"Tty": False}})

    def _start(self, container: Container) -> None:
        made = container.made
        variables = {**self.image, **dict(item.split("=", 1) for item in made.get("Env") or ())}
        volumes = [item for item in made["HostConfig"].get("Mounts", ()) if item.get("Source") in self.volumes]

        def placed(text: str) -> str:
            for item in volumes:
                there = self.volumes[item["Source"]]["Mountpoint"]
                text = re.sub(rf"{re.escape(item['Target'])}(?=[/\"'\s]|$)", there, text)
            return text

        with container.log.open("wb") as file:
            container.process = subprocess.Popen(
                [placed(item) for item in [*made["Entrypoint"], *(made.get("Cmd") or ())]],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _stop(self, container: Container, grace: float) -> None:
        if (process := container.process) is not None and process.poll() is None:
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
            _signal(process, signal.SIGKILL)
            process.wait()

    def out_of_memory(self, identity: str) -> None:
        """What the kernel does to a container that takes too much memory."""
        container = self.containers[identity]
        container.out_of_memory = True
        assert container.process is not None
        _signal(container.process, signal.SIGKILL)

    def remove(self, identity: str) -> None:
        container = self.containers.pop(identity)
        self._stop(container, 0)
        container.log.unlink(missing_ok=True)

    def _logs(self, request: Any, container: Container, *, follow: bool) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/vnd.docker.multiplexed-stream")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        with contextlib.suppress(OSError), container.log.open("rb") as file:
            while True:
                over = not follow or container.process is None or container.process.poll() is not None
                if content := file.read():
                    frame = struct.pack(">BxxxL", 1, len(content)) + content
                    request.wfile.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
                if over:
                    break
                time.sleep(0.05)
            request.wfile.write(b"0\r\n\r\n")


def _status(code: int) -> int:
    """Docker's exit status: 128 and the signal's number, for a signal."""
    return code if code >= 0 else 128 - code


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
