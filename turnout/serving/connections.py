"""HTTP connections with bounds that uvicorn's own lack: on the size of headers, and on the time to send a request."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


class BoundedProtocol(HttpToolsProtocol):
    """A connection that is closed when it sends too long headers, or a request too slowly."""

    header_limit = 0
    read_time_out_s = 0.0
    _in_headers = 0
    """Bytes that have come since the last request's headers were complete."""
    _since = 0.0
    """When the first of these came."""
    _began = 0.0
    """When the first byte of the request came whose body is being read."""

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn keeps the timer when a client resets the connection, and the timer keeps all of the request.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._in_headers:
            self._since = time.monotonic()
        self._in_headers += len(data)  # a body's are subtracted as soon as it is known to be one
        super().data_received(data)
        if self._in_headers > self.header_limit and not self.transport.is_closing():
            self._refuse(431, "the headers are too long")

    def on_headers_complete(self) -> None:
        if self._in_headers > self.header_limit:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.header_limit:
                raise HeadersTooLong
        self._in_headers, self._began = 0, self._since
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._in_headers = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what is no HTTP, and to what a method above raised."""
        if self._in_headers > self.header_limit:
            self._refuse(431, "the headers are too long")
        else:
            self._refuse(400, "this is not HTTP")

    @property
    def idle(self) -> bool:
        """Whether no request is being read or answered."""
        return not self._in_headers and self._answered

    @property
    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def close_if_slow(self) -> None:
        """Close the connection when headers, or then a body, have begun to come and have not ended in time."""
        last = time.monotonic() - self.read_time_out_s
        if self._answered:
            if self._in_headers and self._since < last:
                self._refuse(408, "the headers have not come in time")
        elif self.cycle.more_body and not self.cycle.response_started and self._began < last:
            self._refuse(408, "the body has not come in time")

    def _refuse(self, status: int, what: str) -> None:
        """Answer a request that has not even been read, and close the connection."""
        body = orjson.dumps({"error": what})
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (status, HTTPStatus(status).phrase.encode(), len(body), body)
        )
        self.transport.close()


class HeadersTooLong(Exception):
    """A request has more bytes of headers than are read."""


async def close_slow(state: ServerState, every_s: float) -> None:
    """Close connections whose requests do not come in time, for ever: no request pays for a timer of its own."""
    while True:
        await asyncio.sleep(every_s)
        for connection in list(state.connections):
            if isinstance(connection, BoundedProtocol):
                connection.close_if_slow()
