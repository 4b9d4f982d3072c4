"""A server of MLflow that is not there, or says nothing: an error within seconds, with its address."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model

from turnout import ComponentError
from turnout.components.cool_down import cool_down
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.monitor import monitor
from turnout.components.pin_model import pin_model
from turnout.components.predict import predict
from turnout.components.register import register
from turnout.components.train import train
from turnout.models import outside
from turnout.trackers.mlflow import require_answer


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch, tracking: str) -> Callable[[str], None]:
    """Makes an address that of MLflow."""

    def choose(uri: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)

    yield choose
    mlflow.set_tracking_uri(tracking)


def test_a_server_that_says_nothing_is_told_within_fifteen_seconds(chosen, silent: int) -> None:
    chosen(f"http://user:secret@127.0.0.1:{silent}")
    started = time.monotonic()
    with pytest.raises(ComponentError, match=rf"said nothing for 8 s @ http://127.0.0.1:{silent}\n") as raised:
        require_answer()
    assert time.monotonic() - started < 15
    assert "secret" not in str(raised.value)


CALLS: dict[str, Callable[[Callable[..., Any], Any], Any]] = {
    "train": lambda artifact, data: train.python_func(
        data=data, model=artifact(Model, "model"), metrics=artifact(Metrics, "metrics"), target="target",
    ),
    "evaluate": lambda artifact, data: evaluate.python_func(
        model=artifact(Model, "model", task="regression", target="number", mlflow_run_id="1", mlflow_model_uri="m"),
        data=data, metrics=artifact(Metrics, "metrics"), classification=artifact(ClassificationMetrics, "classes"),
        report=artifact(HTML, "report"), registered_model="m", metric="r2",
    ),
    "register": lambda artifact, data: register.python_func(
        model=artifact(Model, "model", task="regression", target="number", mlflow_run_id="1", mlflow_model_uri="m"),
        registered_model="m",
    ),
    "deploy": lambda artifact, data: deploy.python_func(sample=data, registered_model="m", version="1"),
    "pin_model": lambda artifact, data: pin_model.python_func(model="models:/m@champion"),
    "predict": lambda artifact, data: predict.python_func(
        data=data, model="models:/m/1", table="table", since="2024-01-01", until="2024-01-02", timestamp="when",
        predictions=artifact(Dataset, "out"), metrics=artifact(Metrics, "metrics"),
    ),
    "monitor": lambda artifact, data: monitor.python_func(
        data=data, model="models:/m/1", report=artifact(HTML, "report"), findings=artifact(Artifact, "findings"),
        metrics=artifact(Metrics, "metrics"),
    ),
    "cool_down": lambda artifact, data: cool_down.python_func(registered_model="m", days=1.0),
    "the state that a cache asks for": lambda artifact, data: outside.champion("m"),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_component_tells_at_once_that_nobody_listens(artifact, table, chosen, closed: int, call: Any) -> None:
    data = artifact(Dataset, "data", table)
    chosen(f"http://127.0.0.1:{closed}/mlflow")
    with pytest.raises(ComponentError, match=rf"refused @ http://127.0.0.1:{closed}/mlflow\n") as raised:
        call(artifact, data)
    assert "MLFLOW_TRACKING_URI" in str(raised.value)


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg2://user:secret@127.0.0.1:{}/mlflow", "http://user:secret@127.0.0.1:{}"]
)
def test_the_registry_is_asked_too_and_its_password_is_not_told(tracking, closed: int, uri: str, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri.format(closed))
    with pytest.raises(ComponentError, match=rf"refused @ .*127.0.0.1:{closed}") as raised:
        require_answer()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("status", [200, 302, 401, 404, 500])
def test_any_answer_will_do(chosen, status: int) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        chosen(f"http://127.0.0.1:{server.server_port}")
        require_answer()
    finally:
        server.shutdown()
        server.server_close()
