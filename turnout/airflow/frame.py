"""What stands around every page: the headers that guard it, and the one script that leads out of Airflow's tab.

A tab is a frame from which no link leads to the page around it or to a new window. The script lets Airflow's own page
follow such a link. That a tab is dark when Airflow is needs no script: a frame has the colours of what is around it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any

_SCRIPT = """
const here = new URL(".", location.href).href, again = Number(document.currentScript.dataset.again);
if (window.parent !== window) document.addEventListener("click", event => {
  const link = event.target.closest("a[href]");
  const to = link && new URL(link.getAttribute("href"), location.href);
  if (!to || to.href.startsWith(here) || !to.protocol.startsWith("http") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = to.href;
  if (to.origin !== location.origin) outside.target = "_blank", outside.rel = "noopener noreferrer";
  outside.click();
});
if (again) setTimeout(function look() {
  const read = document.hidden || document.querySelector("details[open]") || String(getSelection());
  if (read) setTimeout(look, 1000 * again); else location.reload();
}, 1000 * again);
"""

_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'self'"

HEADERS = {
    # No other script runs, nothing is fetched from elsewhere; reports are others' pages, and in frames of their own.
    "content-security-policy": f"{_POLICY}; script-src 'sha256-{_HASH}'; frame-src 'self'; frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",  # Airflow's own tabs
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-cache",
}

OTHERS = {"content-security-policy": f"{_POLICY}; sandbox; frame-ancestors 'self'"}
"""Of a page that a step has made: it has no rights, not even those of its address."""

App = Callable[[Any, Any, Any], Awaitable[None]]


def framed(page: str, again_s: int = 0) -> str:
    """A page of ours with its script.

    Args:
        again_s: seconds after which it is loaded again, unless somebody reads on in it; 0: never.
    """
    before, end, after = page.rpartition("</body>")
    return f'{before}<script data-again="{escape(str(again_s))}">{_SCRIPT}</script>{end}{after}'


def guarded(app: App) -> App:
    """An app all of whose answers have the headers, errors too."""

    async def guard(scope: Any, receive: Any, send: Any) -> None:
        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", ())}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *(pair for pair in more if pair[0] not in given)]
            await send(message)

        await app(scope, receive, send_guarded)

    return guard
