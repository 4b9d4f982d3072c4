"""Connections on which one row for a fast model is answered as soon as it is read.

uvicorn has a task, an event and two queues for each request, which take longer than such a model. What cannot be
answered at once, or is not there as a whole when its headers are, goes uvicorn's way.
"""

from __future__ import annotations

from turnout.serving.app import App
from turnout.serving.connections import BoundedProtocol
from turnout.serving.settings import WorkerSettings

_SMALL = 16 * 1024
"""Bytes of a body above which it is hardly one row."""


def protocol_class(settings: WorkerSettings, app: App) -> type[BoundedProtocol]:
    """The class of connections with a worker's bounds, for uvicorn's `http`."""

    class Immediate(ImmediateProtocol):
        header_limit = settings.header_limit
        read_time_out_s = settings.read_time_out_s
        immediate = app

    return Immediate


class ImmediateProtocol(BoundedProtocol):
    """A connection that asks the application first whether it can answer at once."""

    immediate: App
    _given: dict[bytes, bytes] | None = None
    """The headers of a request whose body is still to come out of the bytes that are being read."""
    _whole = b""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._given is not None:
            self._go_uvicorns_way()

    def on_headers_complete(self) -> None:
        if self._may_be_at_once():
            given = dict(self.headers)
            length = given.get(b"content-length", b"")
            if length.isdigit() and int(length) <= _SMALL and not given.keys() & _MORE:
                self._given, self._whole, self._in_headers = given, b"", 0
                return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._given is None:
            super().on_body(body)
        else:
            self._whole += body

    def on_message_complete(self) -> None:
        if self._given is not None:
            answer = self.immediate.at_once(self.url, self._given, self._whole)
            if answer is not None:
                self._given = None
                self.server_state.total_requests += 1
                self.transport.write(answer)
                return
            self._go_uvicorns_way()
        super().on_message_complete()

    def _may_be_at_once(self) -> bool:
        return (
            self.immediate.takes(self.url)
            and self._in_headers <= self.header_limit
            and self._answered
            and not self.pipeline
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
        )

    def _go_uvicorns_way(self) -> None:
        """Tell uvicorn of a request what it would have been told before."""
        body, self._given = self._whole, None
        super().on_headers_complete()
        if body:
            super().on_body(body)


_MORE = frozenset({b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"})
"""Headers that ask for more than an answer."""
