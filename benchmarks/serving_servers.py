"""How each server of `serving.py` is started, asked, and read; and the environments of those that are others' work."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from turnout.serving.directory import Directory

BIN = Path(sys.executable).parent
RIVALS = Path(__file__).parent / "serving_rivals"

Row = Mapping[str, Any]

MODEL_PACKAGES = ("mlflow", "scikit-learn", "lightgbm", "pandas", "numpy", "cloudpickle")
"""What the model needs, in the version that is installed here, in each environment."""

PACKAGES = {
    "KServe": ("kserve",),
    "MLServer": ("mlserver", "mlserver-mlflow"),
    "BentoML": ("bentoml>=1.4",),
    "LitServe": ("litserve",),
}


@dataclass(frozen=True)
class Server:
    """A server that is being started.

    Attributes:
        body: of a request for one row.
        label: the prediction in an answer.
        process: the one above all of its own.
        socket: a Unix socket to connect to, when there is one.
        log: what it has said.
    """

    url: str
    body: Callable[[Row], bytes]
    label: Callable[[Any], Any]
    process: subprocess.Popen[bytes]
    log: Path
    socket: Callable[[], str] = lambda: ""


Start = Callable[[], contextlib.AbstractContextManager[Server]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as item:
        return int(item.getsockname()[1])


@contextlib.contextmanager
def started(
    command: Sequence[str], place: Path, variables: Mapping[str, str] = {}, inside: bool = False
) -> Iterator[tuple[Any, Path]]:
    """A process meanwhile, and the file of what it says; with all that it has started it is ended.

    Args:
        place: a directory for it.
        inside: whether that is its working directory.
    """
    log = place / "log"
    environment = {**os.environ, **variables}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=place if inside else None, env=environment
        )
    try:
        yield process, log
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for item in below:
            with contextlib.suppress(psutil.Error):
                item.kill()
        process.kill()
        process.wait()


def environment(name: str, directory: Path) -> Path:
    """The environment of a server, made when it is not there: the directory of its programs.

    Raises:
        CalledProcessError: it cannot be made; its output says why.
    """
    place = directory.absolute() / name.lower()
    uv = str(BIN / "uv") if (BIN / "uv").exists() else shutil.which("uv") or "uv"
    wanted = [*PACKAGES[name], *(f"{package}=={version(package)}" for package in MODEL_PACKAGES)]
    made = place / "made.txt"
    if not made.exists() or made.read_text() != "\n".join(wanted):
        run = partial(subprocess.run, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)])
        run([uv, "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), *wanted])
        made.write_text("\n".join(wanted))
    return place / "bin"


@contextlib.contextmanager
def turnout(model: str, alone: bool) -> Iterator[Server]:
    """With all that is on by default: the request log, metrics, bounds; one worker.

    Args:
        alone: ask the worker itself, and not Envoy.
    """
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        serving = Directory(Path(place) / "serving")
        command = [str(BIN / "turnout"), "serve", model, "--port", str(port), "--directory", str(serving.path),
                   "--workers", "1"]  # fmt: skip

        def worker() -> str:
            return str(next(path for path in serving.sockets.iterdir() if "admin" not in path.name))

        with started(command, Path(place)) as (process, log):
            yield Server(f"http://127.0.0.1:{port}/predict", _object, lambda answer: answer["prediction"], process, log,
                         worker if alone else lambda: "")  # fmt: skip


@contextlib.contextmanager
def bare_loop(directory: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        command = [sys.executable, str(RIVALS / "bare_loop.py"), str(directory), str(port)]
        with started(command, Path(place)) as (process, log):
            yield Server(f"http://127.0.0.1:{port}/", _object, lambda answer: answer["prediction"], process, log)


@contextlib.contextmanager
def mlflow(directory: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        command = [str(BIN / "mlflow"), "models", "serve", "-m", str(directory), "-p", str(port),
                   "--env-manager", "local", "--workers", "1"]  # fmt: skip
        with started(command, Path(place)) as (process, log):
            url = f"http://127.0.0.1:{port}/invocations"
            yield Server(url, _split, lambda answer: answer["predictions"][0], process, log)


@contextlib.contextmanager
def kserve(directory: Path, programs: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        command = [str(programs / "python"), str(RIVALS / "kserve_server.py"), str(directory), str(port)]
        with started(command, Path(place)) as (process, log):
            url = f"http://127.0.0.1:{port}/v1/models/model:predict"
            yield Server(url, lambda row: json.dumps({"instances": [row]}).encode(),
                         lambda answer: answer["predictions"][0], process, log)  # fmt: skip


@contextlib.contextmanager
def mlserver(directory: Path, programs: Path) -> Iterator[Server]:
    """As https://docs.seldon.ai/mlserver/examples/mlflow shows it; its runtime takes requests in MLflow's form.

    The model is called in the server's own process (`parallel_workers`): one of its worker processes would be a second
    one, and with uvloop 0.22 none starts.
    """
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port, grpc, metrics = free_port(), free_port(), free_port()
        settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics,
                    "parallel_workers": 0}  # fmt: skip
        model = {"name": "model", "implementation": "mlserver_mlflow.MLflowRuntime",
                 "parameters": {"uri": str(directory)}}  # fmt: skip
        (Path(place) / "settings.json").write_text(json.dumps(settings))
        (Path(place) / "model-settings.json").write_text(json.dumps(model))
        with started([str(programs / "mlserver"), "start", place], Path(place), inside=True) as (process, log):
            url = f"http://127.0.0.1:{port}/invocations"
            yield Server(url, _split, lambda answer: answer["predictions"][0], process, log)


@contextlib.contextmanager
def bentoml(directory: Path, programs: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        variables = {"BENTOML_HOME": f"{place}/home", "SERVED_MODEL": str(directory), "BENTOML_DO_NOT_TRACK": "True"}
        shutil.copy(RIVALS / "bentoml_server.py", place)
        command = [str(programs / "python"), "-m", "bentoml", "serve", "bentoml_server:Served", "--host", "127.0.0.1",
                   "--port", str(port)]  # fmt: skip
        with started(command, Path(place), variables, inside=True) as (process, log):
            yield Server(f"http://127.0.0.1:{port}/predict", lambda row: json.dumps({"input_data": [row]}).encode(),
                         lambda answer: answer[0], process, log)  # fmt: skip


@contextlib.contextmanager
def litserve(directory: Path, programs: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        port = free_port()
        command = [str(programs / "python"), str(RIVALS / "litserve_server.py"), str(directory), str(port)]
        with started(command, Path(place)) as (process, log):
            yield Server(f"http://127.0.0.1:{port}/predict", lambda row: json.dumps({"input": [row]}).encode(),
                         lambda answer: answer["output"][0], process, log)  # fmt: skip


OTHERS: dict[str, Callable[[Path, Path], contextlib.AbstractContextManager[Server]]] = {
    "KServe": kserve,
    "MLServer": mlserver,
    "BentoML": bentoml,
    "LitServe": litserve,
}


def _object(row: Row) -> bytes:
    return json.dumps(row).encode()


def _split(row: Row) -> bytes:
    return json.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}).encode()
