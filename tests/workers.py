"""Workers of tests: models saved as MLflow saves them, processes that serve them, and requests to these."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.serving.settings import WorkerSettings

if TYPE_CHECKING:
    import pandas as pd


def save(estimator: Any, inputs: pd.DataFrame, directory: Path) -> Path:
    """A fitted estimator's files, as MLflow has them, with the signature and the example of its input."""
    import mlflow

    from turnout.models.files import preparation_inside

    signature = mlflow.models.infer_signature(inputs, estimator.predict(inputs.head(5)))
    with preparation_inside():
        mlflow.sklearn.save_model(
            estimator, str(directory), signature=signature, input_example=inputs.head(5),
            serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
        )  # fmt: skip
    return directory


def mixed_rows() -> pd.DataFrame:
    """Two numbers, one of them whole, and a category; with nulls."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 300)
    return pd.DataFrame(
        {
            "number": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300)),
            "count": rng.integers(0, 9, 300),
            "kind": pd.Series(np.where(rng.random(300) < 0.1, None, kind), dtype=object),
        }
    )


def mixed_model(directory: Path) -> Path:
    """The files of a classifier of such rows."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = mixed_rows()
    encode = make_column_transformer(
        (SimpleImputer(), ["number", "count"]), (OneHotEncoder(handle_unknown="ignore"), ["kind"])
    )
    labels = (rows.number.fillna(0) + (rows.kind == "a") > 0.4).astype(int)
    return save(make_pipeline(encode, LogisticRegression()).fit(rows, labels), rows, directory)


def compiled_model(directory: Path) -> Path:
    """The files of a classifier of such rows that has a compiled form, and no pickle any more."""
    from turnout.models.compiled.making import compile_model

    files = mixed_model(directory)
    compile_model(files, mixed_rows(), "the training", files / "compiled")
    (files / "model.pkl").unlink()
    return files


def as_json(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client sends them: nulls for what is missing."""
    import pyarrow as pa

    return pa.Table.from_pandas(rows, preserve_index=False).to_pylist()


def expected(model: Path, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What batch inference predicts."""
    import pyarrow as pa

    from turnout.models.scorer import Scorer

    return pa.table(Scorer(model)(pa.RecordBatch.from_pandas(rows, preserve_index=False))).to_pylist()


@dataclass(frozen=True)
class Answered:
    """An answer; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: str, timeout: float = 30):
        super().__init__("worker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> Answered:
        """One request; a body that is no text or bytes is sent as JSON."""
        data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        self.request(method, path, data, dict(headers))
        answer = self.getresponse()
        return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


@dataclass(frozen=True)
class Running:
    """A worker's process."""

    settings: WorkerSettings
    pid: int
    log: Path
    process: Any = None

    def connect(self, timeout: float = 30) -> Connection:
        return Connection(self.settings.socket, timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> Answered:
        with contextlib.closing(self.connect()) as connection:
            return connection.ask(method, path, body, headers)

    def post(self, path: str, body: Any, headers: Mapping[str, str] = {}) -> Answered:
        return self.ask("POST", path, body, headers)

    def raw(self, data: bytes, timeout: float = 10) -> bytes:
        """All that comes back for bytes that need not be HTTP."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(self.settings.socket)
            with contextlib.suppress(BrokenPipeError):
                client.sendall(data)
            found = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := client.recv(65536):
                    found += piece
            return found

    def metrics(self) -> dict[str, float]:
        """The value of each line of metrics, without the labels that all have."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        model, version = self.settings.model, self.settings.version
        common = f'model="{model}"', f'version="{version}"'
        return {_without(name, common): float(value) for name, _, value in found}

    def resident(self) -> int:
        """Bytes of memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def ended(self, timeout: float = 60) -> tuple[int, str]:
        """Its exit status when it has ended, and what it said on standard error."""
        self.process.join(timeout)
        return self.process.exitcode, self.log.read_text()


def _without(name: str, labels: tuple[str, ...]) -> str:
    metric, _, inner = name.partition("{")
    left = [label for label in inner.removesuffix("}").split(",") if label and label not in labels]
    return f"{metric}{{{','.join(left)}}}" if left else metric


@functools.cache
def _forking() -> Any:
    """Starts workers by a fork of a process that has imported all: it takes seconds else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["turnout.serving.worker", "mlflow.sklearn", "sklearn.linear_model", "pandas"])
    return context


def _serve(settings: str, log: str) -> None:
    with open(log, "w") as file:  # noqa: PTH123
        os.dup2(file.fileno(), 2)
        from turnout.serving.worker import main

        status = main(settings)
        sys.stderr.flush()
        os._exit(status)


@contextlib.contextmanager
def worker(directory: Path, model: Path, wait: bool = True, **settings: Any) -> Iterator[Running]:
    """A worker in a process of its own, ready.

    Args:
        directory: for its settings and its socket.
        model: files of the model.
    """
    directory.mkdir(parents=True, exist_ok=True)
    chosen = WorkerSettings(**{"model": "digits", "version": "3", "directory": str(model),
                               "socket": str(directory / "worker.sock"), **settings})  # fmt: skip
    file, log = directory / "settings.json", directory / "stderr.txt"
    file.write_text(chosen.to_json())
    process = _forking().Process(target=_serve, args=(str(file), str(log)))
    process.start()
    running = Running(chosen, process.pid, log, process)
    try:
        if wait:
            ready(running)
        yield running
    finally:
        if process.is_alive():
            process.kill()
        process.join()


def ready(running: Running, timeout: float = 120) -> None:
    """Wait until a worker is ready."""
    ends = time.monotonic() + timeout
    while time.monotonic() < ends:
        if running.process and not running.process.is_alive():
            raise AssertionError(f"the worker ended: {running.log.read_text()}")
        with contextlib.suppress(OSError):
            if running.ask("GET", "/health/ready").status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the worker is not ready")
