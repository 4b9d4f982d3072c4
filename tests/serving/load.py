"""Clients that send requests all the time, and count what came of each."""

from __future__ import annotations

import collections
import contextlib
import http.client
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Load:
    """What clients saw, by the id of the request: the status, or None where no answer came; and which version."""

    port: int
    body: bytes = b"{}"
    path: str = "/predict"
    pause: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: dict[str, int | None] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[int | None, int]:
        return dict(collections.Counter(self.statuses.values()))

    @property
    def broken(self) -> int:
        """Requests that were sent, and got no answer."""
        return self.counts.get(None, 0)


_numbers = itertools.count()


@contextlib.contextmanager
def under_load(port: int, clients: int = 8, **options: Any) -> Iterator[Load]:
    """Clients at work meanwhile, each with a connection of its own that it keeps."""
    load, stop = Load(port, **options), threading.Event()
    threads = [threading.Thread(target=_client, args=(load, stop)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def ask(port: int, headers: Mapping[str, str] = {}, body: bytes = b"{}", path: str = "/predict") -> tuple[int, Any]:
    """One request, on a connection of its own: the status, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def _client(load: Load, stop: threading.Event) -> None:
    connection: http.client.HTTPConnection | None = None
    while not stop.is_set():
        name = f"load-{next(_numbers)}"
        try:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=30)
                connection.connect()
        except OSError:
            connection = None
            load.refused += 1
            stop.wait(0.02)
            continue
        stop.wait(load.pause)
        try:
            headers = {"content-type": "application/json", "x-request-id": name, **load.headers}
            connection.request("POST", load.path, load.body, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            load.statuses[name] = answer.status
            load.versions[name] = str(said.get("version", "")) if isinstance(said, dict) else ""
            if answer.headers.get("connection") == "close":
                connection = None
        except (OSError, http.client.HTTPException, ValueError) as error:
            load.statuses[name] = None
            load.errors.append(f"{name}: {error!r}")
            connection = None
