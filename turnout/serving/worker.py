"""One process that answers requests for one version of a model: `python -m turnout.serving.worker SETTINGS.json`.

It listens on its socket at once, so that it is seen to live, and is ready when the model is loaded and warm. On SIGTERM
it is not ready any more, answers what comes on open connections and closes each after its answer, and ends when none is
left. It exits with 3 when the model cannot be served, and says why on standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import uvicorn

from turnout.errors import ComponentError, TurnoutError
from turnout.serving.answering import tell
from turnout.serving.app import App
from turnout.serving.connections import BoundedProtocol, close_slow
from turnout.serving.immediate import protocol_class
from turnout.serving.metrics import Metrics
from turnout.serving.model import ModelError, ServedModel
from turnout.serving.predictor import Predictor
from turnout.serving.request_log import RequestLog
from turnout.serving.settings import WorkerSettings

if TYPE_CHECKING:
    from turnout.serving.lookup import Lookup

CANNOT_SERVE = 3
"""The exit status when there is no use in starting the worker again as it is."""

_BACKLOG = 1024
_QUIET_S = 0.5
"""While no request comes on connections that stay open, the time after which a worker that ends closes them."""


class Worker(uvicorn.Server):
    """A server that drains: see the module."""

    def __init__(self, settings: WorkerSettings):
        self.settings = settings
        self.metrics = Metrics(settings.model, settings.version)
        self.app = App(settings, self.metrics)
        self.failed: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.log: RequestLog | None = None
        super().__init__(
            uvicorn.Config(
                self.app,
                uds=settings.socket,
                http=protocol_class(settings, self.app),
                loop="uvloop",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=_BACKLOG,
                # Much longer than Envoy keeps idle ones (30 s): who closes first loses a request that is on its way.
                timeout_keep_alive=2 * 3600,
                timeout_graceful_shutdown=1,
            )
        )
        self.app.tasks = self.server_state.tasks

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals begin the draining, and not uvicorn's shutdown."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self._keep(loop.create_task(self._drain())))
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(FileNotFoundError):
            Path(self.settings.socket).unlink()
        await super().startup()
        Path(self.settings.socket).chmod(0o600)  # uvicorn lets everybody in
        self._keep(asyncio.create_task(self._load()))
        self._keep(asyncio.create_task(close_slow(self.server_state, min(1.0, self.settings.read_time_out_s / 4))))

    def _keep(self, task: asyncio.Task[None]) -> None:
        """Asyncio itself does not hold its tasks."""
        self._tasks.add(task)

    async def _load(self) -> None:
        try:
            run = asyncio.get_running_loop().run_in_executor
            thread = ThreadPoolExecutor(1, thread_name_prefix="load")  # at the end nobody waits for it
            predictor = await run(thread, load, self.settings, self.metrics)
            lookup = await run(thread, self._lookup, predictor) if self.settings.feature_service else None
            self.log = self._request_log(predictor)
            tell(self.settings.socket, predictor.model.answering)
            gc.collect()
            gc.freeze()  # what stays for ever is not looked through again and again, while requests wait
            self.app.serve(predictor, self.log, lookup)
        except Exception as error:  # a model's code, and what reads it, may raise anything
            self.failed, self.should_exit = error, True

    def _lookup(self, predictor: Predictor) -> Lookup:
        from turnout.serving.lookup import open_lookup  # Feast takes seconds

        settings, inputs = self.settings, predictor.model.inputs
        return open_lookup(settings.feature_repository, settings.feature_service, inputs, settings.time_out_s)

    def _request_log(self, predictor: Predictor) -> RequestLog | None:
        settings, model = self.settings, predictor.model
        if not settings.log_directory:
            return None
        if unknown := set(settings.masked_columns) - set(model.inputs.names):
            raise ComponentError(f"no such columns to mask: {', '.join(sorted(unknown))}", where="masked_columns",
                                 available=model.inputs.names, hint="name columns that the model takes")  # fmt: skip
        return RequestLog(
            settings.log_directory, f"{settings.model}-{settings.version}".replace("/", "_"), model.inputs.schema,
            model.outputs, masked=settings.masked_columns, sample=settings.log_sample, flush_s=settings.log_flush_s,
            count=self.metrics.logged, failures=Path(settings.log_directory).with_name("failures"),
        )  # fmt: skip

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.log is not None:  # after the last answer
            await asyncio.get_running_loop().run_in_executor(None, self.log.close)

    async def _drain(self) -> None:
        """Answer what comes until nobody is left who could send a request, or until time is over."""
        if self.app.draining:
            return
        self.app.draining = True
        Path(self.settings.socket).unlink(missing_ok=True)  # new clients are refused; those in the backlog are not
        ends, quiet_since = time.monotonic() + self.settings.drain_s, time.monotonic()
        seen = self.server_state.total_requests
        while self.server_state.connections and time.monotonic() < ends:
            await asyncio.sleep(0.02)
            now, total = time.monotonic(), self.server_state.total_requests
            open_ = [item for item in self.server_state.connections if isinstance(item, BoundedProtocol)]
            if total != seen or not all(connection.idle for connection in open_):
                seen, quiet_since = total, now
            elif now - quiet_since > _QUIET_S:
                break
        self.should_exit = True


def load(settings: WorkerSettings, metrics: Metrics) -> Predictor:
    """The model and what stands in for it, warm.

    Raises:
        ComponentError: a model cannot be loaded, or takes other columns than the one it stands in for.
        ModelError: it fails on its own example.
    """
    model = ServedModel(settings.version, settings.directory)
    fallback = None
    if settings.fallback_directory:
        fallback = ServedModel(settings.fallback_version, settings.fallback_directory)
        if fallback.inputs.schema != model.inputs.schema:
            raise ComponentError(
                f"the fallback {settings.fallback_version} takes other columns than version {settings.version}",
                where=settings.model, hint="name a version that takes the same columns, in the same order",
            )  # fmt: skip
    constant = dict(settings.fallback_constant)
    if constant and constant.keys() != model.outputs.keys():
        raise ComponentError(
            f"the constant to fall back to gives {', '.join(constant)}", where="fallback_constant",
            available=model.outputs, hint="give each prediction of the model a value",
        )  # fmt: skip
    for name, value in constant.items():
        try:
            pa.array([list(value.items()) if isinstance(value, dict) else value], model.outputs[name])
        except (pa.ArrowException, TypeError, ValueError) as error:
            what = f"the model's {name} is {model.outputs[name]}, and the constant to fall back to is {value!r}"
            raise ComponentError(what, where="fallback_constant", hint="give a value of this type") from error
    return Predictor(
        model, fallback, constant, time_out_s=settings.time_out_s, batch_rows=settings.batch_rows,
        inline_ms=settings.inline_ms, cache_rows=settings.cache_rows, observe_batch=metrics.observe_batch,
    )  # fmt: skip


def main(path: str) -> int:
    """Serve until a signal comes; the exit status."""
    faulthandler.enable()  # who ends a worker that hangs learns where; also of a crash
    try:
        worker = Worker(WorkerSettings.read(path))
    except TurnoutError as error:
        print(error, file=sys.stderr)
        return CANNOT_SERVE
    worker.run()
    if failure := worker.failed:
        said = (
            str(failure) if isinstance(failure, TurnoutError | ModelError) else f"{type(failure).__name__}: {failure}"
        )
        print(f"the model cannot be served: {said}", file=sys.stderr)
        return CANNOT_SERVE
    return 0


if __name__ == "__main__":
    # Arrow's threads may abort a process that ends while they work.
    status = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
