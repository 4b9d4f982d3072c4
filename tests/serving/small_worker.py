"""A worker that is loaded in milliseconds, for tests of what stands around workers.

    python small_worker.py SETTINGS.json

It answers with its version and process. The request's header `x-do` makes it fail, wait, or die.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn

SETTINGS = json.loads(Path(sys.argv[1]).read_text())


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    told = {key.decode(): value.decode() for key, value in scope["headers"]}
    what = told.get("x-do", "")
    headers = [(b"content-type", b"application/json")]
    status = 200
    if what.startswith("wait"):
        await asyncio.sleep(float(what.removeprefix("wait")))
    elif what == "die":
        os._exit(3)
    elif what == "raise":
        status = 500
    elif what == "busy" and SETTINGS["socket"].endswith("-0"):
        status = 503
    answer = {"version": SETTINGS["version"], "pid": os.getpid(), "host": told.get("host", "")}
    answer |= {"id": told.get("x-request-id", ""), "attempt": told.get("x-envoy-attempt-count", "")}
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
    if scope["path"].startswith("/health/"):
        return
    with (Path(SETTINGS["log_directory"]) / "seen.jsonl").open("a") as file:
        file.write(json.dumps(answer) + "\n")


if (Path(SETTINGS["directory"]) / "broken").exists():
    sys.exit("the model is broken")
uvicorn.run(app, uds=SETTINGS["socket"], log_level="warning", timeout_keep_alive=75)
