"""The server that tests of gRPC ask: two workers of a real model, behind a real Envoy; and calls to it."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import workers
from waiting import free_ports
from workers import Running

from turnout.serving import access_log
from turnout.serving.envoy.api import GROUPS, ROUTES
from turnout.serving.envoy.listener import Listening
from turnout.serving.envoy.processes import Envoys
from turnout.serving.envoy.traffic import Group, groups, routes
from turnout.serving.release import Release, Served

MODEL = "digits"
INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Behind:
    """An Envoy, and the workers behind it by version."""

    envoys: Envoys
    directory: Path
    workers: dict[str, Running]
    groups: dict[str, Group]

    @property
    def listening(self) -> Listening:
        return self.envoys.listening

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listening.port}"

    def release(self, *versions: Served, sticky: str = "") -> None:
        """Route requests; only to those versions that the release has."""
        ready = {served.version: self.groups[served.version].name for served in versions}
        self.envoys.apply(ROUTES, [routes(Release(MODEL, versions, sticky=sticky), self.listening, ready)])

    def lines(self) -> dict[str, dict[str, Any]]:
        """The access log, by request id."""
        return {line["request_id"]: line for line in access_log.Reader(self.directory).lines()}


@contextlib.contextmanager
def behind(
    directory: Path, model: Path, versions: Sequence[str], requests: int = 1024, settings: dict[str, Any] = {},
    **listening: Any,
) -> Iterator[Behind]:  # fmt: skip
    """Workers of a model's files, one for each version, and an Envoy before them.

    Args:
        requests: that a version may have at work.
        settings: of the workers.
        listening: of Envoy.
    """
    with contextlib.ExitStack() as stack:
        running = {
            version: stack.enter_context(
                workers.worker(directory / f"w{version}", model, version=version, inline_ms=1000.0, **settings)
            )
            for version in versions
        }
        grouped = {
            version: Group(f"v{version}", version, (one.settings.socket,), requests) for version, one in running.items()
        }
        listens = Listening(free_ports(1)[0], drain_s=1.0, **listening)
        place = directory / "envoy"
        place.mkdir()
        envoys = Envoys(listens, place, directory / access_log.CURRENT, place, 1, 1, dict(os.environ))
        found = Behind(envoys, directory, running, grouped)
        envoys.write(GROUPS, groups(list(grouped.values()), listens))
        first = Release(MODEL, (Served(versions[0], 100.0),))
        envoys.write(ROUTES, [routes(first, listens, {versions[0]: grouped[versions[0]].name})])
        envoys.start()
        stack.callback(envoys.end)
        yield found


def tensor(name: str, datatype: str, values: Any, shape: Sequence[int] | None = None) -> triton.InferInput:
    """An input of the client's, which it sends as bytes."""
    array = np.asarray(values, object if datatype == "BYTES" else None)
    made = triton.InferInput(name, list(shape or array.shape), datatype)
    made.set_data_from_numpy(array.reshape(made.shape()))
    return made


def inputs(count: int = 1) -> list[triton.InferInput]:
    """Rows of `workers.mixed_rows`'s columns."""
    return [
        tensor("number", "FP64", np.linspace(-1, 1, count)),
        tensor("count", "INT64", np.arange(count)),
        tensor("kind", "BYTES", ["a", "b", "c"] * (count // 3) + ["a"] * (count % 3)),
    ]


def framed(message: bytes, packed: int = 0) -> bytes:
    """A message as the body of a call."""
    return struct.pack(">BI", packed, len(message)) + message
