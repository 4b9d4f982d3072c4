"""A server's REST API, asked with patience: also when an answer was lost, what is to be done once is done once."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from typing import Any

from turnout.errors import Fault, TrackError

_TRIES = 5


class Rest:
    """Questions to a server, in JSON.

    Args:
        session: a `requests.Session` that knows how to log in.
        host: URL before each path.
        name: of the server in errors.
        log_in: what to do when it does not know who asks.
        pause_s: seconds before something is tried again.
    """

    def __init__(self, session: Any, host: str, name: str, log_in: str, pause_s: float):
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        again = Retry(
            _TRIES, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), allowed_methods={"GET"},
            raise_on_status=False,
        )  # fmt: skip
        self.session, self.host, self.name, self.log_in, self.pause_s = session, host.rstrip("/"), name, log_in, pause_s
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))

    def get(self, path: str, accept: tuple[int, ...] = (404,)) -> Any:
        """What is at a path; None when nothing is."""
        return self._ask("GET", path, accept=accept)

    def make(self, path: str, body: Mapping[str, Any]) -> None:
        """Make something of a given id, unless it is there: also when the answer to an earlier try was lost."""
        for left in reversed(range(_TRIES)):
            try:
                self._ask("POST", path, body, accept=(409,))
            except _Failed as error:
                if not left:
                    raise error.fault from error
                time.sleep(self.pause_s)
            else:
                return

    def _ask(self, method: str, path: str, body: Any = None, accept: tuple[int, ...] = ()) -> Any:
        import requests

        try:
            answer = self.session.request(method, self.host + path, json=body, timeout=60)
        except requests.RequestException as error:
            hint = f"is --host the address of {self.name}?"
            raise TrackError([Fault(f"{self.name} does not answer: {error}", self.host, hint=hint)]) from error
        if answer.status_code in accept:
            return None
        if answer.status_code >= 500 and method == "POST":
            raise _Failed(self._refused(answer))
        if not answer.ok:
            raise self._refused(answer)
        return answer.json()

    def _refused(self, answer: Any) -> TrackError:
        try:
            body = answer.json()
            told = body.get("detail") or body["error"]["message"]
        except (ValueError, AttributeError, KeyError, TypeError):
            told = answer.reason
        hint = self.log_in if answer.status_code in (401, 403) else ""
        return TrackError([Fault(f"{self.name} refuses: {answer.status_code} {told}", self.host, hint=hint)])


def time_of(text: str | None) -> datetime.datetime | None:
    """A time as these APIs write it, in ISO 8601."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


class _Failed(Exception):
    """The server failed while it did something, and may have done it."""

    def __init__(self, fault: TrackError):
        super().__init__(str(fault))
        self.fault = fault
