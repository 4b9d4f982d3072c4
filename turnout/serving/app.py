"""The ASGI application of a worker: from a request's bytes to its answer's.

It is called by uvicorn with no framework between them: for a model of trees, a framework's routing and validation would
take longer than the model.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson

from turnout.errors import Fault
from turnout.serving.envoy.api import GRPC_SERVICE
from turnout.serving.inputs import BadRequest
from turnout.serving.line import TimedOut
from turnout.serving.metrics import Metrics
from turnout.serving.model import ModelError
from turnout.serving.predictor import Answer, Predictor
from turnout.serving.protocols import invocations, openapi, v2, v2_grpc, v2_rest
from turnout.serving.protocols import rows as rows_protocol
from turnout.serving.protocols.invocations import Invocations
from turnout.serving.protocols.protocol import Asked, Dialect, Request, Written, error
from turnout.serving.protocols.rows import Rows
from turnout.serving.protocols.v2_grpc import Grpc
from turnout.serving.protocols.v2_rest import V2
from turnout.serving.request_log import RequestLog
from turnout.serving.settings import WorkerSettings

if TYPE_CHECKING:
    from turnout.serving.lookup import Lookup

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_LARGE = 64 * 1024
"""Bytes of a body from which it is read in another thread, so that small requests are answered meanwhile."""

ATTEMPT = b"x-envoy-attempt-count"
"""Envoy says in it how often it has sent a request; what a client says there does not come here."""

_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class Disconnected(Exception):
    """The client has gone before its request was whole."""


class App:
    """What a worker answers.

    Args:
        settings: the worker's.
        metrics: counts.

    Attributes:
        draining: whether the worker is about to end: it is not ready then, and closes connections after each answer.
        tasks: requests that the server has begun; set by who starts it.
    """

    def __init__(self, settings: WorkerSettings, metrics: Metrics):
        self.settings = settings
        self.metrics = metrics
        self.draining = False
        self.tasks: Sized = ()
        self._predictor: Predictor | None = None
        self._log: RequestLog | None = None
        self._lookup: Lookup | None = None
        self._dialects: dict[str, Dialect] = {}
        self._immediate: dict[bytes, Dialect] = {}
        self._pages: dict[str, Callable[[], tuple[int, Written]]] = {
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/ping": self._ready,  # MLflow's
            "/metrics": lambda: (200, Written(metrics.text(), [_TEXT])),
        }
        self._calls = v2_grpc.health(self._is_alive, self._is_ready)
        self._version = (b"x-turnout-version", settings.version.encode())
        self._prefix, self._number = f"{os.urandom(6).hex()}-", 0
        self._reading = self._held = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bodies")
        metrics.gauge(
            "ready", "1 when the model is loaded and warm, and the worker is not about to end.", self._is_ready
        )
        metrics.gauge("queue", "Requests that have been read and are not answered yet.", lambda: self._queue)
        metrics.gauge("held_bytes", "Bytes of bodies that are being read or answered.", lambda: self._held)

    def serve(self, predictor: Predictor, log: RequestLog | None = None, lookup: Lookup | None = None) -> None:
        """Begin to answer: the model is loaded and warm."""
        model = predictor.model
        name, version, limit = self.settings.model, self.settings.version, self.settings.rows_limit
        inputs = lookup.asked if lookup else model.inputs
        rows = Rows(name, inputs, limit)
        meaning = v2.Meaning(inputs, model.outputs, limit)
        tensors = V2(name, meaning)
        self._dialects = {
            rows_protocol.PATH: rows,
            invocations.PATH: Invocations(name, inputs, limit),
            **{f"{path}/infer": tensors for path in v2_rest.paths(name, version)},
            v2_grpc.INFER: Grpc(name, version, meaning),
        }
        if predictor.inline and lookup is None and not self.settings.cache_rows:
            self._immediate = {path.encode(): dialect for path, dialect in self._dialects.items()}
        metadata = v2.model_metadata(name, version, inputs.columns, model.outputs, model.classes)
        server = v2.server_metadata(version)
        self._calls |= v2_grpc.calls(name, version, metadata, server, self._is_ready)
        self._pages |= {
            "/openapi.json": _document(openapi.document(name, model, inputs)),
            "/v2": _document(server),
            **{path: _document(metadata) for path in v2_rest.paths(name, version)},
            **{f"{path}/ready": self._ready for path in v2_rest.paths(name, version)},
        }
        self.metrics.gauge("cached_rows", "Rows whose predictions are kept.", lambda: predictor.cached_rows)
        for gauge, what, value in (
            ("compiled", "1 when the compiled form answers, which needs no pickle.", float(model.compiled)),
            ("inline", "1 when the model is called in the server's own thread.", float(predictor.inline)),
            ("row_seconds", "What the model took for a row when it was warm.", model.row_ms / 1000),
        ):
            self.metrics.gauge(gauge, what, functools.partial(float, value))
        if log is not None:
            self.metrics.gauge(
                "log_waiting_rows", "Rows that the request log has not written yet.", lambda: log.waiting
            )
        self._log, self._lookup = log, lookup
        self._predictor = predictor

    def _is_ready(self) -> bool:
        return self._predictor is not None and not self.draining

    @property
    def _queue(self) -> int:
        return len(self.tasks) - self._reading

    def _is_alive(self) -> bool:
        return self._predictor is None or self._predictor.alive

    def _live(self) -> tuple[int, Written]:
        alive = self._is_alive()
        return (200 if alive else 503), Written(orjson.dumps({"live": alive}))

    def _ready(self) -> tuple[int, Written]:
        return (200 if self._is_ready() else 503), Written(orjson.dumps({"ready": self._is_ready()}))

    def takes(self, target: bytes) -> bool:
        """Whether a request to this address may be answered at once."""
        return target in self._immediate and not self.draining and self._queue <= self.settings.queue_limit

    def at_once(self, target: bytes, headers: dict[bytes, bytes], body: bytes) -> bytes | None:
        """The whole answer to one row for a fast model, as HTTP/1.1; None when there is more to do or to say.

        It is what `_predict` would answer, without a task of the event loop and what else the general case needs.
        """
        if headers.get(ATTEMPT, b"1") != b"1":
            return None
        started = time.perf_counter()
        dialect = self._immediate[target]
        request_id = self._request_id(headers.get(b"x-request-id"))
        try:
            request = Request(target.decode(), headers, body, request_id)
            asked = dialect.read(request)
            answer = self._predictor.at_once(asked.values) if self._predictor and asked.values is not None else None
            if answer is None:
                return None
            written = dialect.write(asked, answer, request)
        except Exception:  # `_predict` meets it again, and tells it
            return None
        head = [(b"content-length", b"%d" % len(written.body)), self._version, (b"x-request-id", request_id.encode())]
        lines = [b"%s: %s\r\n" % header for header in (*written.headers, *head)]
        self._note(dialect, 200, started, request_id, asked, answer, 1)
        return b"".join([b"HTTP/1.1 200 OK\r\n", *lines, b"\r\n", written.body])

    # --- requests -------------------------------------------------------------------------------------------

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path = scope["path"]
        dialect = self._dialects.get(path)
        if dialect is not None and scope["method"] == "POST":
            await self._predict(dialect, path, scope, receive, send)
        elif path.startswith(GRPC_SERVICE) and scope["method"] == "POST":
            await self._call(path, dict(scope["headers"]), receive, send)
        else:
            await self._page(path, scope["method"], send)

    async def _call(self, path: str, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        """Answer a call of gRPC's that asks for no prediction."""
        more: Headers = []
        try:
            if (call := self._calls.get(path)) is None:
                if self._predictor is None:
                    raise BadRequest(503, "the model is not ready yet", hint="ask again in a second")
                fault = Fault("no such method", path[:200], (v2_grpc.INFER, *self._calls))
                raise BadRequest(501, f"{path[:200]} is not offered", [fault])
            body = await self._body(receive, headers)
            self._held -= len(body)
            status, written = 200, call(body)
        except BadRequest as refused:
            status, written = refused.status, v2_grpc.error(refused.status, refused.what, refused.faults)
            more.append((b"connection", b"close"))  # the body may not have been read
        except Disconnected:
            return
        await self._send(send, status, written, more)

    async def _page(self, path: str, method: str, send: Send) -> None:
        page = self._pages.get(path)
        if page is not None and method in ("GET", "HEAD"):
            status, written = page()
        elif page is not None or path in self._dialects:
            allowed = "GET" if page else "POST"
            status, written = 405, error(f"this address takes {allowed}, and not {method[:20]}")
            written.headers.append((b"allow", allowed.encode()))
        elif self._predictor is None and method == "POST":
            status, written = 503, error("the model is not ready yet")
            written.headers.append((b"retry-after", b"1"))
        else:
            known = [*self._dialects, *self._pages]
            status, written = 404, error("nothing here", [Fault("nothing here", path[:200], tuple(known))])
        await self._send(send, status, written, [])

    async def _predict(self, dialect: Dialect, path: str, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._request_id(headers.get(b"x-request-id"))
        more = [(b"x-request-id", request_id.encode())]
        rows, asked, answer, unread = 0, None, None, False
        try:
            predictor = self._require_room()
            unread = True
            body = await self._body(receive, headers)
            unread = False
            try:
                request = Request(path, headers, body, request_id)
                if len(body) > _LARGE:
                    asked = await asyncio.get_running_loop().run_in_executor(self._pool, dialect.read, request)
                else:
                    asked = dialect.read(request)
                if self._lookup is not None:
                    asked = await self._lookup.complete(asked)
                answer, rows = await _answer(predictor, asked, headers.get(ATTEMPT, b"1") != b"1")
                written = dialect.write(asked, answer, request)
            finally:
                self._held -= len(body)
            status = 200
            if answer.fallback:
                more.append((b"x-turnout-fallback", f"{answer.fallback}; {answer.reason}".encode()))
                self.metrics.stood_in(answer.fallback, answer.reason)
        except BadRequest as refused:
            status, written = refused.status, dialect.error(refused.status, refused.what, refused.faults)
            if status in (429, 503):
                more.append((b"retry-after", b"1"))
            if unread:  # the rest of the body
                more.append((b"connection", b"close"))
        except TimedOut as slow:
            status, written = 504, dialect.error(504, str(slow), ())
        except ModelError as failed:
            status, written = 500, dialect.error(500, str(failed), ())
        except Disconnected:
            self.metrics.answered(dialect.name, 499, time.perf_counter() - started)
            return
        except Exception as unknown:
            traceback.print_exc()
            status, written = 500, dialect.error(500, f"the server fails: {type(unknown).__name__}", ())
        await self._send(send, status, written, more)
        self._note(dialect, status, started, request_id, asked, answer, rows)

    def _note(
        self,
        dialect: Dialect,
        status: int,
        started: float,
        request_id: str,
        asked: Asked | None,
        answer: Answer | None,
        rows: int,
    ) -> None:
        """Count a request that has been answered, and keep it."""
        seconds = time.perf_counter() - started
        self.metrics.answered(dialect.name, status, seconds)
        if self._log is not None and (status >= 500 or (answer is not None and answer.fallback)):
            self._log.fail(request_id, time.time() - seconds, self.settings.version, status)
        if answer is not None:
            self.metrics.predicted(rows)
            if self.settings.cache_rows and asked is not None and asked.values is not None:
                self.metrics.looked_up(answer.cached)
            if self._log is not None and asked is not None:
                self._log.add(request_id, time.time() - seconds, 1000 * seconds, asked, answer)

    def _require_room(self) -> Predictor:
        if self._predictor is None:
            raise BadRequest(503, "the model is not ready yet", hint="ask again in a second")
        if self._queue > self.settings.queue_limit:
            hint = "ask again in a second; more workers answer more requests"
            raise BadRequest(429, f"{self.settings.queue_limit} requests are waiting already", hint=hint)
        return self._predictor

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The body, which `_held` counts; raises BadRequest when it is too long. The server ends one that is slow."""
        limit = self.settings.body_limit
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise BadRequest(415, "the body is compressed", hint="send it as it is, with no Content-Encoding")
        announced = int(headers.get(b"content-length", b"0"))
        if announced > limit:
            raise _too_long(limit)
        pieces: list[bytes] = []
        size = 0
        self._reading += 1
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                piece = message["body"]
                size += len(piece)
                self._held += len(piece)
                if size > limit:
                    raise _too_long(limit)
                if self._held > self.settings.bodies_limit:
                    raise BadRequest(503, "too many bytes are being read already", hint="ask again in a second")
                if message["more_body"]:
                    pieces.append(piece)
                else:
                    return b"".join([*pieces, piece]) if pieces else bytes(piece)
        except BaseException:
            self._held -= size
            raise
        finally:
            self._reading -= 1

    async def _send(self, send: Send, status: int, written: Written, more: Headers) -> None:
        body = written.body
        headers = [*written.headers, (b"content-length", b"%d" % len(body)), self._version, *more]
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _request_id(self, given: bytes | None) -> str:
        """The id that the client, or the proxy, has given; else one of our own."""
        if given and len(given) <= 128 and given.isascii() and given.decode().isprintable():
            return given.decode()
        self._number += 1
        return f"{self._prefix}{self._number:x}"


async def _answer(predictor: Predictor, asked: Asked, again: bool) -> tuple[Answer, int]:
    if asked.values is not None:
        return await predictor.row(asked.values, again), 1
    assert asked.batch is not None
    return await predictor.table(asked.batch), asked.batch.num_rows


def _document(value: dict[str, Any]) -> Callable[[], tuple[int, Written]]:
    body = orjson.dumps(value)
    return lambda: (200, Written(body))


def _too_long(limit: int) -> BadRequest:
    hint = "send fewer rows in one request"
    return BadRequest(413, f"the body has more than {limit:,} bytes, which are allowed", hint=hint)
