"""Notices to people: by what channels, and not the same one again and again.

Apprise delivers: one form of URL for mail, Slack, webhooks and a hundred others.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from upath import UPath

from turnout.errors import ComponentError

Severity = Literal["info", "warning", "critical"]
_KINDS = {"info": "info", "warning": "warning", "critical": "failure"}


@dataclass(frozen=True)
class Notice:
    """What is to be told.

    Attributes:
        key: notices of one key are of one matter, such as one check of one model.
    """

    key: str
    severity: Severity
    title: str
    text: str

    @property
    def digest(self) -> str:
        """Notices with the same have nothing new to say."""
        return hashlib.sha256(f"{self.severity}\0{self.title}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Sent:
    """Which channels got a notice, which were silent since they had it, and which failed and why."""

    sent: tuple[str, ...]
    silent: tuple[str, ...]
    failed: dict[str, str]


def send(
    notice: Notice,
    channels: Iterable[str],
    state: str,
    silence: datetime.timedelta,
    now: datetime.datetime | None = None,
) -> Sent:
    """Tell all channels that have not been told the same lately.

    Args:
        channels: URLs of Apprise (`mailto://`, `slack://`, `json://` for a webhook, ...), `file:` with a path to which
            a line of JSON is added, or `$NAME` for a variable of the environment that holds one.
        state: path or URI of a file that remembers what was told when.
        silence: how long the same notice is not sent again by the channel that had it. One of another severity or
            title is always sent.

    Raises:
        ComponentError: a channel is none, before anything is sent.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    senders = {_name(channel): _sender(channel) for channel in channels}
    memory = UPath(state)
    last_notices: dict[str, dict[str, str]] = json.loads(memory.read_text()) if memory.exists() else {}
    sent, silent, failed = [], [], {}
    for name, deliver in senders.items():
        last = last_notices.get(f"{notice.key} {name}", {})
        if last.get("digest") == notice.digest and now - datetime.datetime.fromisoformat(last["time"]) < silence:
            silent.append(name)
            continue
        try:
            deliver(notice, now)
        except Exception as error:  # every channel has its own; the others are to have the notice all the same
            failed[name] = str(error) or type(error).__name__
            continue
        sent.append(name)
        last_notices[f"{notice.key} {name}"] = {"digest": notice.digest, "time": now.isoformat(timespec="seconds")}
    if sent:
        if memory.protocol in ("", "file", "local"):
            memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(last_notices, indent=1))
    return Sent(tuple(sent), tuple(silent), failed)


def _name(channel: str) -> str:
    """A channel without its secrets: the variable's name, or the scheme and the host."""
    if channel.startswith("$"):
        return channel
    if channel.startswith("file:"):
        return channel
    parts = urlsplit(channel)
    return f"{parts.scheme}://{parts.hostname or ''}"


def _sender(channel: str) -> Any:
    url = channel
    if channel.startswith("$"):
        url = os.environ.get(channel[1:], "")
        if not url:
            raise ComponentError("the environment has no such variable", where=channel, hint="it holds a channel's URL")
    if url.startswith("file:"):
        return lambda notice, now: _append(Path(url.removeprefix("file://").removeprefix("file:")), notice, now)
    import apprise

    service = apprise.Apprise()
    if not service.add(url):
        hint = "such as json://HOST/PATH, slack://..., mailto://..., file:PATH, or $NAME of a variable that holds one"
        raise ComponentError("this is no channel", where=_name(channel), hint=hint)

    def deliver(notice: Notice, now: datetime.datetime) -> None:
        capture: Any = apprise.LogCapture
        with capture(level=logging.WARNING, fmt="%(message)s") as log:
            done = service.notify(
                body=notice.text or notice.title, title=notice.title, notify_type=_KINDS[notice.severity]
            )
            if not done:
                raise ComponentError(log.getvalue().strip().split("\n")[0] or "not delivered")

    return deliver


def _append(path: Path, notice: Notice, now: datetime.datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now.isoformat(timespec="seconds"), **asdict(notice)}) + "\n")
